"""EASY backfilling: the first job that does not fit gets a reservation; others may start if they do not delay it.

Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995. Node by node and device by device: the reservation is the
earliest time at which, by the running jobs' estimates, enough has ended for the first job to be placed; what it takes
there is kept in a copy of the nodes as they will be, and a job that would still run then has to fit that copy too.
"""

from __future__ import annotations

import numpy as np

from apportion.engine import bits
from apportion.engine.fit import fits, give_back, take
from apportion.engine.jit import inner
from apportion.engine.layout import DONE, GROW, KEY_JOB
from apportion.engine.moves import commit, dequeue, has_room_to_log, place, start, unplace
from apportion.engine.passes import any_kind_fits, sorted_pending
from apportion.engine.world import (
    C_ACTIVE,
    C_PASSES,
    C_PENDING,
    C_PUTS,
    C_RUNNING,
    C_RUNS,
    G_KEY,
    G_TIES,
    T_NOW,
)


@inner
def pass_easy(w, ix, score, device, job_key):
    """Start the first jobs of every partition while they fit, then backfill behind the first that does not."""
    ties = w.config[G_TIES]
    parts = np.empty(w.count[C_ACTIVE], np.int32)
    for i in range(parts.size):
        parts[i] = w.queue.active[i]
    for q in parts:
        if w.config[G_KEY] == KEY_JOB:
            order = sorted_pending(w, ix, score, job_key, w.queue.part[q])
        else:
            order = _pending_in_order(w, q)
        for i in range(order.size):
            j = order[i]
            kind = w.kinds[w.jobs[j].kind]
            if not has_room_to_log(w, kind.pieces):
                return GROW
            if start(w, ix, j, kind, score, device, ties):
                dequeue(w, j)
            else:
                if any_kind_fits(w, ix, score) and not _backfill(w, ix, order[i:], score, device):
                    return GROW
                break
    return DONE


@inner
def _pending_in_order(w, q):
    jobs = np.empty(min(w.count[C_PENDING], w.queue.offset[q + 1] - w.queue.offset[q]), np.int32)
    n = 0
    slot = w.queue.head[q]
    while slot >= 0:
        jobs[n] = w.queue.job_at[slot]
        n += 1
        slot = bits.first_from(w.queue.pending, slot + 1, w.queue.offset[q + 1])
    return jobs[:n]


@inner
def expected_end(w, j):
    """Return when a running job is expected to end; one that overran its estimate is expected to end now."""
    job = w.jobs[j]
    return max(job.started + (job.remaining + job.estimate - job.work) / job.rate, w.clock[T_NOW])


@inner
def _reserve(w, ix, head, score, device):
    """Turn the scratch nodes into those of the reservation, with the head in place; return its time."""
    ahead = w.scratch.nodes
    for n in range(ahead.size):
        ahead[n] = ix.nodes[n]
    kind = w.kinds[w.jobs[head].kind]
    running = w.running.jobs[: w.count[C_RUNNING]]
    ends = np.empty(running.size)
    for i in range(running.size):
        ends[i] = expected_end(w, running[i])
    order = np.argsort(ends, kind="mergesort")
    task = ix.tasks[kind.shape]
    room = 0
    for n in range(ahead.size):
        room += fits(ahead[n], task)
    i = 0
    time = w.clock[T_NOW]
    while True:
        if room >= kind.count and _put_ahead(ix, ahead, kind, score, device):
            return time
        if i == order.size:
            return np.inf
        # all that end at the same moment are given back together
        time = ends[order[i]]
        while i < order.size and ends[order[i]] == time:
            run = w.runs[w.jobs[running[order[i]]].run]
            for p in range(run.put, run.put + run.pieces):
                put = w.puts[p]
                room -= fits(ahead[put.node], task)
                give_back(ahead[put.node], ix.tasks[put.shape], put.mask)
                room += fits(ahead[put.node], task)
            i += 1


@inner
def _put_ahead(ix, ahead, kind, score, device):
    masks = np.empty(kind.pieces, np.int64)
    nodes = np.empty(kind.pieces, np.int64)
    for piece in range(kind.pieces):
        task = ix.tasks[kind.shape if piece < kind.count else kind.rest]
        best = -1
        low = np.inf
        for n in range(ahead.size):
            if fits(ahead[n], task) > 0:
                s = score(ahead[n], task)
                if best < 0 or s < low:
                    best, low = n, s
        if best < 0:
            for p in range(piece):
                undo = ix.tasks[kind.shape if p < kind.count else kind.rest]
                give_back(ahead[nodes[p]], undo, masks[p])
            return False
        nodes[piece] = best
        masks[piece] = take(ahead[best], task, device)
    return True


@inner
def _backfill(w, ix, order, score, device):
    """Start what does not delay `order[0]`; return whether the log had room for it."""
    now = w.clock[T_NOW]
    stamp = w.count[C_PASSES]
    ties = w.config[G_TIES]
    time = _reserve(w, ix, order[0], score, device)
    ahead = w.scratch.nodes
    for i in range(1, order.size):
        j = order[i]
        job = w.jobs[j]
        kind = w.kinds[job.kind]
        if kind.blocked == stamp:
            continue
        if not has_room_to_log(w, kind.pieces):
            return False
        ends_before = now + (job.remaining + job.estimate - job.work) <= time
        if not ends_before and kind.stuck == w.count[C_RUNS]:
            continue
        if not place(w, ix, kind, score, device, ties):
            kind.blocked = stamp
        elif ends_before or _beside_head(w, ix, ahead, kind, device):
            commit(w, j, kind)
            dequeue(w, j)
        else:
            unplace(w, ix, kind)
            kind.stuck = w.count[C_RUNS]
    return True


@inner
def _beside_head(w, ix, ahead, kind, device):
    """Say whether the places just found are free beside the head at its reservation, and take them there if so."""
    first = w.count[C_PUTS]
    masks = np.empty(kind.pieces, np.int64)
    for piece in range(kind.pieces):
        put = w.puts[first + piece]
        task = ix.tasks[put.shape]
        if fits(ahead[put.node], task) == 0:
            for p in range(piece):
                back = w.puts[first + p]
                give_back(ahead[back.node], ix.tasks[back.shape], masks[p])
            return False
        masks[piece] = take(ahead[put.node], task, device)
    return True
