"""Preemptive orders: at every change the jobs that run and the jobs that wait are planned together.

As Helios' SRTF and Tiresias do it: walk all jobs of a partition by key and give each what it asks for out of the
partition's GPUs, skipping what is too large for the rest; running jobs outside the plan are preempted; then planned
jobs that wait are placed in the same order. One that finds no place (its GPUs are free, but scattered) waits on.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.jit import compiled, inner
from apportion.engine.layout import DONE, GROW
from apportion.engine.moves import has_room_to_log, start, stop
from apportion.engine.passes import any_kind_fits, least_pending
from apportion.engine.sorting import sorted_by
from apportion.engine.waiting import fill_view, wait
from apportion.engine.world import PASS_SIGNATURE, call_job_key, jobs, kinds, parts, running, waiting


@inner
def _leave(w, j, at):
    """Take job j, which stands at or after position `at`, from the waiting jobs."""
    job = jobs(w)[j]
    line = waiting(w)
    while line[at].job != j:
        at += 1
    end = parts(w)[job.part].first + parts(w)[job.part].waiting
    for i in range(at, end - 1):
        line[i] = line[i + 1]
    parts(w)[job.part].waiting -= 1
    w.pending -= 1
    kinds(w)[job.kind].pending -= 1


@inner
def _refresh_keys(w, part):
    now = w.now
    first = parts(w)[part].first
    n = parts(w)[part].waiting
    line = waiting(w)
    found = np.empty(n, np.int32)
    sequence = np.empty(n, np.int64)
    keys = np.empty(n)
    for i in range(n):
        found[i] = line[first + i].job
        sequence[i] = jobs(w)[found[i]].sequence
        keys[i] = call_job_key(w.job_key_kernel, fill_view(w, found[i], now), now)
    order = sorted_by(keys, sequence)
    for i in range(n):
        line[first + i].key = keys[order[i]]
        line[first + i].job = found[order[i]]


@inner
def _running_by_key(w, part):
    """Return the running jobs of a partition and their keys, ascending; ties by the time they started."""
    now = w.now
    n = 0
    found = np.empty(w.running_count, np.int32)
    for i in range(w.running_count):
        j = running(w)[i]
        if jobs(w)[j].part == part:
            found[n] = j
            n += 1
    found = found[:n]
    sequence = np.empty(n, np.int64)
    keys = np.empty(n)
    for i in range(n):
        sequence[i] = jobs(w)[found[i]].sequence
        keys[i] = call_job_key(w.job_key_kernel, fill_view(w, found[i], now), now)
    order = sorted_by(keys, sequence)
    return found[order], keys[order]


@inner
def _plan(w, part):
    """Return (waiting jobs to place in order, running jobs to preempt in order)."""
    on, on_keys = _running_by_key(w, part)
    first = parts(w)[part].first
    n = parts(w)[part].waiting
    line = waiting(w)
    quota = parts(w)[part].quota
    for j in on:
        if not jobs(w)[j].preemptible:
            quota -= kinds(w)[jobs(w)[j].kind].milli
    planned = np.empty(n, np.int32)
    evicted = np.empty(on.size, np.int32)
    p = e = 0
    least = least_pending(w)
    i = r = 0
    queued_first = w.queued_first
    while r < on.size or (i < n and quota >= least):
        if r == on.size:
            queued = True
        elif i == n or quota < least:
            queued = False
        elif queued_first:
            queued = line[first + i].key <= on_keys[r]
        else:
            queued = line[first + i].key < on_keys[r]
        j = line[first + i].job if queued else on[r]
        milli = kinds(w)[jobs(w)[j].kind].milli
        if queued:
            i += 1
            if milli <= quota:
                quota -= milli
                planned[p] = j
                p += 1
            continue
        r += 1
        if not jobs(w)[j].preemptible:
            continue
        if milli <= quota:
            quota -= milli
        else:
            evicted[e] = j
            e += 1
    return planned[:p], evicted[:e]


@compiled(PASS_SIGNATURE)
def pass_preemptive(w):
    """Plan every partition anew, preempt, place."""
    now = w.now
    stuck = False
    for part in range(w.parts_n):
        if parts(w)[part].waiting == 0:
            continue
        if w.refresh:
            _refresh_keys(w, part)
        planned, evicted = _plan(w, part)
        for j in evicted:
            stop(w, j)
            jobs(w)[j].remaining += jobs(w)[j].checkpoint_cost
            jobs(w)[j].preemptions += 1
            wait(w, j)
        for j in planned:
            kind = kinds(w)[jobs(w)[j].kind]
            if not has_room_to_log(w, kind.pieces):
                return GROW
            if start(w, j, kind):
                _leave(w, j, parts(w)[part].first)
            else:
                stuck = True
        if w.conserve and not _fill(w, part):
            return GROW
    quantum = w.quantum
    look_again = quantum > 0 and w.pending > 0 and w.running_count > 0
    if look_again and (stuck or not w.quantum_when_stuck):
        w.wake_at = now + quantum
    else:
        w.wake_at = np.inf
    return DONE


@inner
def _fill(w, part):
    """Start waiting jobs outside the plan on what it left free; return whether the log had room for them."""
    if not any_kind_fits(w):
        return True
    stamp = w.passes
    i = parts(w)[part].first
    while i < parts(w)[part].first + parts(w)[part].waiting:
        j = waiting(w)[i].job
        kind = kinds(w)[jobs(w)[j].kind]
        if kind.blocked == stamp:
            i += 1
            continue
        if not has_room_to_log(w, kind.pieces):
            return False
        if start(w, j, kind):
            _leave(w, j, i)
        else:
            kind.blocked = stamp
            i += 1
    return True
