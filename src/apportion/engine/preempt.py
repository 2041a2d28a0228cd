"""Preemptive orders: at every change the jobs that run and the jobs that wait are planned together.

As Helios' SRTF and Tiresias do it: walk all jobs of a partition by key and give each what it asks for out of the
partition's GPUs, skipping what is too large for the rest; then planned jobs that wait are placed in the same order.
Where jobs are bound to GPU models, the same is counted for every set of models that some are bound to: jobs that run
count where they run, jobs that wait where they have to.

Running jobs outside the plan lose their devices. With `conserve` only as far as a planned job needs them: when one
finds no place, and would if all of them were gone, the least urgent are preempted until it does; what is left free goes
to waiting jobs outside the plan. Without it, as in the Helios simulator, all of them are preempted first. A planned job
that finds no place even then (its GPUs are free, but scattered) waits on.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.encode import NOWHERE
from apportion.engine.fit import give_back, take_again
from apportion.engine.index import touch
from apportion.engine.jit import compiled, inner
from apportion.engine.layout import DONE, GROW
from apportion.engine.moves import has_room_to_log, start, stop, unplace
from apportion.engine.passes import any_kind_fits, least_pending
from apportion.engine.sorting import sorted_by
from apportion.engine.waiting import fill_view, wait
from apportion.engine.world import (
    PASS_SIGNATURE,
    bound,
    call_job_key,
    call_kind,
    jobs,
    kinds,
    nodes,
    parts,
    puts,
    reach,
    running,
    runs,
    tasks,
    waiting,
)

STUCK = 5
"""What `carry_out` answers when a planned job found no place: none of the values that the loop returns."""


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
def running_of(w, part, found, n):
    """Write the running jobs of a partition into `found` from the n-th place on; return where they end."""
    for i in range(w.running_count):
        j = running(w)[i]
        if jobs(w)[j].part == part:
            found[n] = j
            n += 1
    return n


@inner
def _running_by_key(w, part):
    """Return the running jobs of a partition and their keys, ascending; ties by the time they started."""
    now = w.now
    found = np.empty(w.running_count, np.int32)
    n = running_of(w, part, found, 0)
    found = found[:n]
    sequence = np.empty(n, np.int64)
    keys = np.empty(n)
    for i in range(n):
        sequence[i] = jobs(w)[found[i]].sequence
        keys[i] = call_job_key(w.job_key_kernel, fill_view(w, found[i], now), now)
    order = sorted_by(keys, sequence)
    return found[order], keys[order]


@inner
def open_to(w, part):
    """Return the milli-GPU of the nodes that are up and open to a partition, by the sets of models in `bound`."""
    left = np.zeros(w.bound_n, np.int64)
    for m in range(w.bound_n):
        for n in range(w.nodes_n):
            node = nodes(w)[n]
            if node.up and node.model >= 0 and (bound(w)[m] >> node.model) & 1 and reach(w)[part * w.nodes_n + n]:
                left[m] += node.gpus * 1000
    return left


@inner
def _of_models(w, j, models):
    """Return the milli-GPU of a job that are of these models: what it holds of them, or can have nowhere else."""
    job = jobs(w)[j]
    kind = kinds(w)[job.kind]
    if job.run < 0:
        own = tasks(w)[kind.shape].models & ~NOWHERE
        return kind.milli if own != 0 and own & ~models == 0 else 0
    run = runs(w)[job.run]
    total = 0
    for p in range(run.put, run.put + run.pieces):
        put = puts(w)[p]
        model = nodes(w)[put.node].model
        if model >= 0 and (models >> model) & 1:
            total += tasks(w)[put.shape].gpus * tasks(w)[put.shape].milli
    return total


@inner
def count_off(w, j, left):
    """Take a job off what is left of each set of models, unless it is too large for one; return whether it was not."""
    for m in range(left.size):
        share = _of_models(w, j, bound(w)[m])
        if share > 0 and share > left[m]:
            return False
    for m in range(left.size):
        left[m] -= _of_models(w, j, bound(w)[m])
    return True


@inner
def take_fixed(w, j, left):
    """Take a running job that may not be preempted off each set of models; return its milli-GPU."""
    for m in range(left.size):
        left[m] -= _of_models(w, j, bound(w)[m])
    return kinds(w)[jobs(w)[j].kind].milli


@inner
def _plan(w, part):
    """Return (waiting jobs to place in order, running jobs to preempt in order)."""
    on, on_keys = _running_by_key(w, part)
    first = parts(w)[part].first
    n = parts(w)[part].waiting
    line = waiting(w)
    quota = parts(w)[part].quota
    left = open_to(w, part)
    for j in on:
        if not jobs(w)[j].preemptible:
            quota -= take_fixed(w, j, left)
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
            if milli <= quota and count_off(w, j, left):
                quota -= milli
                planned[p] = j
                p += 1
            continue
        r += 1
        if not jobs(w)[j].preemptible:
            continue
        if milli <= quota and count_off(w, j, left):
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
        planned, outside = _plan(w, part)
        done = carry_out(w, part, planned, outside)
        if done == GROW:
            return GROW
        stuck |= done == STUCK
        if w.conserve and not fill(w, part):
            return GROW
    quantum = w.quantum
    look_again = quantum > 0 and w.pending > 0 and w.running_count > 0
    if look_again and (stuck or not w.quantum_when_stuck):
        w.wake_at = now + quantum
    else:
        w.wake_at = np.inf
    return DONE


@inner
def carry_out(w, part, planned, outside):
    """Preempt and place; return `GROW`, `STUCK` when a planned job found no place, or `DONE`.

    planned: waiting jobs, the most urgent first. outside: running jobs without a place in the plan, likewise.
    """
    stuck = False
    left = outside.size
    if not w.conserve:
        for j in outside:
            _evict(w, j)
        left = 0
    for j in planned:
        kind = kinds(w)[jobs(w)[j].kind]
        if not has_room_to_log(w, kind.pieces):
            return GROW
        started = start(w, j, kind)
        if not started and left > 0 and _would_fit(w, kind, outside[:left]):
            # the least urgent go first, and no more of them than it takes
            while not started:
                left -= 1
                _evict(w, outside[left])
                started = start(w, j, kind)
        if started:
            _leave(w, j, parts(w)[part].first)
        else:
            stuck = True
    return STUCK if stuck else DONE


@inner
def _evict(w, j):
    stop(w, j)
    jobs(w)[j].remaining += jobs(w)[j].checkpoint_cost
    jobs(w)[j].preemptions += 1
    wait(w, j)


@inner
def _would_fit(w, kind, others):
    """Say whether a class would find a place if these running jobs were gone."""
    for j in others:
        run = runs(w)[jobs(w)[j].run]
        for p in range(run.put, run.put + run.pieces):
            put = puts(w)[p]
            give_back(nodes(w)[put.node], tasks(w)[put.shape], put.mask)
            touch(w, put.node)
    fitted = call_kind(w.place_kernel, w, kind) != 0
    if fitted:
        unplace(w, kind)
    for j in others:
        run = runs(w)[jobs(w)[j].run]
        for p in range(run.put, run.put + run.pieces):
            put = puts(w)[p]
            take_again(nodes(w)[put.node], tasks(w)[put.shape], put.mask)
            touch(w, put.node)
    return fitted


@inner
def fill(w, part):
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
