"""EASY backfilling: the first job that does not fit gets a reservation; others may start if they do not delay it.

Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995. Node by node and device by device: the reservation is the
earliest time at which, by the running jobs' estimates, enough has ended for the first job to be placed; what it takes
there is kept in a copy of the nodes as they will be, and a job that would still run then has to fit that copy too.
"""

from __future__ import annotations

import numpy as np

from apportion.engine import bits
from apportion.engine.fit import fits, give_back, take
from apportion.engine.jit import compiled, inner
from apportion.engine.layout import DONE, GROW, KEY_JOB
from apportion.engine.moves import commit, dequeue, has_room_to_log, start, unplace
from apportion.engine.passes import any_kind_fits, sorted_pending
from apportion.engine.scoring import best_of, device_of
from apportion.engine.sorting import sorted_by
from apportion.engine.world import (
    PASS_SIGNATURE,
    active,
    ahead,
    call_kind,
    job_at,
    jobs,
    kinds,
    levels,
    nodes,
    puts,
    queues,
    running,
    runs,
    tasks,
    words,
)


@compiled(PASS_SIGNATURE)
def pass_easy(w):
    """Start the first jobs of every partition while they fit, then backfill behind the first that does not."""
    lines = np.empty(w.active_count, np.int32)
    for i in range(lines.size):
        lines[i] = active(w)[i]
    for q in lines:
        if w.mode == KEY_JOB:
            order = sorted_pending(w, queues(w)[q].part)
        else:
            order = _pending_in_order(w, q)
        for i in range(order.size):
            j = order[i]
            kind = kinds(w)[jobs(w)[j].kind]
            if not has_room_to_log(w, kind.pieces):
                return GROW
            if start(w, j, kind):
                dequeue(w, j)
            else:
                if any_kind_fits(w) and not _backfill(w, order[i:]):
                    return GROW
                break
    return DONE


@inner
def _pending_in_order(w, q):
    found = np.empty(min(w.pending, queues(w)[q].end - queues(w)[q].offset), np.int32)
    n = 0
    slot = queues(w)[q].head
    while slot >= 0:
        found[n] = job_at(w)[slot]
        n += 1
        slot = bits.first_from(words(w), levels(w), slot + 1, queues(w)[q].end)
    return found[:n]


@inner
def expected_end(w, j):
    """Return when a running job is expected to end; one that overran its estimate is expected to end now."""
    job = jobs(w)[j]
    return max(job.started + (job.remaining + job.estimate - job.work) / job.rate, w.now)


@inner
def _reserve(w, head):
    """Turn the scratch nodes into those of the reservation, with the head in place; return its time."""
    later = ahead(w)
    for n in range(later.size):
        later[n] = nodes(w)[n]
    kind = kinds(w)[jobs(w)[head].kind]
    now_running = running(w)[: w.running_count]
    ends = np.empty(now_running.size)
    for i in range(now_running.size):
        ends[i] = expected_end(w, now_running[i])
    order = sorted_by(ends, now_running)
    task = tasks(w)[kind.shape]
    room = 0
    for n in range(later.size):
        room += fits(later[n], task)
    i = 0
    time = w.now
    while True:
        if room >= kind.count and _put_ahead(w, later, kind):
            return time
        if i == order.size:
            return np.inf
        # all that end at the same moment are given back together
        time = ends[order[i]]
        while i < order.size and ends[order[i]] == time:
            run = runs(w)[jobs(w)[now_running[order[i]]].run]
            for p in range(run.put, run.put + run.pieces):
                put = puts(w)[p]
                room -= fits(later[put.node], task)
                give_back(later[put.node], tasks(w)[put.shape], put.mask)
                room += fits(later[put.node], task)
            i += 1


@inner
def _put_ahead(w, later, kind):
    masks = np.empty(kind.pieces, np.int64)
    chosen = np.empty(kind.pieces, np.int64)
    for piece in range(kind.pieces):
        task = tasks(w)[kind.shape if piece < kind.count else kind.rest]
        best = best_of(w, later, task)
        if best < 0:
            _reopen_ahead(later, kind, chosen, piece)
            for p in range(piece):
                undo = tasks(w)[kind.shape if p < kind.count else kind.rest]
                give_back(later[chosen[p]], undo, masks[p])
            return False
        chosen[piece] = best
        masks[piece] = take(later[best], task, device_of(w, later[best], task))
        if kind.apart:
            later[best].up = 0
    _reopen_ahead(later, kind, chosen, kind.pieces)
    return True


@inner
def _reopen_ahead(later, kind, chosen, pieces):
    if kind.apart:
        for p in range(pieces):
            later[chosen[p]].up = 1


@inner
def _moment(w):
    """Return a number that changes with every pass and every start: only while it stays is an answer still true."""
    return (w.passes << 32) | w.run_count


@inner
def _backfill(w, order):
    """Start what does not delay `order[0]`; return whether the log had room for it."""
    now = w.now
    stamp = w.passes
    time = _reserve(w, order[0])
    later = ahead(w)
    for i in range(1, order.size):
        j = order[i]
        job = jobs(w)[j]
        kind = kinds(w)[job.kind]
        if kind.blocked == stamp:
            continue
        if not has_room_to_log(w, kind.pieces):
            return False
        # a job that waits has the rate of the slowest model it may run on
        ends_before = now + (job.remaining + job.estimate - job.work) / job.rate <= time
        if not ends_before and kind.stuck == _moment(w):
            continue
        if call_kind(w.place_kernel, w, kind) == 0:
            kind.blocked = stamp
        elif ends_before or _beside_head(w, later, kind):
            commit(w, j, kind)
            dequeue(w, j)
        else:
            unplace(w, kind)
            kind.stuck = _moment(w)
    return True


@inner
def _beside_head(w, later, kind):
    """Say whether the places just found are free beside the head at its reservation, and take them there if so."""
    first = w.put_count
    masks = np.empty(kind.pieces, np.int64)
    for piece in range(kind.pieces):
        put = puts(w)[first + piece]
        task = tasks(w)[put.shape]
        if fits(later[put.node], task) == 0:
            for p in range(piece):
                back = puts(w)[first + p]
                give_back(later[back.node], tasks(w)[back.shape], masks[p])
            return False
        masks[piece] = take(later[put.node], task, device_of(w, later[put.node], task))
    return True
