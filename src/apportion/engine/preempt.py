"""Preemptive orders: at every change the jobs that run and the jobs that wait are planned together.

As Helios' SRTF and Tiresias do it: walk all jobs of a partition by key and give each what it asks for out of the
partition's GPUs, skipping what is too large for the rest; running jobs outside the plan are preempted; then planned
jobs that wait are placed in the same order. One that finds no place (its GPUs are free, but scattered) waits on.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.jit import inner
from apportion.engine.layout import DONE, GROW, PENDING
from apportion.engine.moves import has_room_to_log, start, stop
from apportion.engine.passes import any_kind_fits, fill_view, least_pending
from apportion.engine.world import (
    C_PASSES,
    C_PENDING,
    C_RUNNING,
    C_SEQUENCE,
    G_CONSERVE,
    G_QUANTUM_WHEN_STUCK,
    G_QUEUED_FIRST,
    G_REFRESH,
    G_TIES,
    S_QUANTUM,
    T_NOW,
    T_WAKE,
)


@inner
def wait(w, j, job_key):
    """Put job j among the waiting jobs of its partition, which are kept in order of their keys."""
    job = w.jobs[j]
    now = w.clock[T_NOW]
    job.state = PENDING
    job.sequence = w.count[C_SEQUENCE]
    w.count[C_SEQUENCE] += 1
    w.count[C_PENDING] += 1
    w.kinds[job.kind].pending += 1
    key = job_key(fill_view(w, j, now), now)
    first = w.waiting.offset[job.part]
    n = w.waiting.count[job.part]
    keys, jobs = w.waiting.key, w.waiting.job
    at = first + np.searchsorted(keys[first : first + n], key, side="right")
    for i in range(first + n, at, -1):
        keys[i] = keys[i - 1]
        jobs[i] = jobs[i - 1]
    keys[at] = key
    jobs[at] = j
    w.waiting.count[job.part] += 1


@inner
def _leave(w, j, at):
    """Take job j, which stands at or after position `at`, from the waiting jobs."""
    job = w.jobs[j]
    keys, jobs = w.waiting.key, w.waiting.job
    while jobs[at] != j:
        at += 1
    end = w.waiting.offset[job.part] + w.waiting.count[job.part]
    for i in range(at, end - 1):
        keys[i] = keys[i + 1]
        jobs[i] = jobs[i + 1]
    w.waiting.count[job.part] -= 1
    w.count[C_PENDING] -= 1
    w.kinds[job.kind].pending -= 1


@inner
def _refresh_keys(w, part, job_key):
    now = w.clock[T_NOW]
    first = w.waiting.offset[part]
    n = w.waiting.count[part]
    jobs = w.waiting.job[first : first + n].copy()
    sequence = np.empty(n, np.int64)
    for i in range(n):
        sequence[i] = w.jobs[jobs[i]].sequence
    jobs = jobs[np.argsort(sequence, kind="mergesort")]
    keys = np.empty(n)
    for i in range(n):
        keys[i] = job_key(fill_view(w, jobs[i], now), now)
    order = np.argsort(keys, kind="mergesort")
    w.waiting.job[first : first + n] = jobs[order]
    w.waiting.key[first : first + n] = keys[order]


@inner
def _running_by_key(w, part, job_key):
    """Return the running jobs of a partition and their keys, ascending; ties by the time they started."""
    now = w.clock[T_NOW]
    n = 0
    jobs = np.empty(w.count[C_RUNNING], np.int32)
    for i in range(w.count[C_RUNNING]):
        j = w.running.jobs[i]
        if w.jobs[j].part == part:
            jobs[n] = j
            n += 1
    jobs = jobs[:n]
    sequence = np.empty(n, np.int64)
    for i in range(n):
        sequence[i] = w.jobs[jobs[i]].sequence
    jobs = jobs[np.argsort(sequence, kind="mergesort")]
    keys = np.empty(n)
    for i in range(n):
        keys[i] = job_key(fill_view(w, jobs[i], now), now)
    order = np.argsort(keys, kind="mergesort")
    return jobs[order], keys[order]


@inner
def _plan(w, part, job_key):
    """Return (waiting jobs to place in order, running jobs to preempt in order)."""
    running, running_keys = _running_by_key(w, part, job_key)
    first = w.waiting.offset[part]
    n = w.waiting.count[part]
    keys, jobs = w.waiting.key, w.waiting.job
    quota = w.quota[part]
    for j in running:
        if not w.jobs[j].preemptible:
            quota -= w.kinds[w.jobs[j].kind].milli
    planned = np.empty(n, np.int32)
    evicted = np.empty(running.size, np.int32)
    p = e = 0
    least = least_pending(w)
    i = r = 0
    queued_first = w.config[G_QUEUED_FIRST]
    while r < running.size or (i < n and quota >= least):
        if r == running.size:
            queued = True
        elif i == n or quota < least:
            queued = False
        elif queued_first:
            queued = keys[first + i] <= running_keys[r]
        else:
            queued = keys[first + i] < running_keys[r]
        j = jobs[first + i] if queued else running[r]
        milli = w.kinds[w.jobs[j].kind].milli
        if queued:
            i += 1
            if milli <= quota:
                quota -= milli
                planned[p] = j
                p += 1
            continue
        r += 1
        if not w.jobs[j].preemptible:
            continue
        if milli <= quota:
            quota -= milli
        else:
            evicted[e] = j
            e += 1
    return planned[:p], evicted[:e]


@inner
def pass_preemptive(w, ix, score, device, job_key):
    """Plan every partition anew, preempt, place."""
    now = w.clock[T_NOW]
    ties = w.config[G_TIES]
    stuck = False
    for part in range(w.quota.size):
        if w.waiting.count[part] == 0:
            continue
        if w.config[G_REFRESH]:
            _refresh_keys(w, part, job_key)
        planned, evicted = _plan(w, part, job_key)
        for j in evicted:
            stop(w, ix, j)
            w.jobs[j].remaining += w.jobs[j].checkpoint_cost
            w.jobs[j].preemptions += 1
            wait(w, j, job_key)
        for j in planned:
            kind = w.kinds[w.jobs[j].kind]
            if not has_room_to_log(w, kind.pieces):
                return GROW
            if start(w, ix, j, kind, score, device, ties):
                _leave(w, j, w.waiting.offset[part])
            else:
                stuck = True
        if w.config[G_CONSERVE] and not _fill(w, ix, part, score, device):
            return GROW
    quantum = w.setting[S_QUANTUM]
    look_again = quantum > 0 and w.count[C_PENDING] > 0 and w.count[C_RUNNING] > 0
    if look_again and (stuck or not w.config[G_QUANTUM_WHEN_STUCK]):
        w.clock[T_WAKE] = now + quantum
    else:
        w.clock[T_WAKE] = np.inf
    return DONE


@inner
def _fill(w, ix, part, score, device):
    """Start waiting jobs outside the plan on what it left free; return whether the log had room for them."""
    if not any_kind_fits(w, ix, score):
        return True
    stamp = w.count[C_PASSES]
    i = w.waiting.offset[part]
    while i < w.waiting.offset[part] + w.waiting.count[part]:
        j = w.waiting.job[i]
        kind = w.kinds[w.jobs[j].kind]
        if kind.blocked == stamp:
            i += 1
            continue
        if not has_room_to_log(w, kind.pieces):
            return False
        if start(w, ix, j, kind, score, device, w.config[G_TIES]):
            _leave(w, j, i)
        else:
            kind.blocked = stamp
            i += 1
    return True
