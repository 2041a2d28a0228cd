"""Scheduling passes of non-preemptive orders: who starts now, given the queue and what is free."""

from __future__ import annotations

import numpy as np

from apportion.engine import bits
from apportion.engine.index import current
from apportion.engine.jit import inner
from apportion.engine.layout import DONE, GROW, KEY_SHARE, SKIP, STRICT
from apportion.engine.moves import accrue, dequeue, has_room_to_log, room_for, start
from apportion.engine.world import (
    C_ACTIVE,
    C_PASSES,
    C_PENDING,
    C_RELEASED,
    C_TOUCHED,
    G_BACKFILL,
    G_KEY,
    G_TIES,
    T_NOW,
)


@inner
def pass_heads(w, ix, score, device, share_key):
    """Start jobs by static keys, or by the share of their user or group; only heads of queues are looked at.

    Under `skip` a queue holds jobs that ask for the same, so a head that does not fit speaks for all of them; when
    nothing was given back since the last pass only the queues that got a job can have an answer. Under `strict` a
    queue holds the jobs of a partition, and the first head that does not fit blocks it.
    """
    strict = w.config[G_BACKFILL] == STRICT
    shared = w.config[G_KEY] == KEY_SHARE
    now = w.clock[T_NOW]
    heads = w.queue.head
    candidates = w.scratch.list
    n = 0
    if strict or w.count[C_RELEASED] > 0:
        for i in range(w.count[C_ACTIVE]):
            q = w.queue.active[i]
            if strict or room_for(ix, w.kinds[w.queue.kind[q]], score):
                candidates[n] = q
                n += 1
    else:
        stamp = w.count[C_PASSES]
        for i in range(w.count[C_TOUCHED]):
            q = w.touched[i]
            if heads[q] >= 0 and w.scratch.other[q] != stamp:
                w.scratch.other[q] = stamp
                candidates[n] = q
                n += 1
    while n > 0:
        best = -1
        best_rank = 0
        best_key = 0.0
        for i in range(n):
            q = candidates[i]
            rank = w.jobs[w.queue.job_at[heads[q]]].rank
            key = 0.0
            if shared:
                share = w.shares[w.queue.share[q]]
                accrue(share, now)
                key = share_key(share, now)
            if best < 0 or key < best_key or (key == best_key and rank < best_rank):
                best, best_rank, best_key = i, rank, key
        q = candidates[best]
        j = w.queue.job_at[heads[q]]
        kind = w.kinds[w.jobs[j].kind]
        if not has_room_to_log(w, kind.pieces):
            return GROW
        if start(w, ix, j, kind, score, device, w.config[G_TIES]):
            dequeue(w, j)
            if heads[q] < 0:
                n -= 1
                candidates[best] = candidates[n]
        elif strict:
            part = w.queue.part[q]
            kept = 0
            for i in range(n):
                if w.queue.part[candidates[i]] != part:
                    candidates[kept] = candidates[i]
                    kept += 1
            n = kept
        else:
            n -= 1
            candidates[best] = candidates[n]
    return DONE


@inner
def fill_view(w, j, now):
    """Describe job j as a `JOB` record for a dynamic key."""
    job = w.jobs[j]
    view = w.scratch.subject[0]
    ran = (now - job.started) * job.rate if job.run >= 0 else 0.0
    view.submit = job.submit
    view.duration = job.estimate
    view.gpus = w.kinds[job.kind].milli / 1000
    view.attained = max(job.work - job.remaining + ran, 0.0)
    view.remaining = job.remaining - ran
    view.running = 1 if job.run >= 0 else 0
    view.preemptions = job.preemptions
    extra = w.extra[j]
    view.priority = extra.priority
    view.deadline = extra.deadline
    view.user = extra.user
    view.group = extra.group
    return view


@inner
def sorted_pending(w, ix, score, job_key, part):
    """Return the pending jobs of a partition (-1: all that may fit) by dynamic key, ties by rank."""
    now = w.clock[T_NOW]
    n = 0
    jobs = np.empty(w.count[C_PENDING], np.int32)
    for i in range(w.count[C_ACTIVE]):
        q = w.queue.active[i]
        if part >= 0 and w.queue.part[q] != part:
            continue
        if part < 0 and w.queue.kind[q] >= 0 and not room_for(ix, w.kinds[w.queue.kind[q]], score):
            continue
        slot = w.queue.head[q]
        while slot >= 0:
            jobs[n] = w.queue.job_at[slot]
            n += 1
            slot = bits.first_from(w.queue.pending, slot + 1, w.queue.offset[q + 1])
    jobs = jobs[:n]
    ranks = np.empty(n, np.int32)
    for i in range(n):
        ranks[i] = w.jobs[jobs[i]].rank
    jobs = jobs[np.argsort(ranks, kind="mergesort")]
    keys = np.empty(n)
    for i in range(n):
        keys[i] = job_key(fill_view(w, jobs[i], now), now)
    return jobs[np.argsort(keys, kind="mergesort")]


@inner
def pass_keys(w, ix, score, device, job_key):
    """Start jobs by a key that changes with time: every pending job that may fit is looked at."""
    strict = w.config[G_BACKFILL] != SKIP
    stamp = w.count[C_PASSES]
    blocked = np.zeros(w.quota.size, np.bool_)
    for j in sorted_pending(w, ix, score, job_key, -1):
        kind = w.kinds[w.jobs[j].kind]
        part = w.jobs[j].part
        if blocked[part] or kind.blocked == stamp:
            continue
        if not has_room_to_log(w, kind.pieces):
            return GROW
        if start(w, ix, j, kind, score, device, w.config[G_TIES]):
            dequeue(w, j)
        elif strict:
            blocked[part] = True
        else:
            kind.blocked = stamp
    return DONE


@inner
def any_kind_fits(w, ix, score):
    """Say whether a pending class may fit now."""
    for k in range(w.kinds.size):
        if w.kinds[k].pending > 0 and room_for(ix, w.kinds[k], score):
            return True
    return False


@inner
def least_pending(w):
    """Return the smallest milli-GPU that a pending job asks for."""
    least = np.int64(1) << 62
    for k in range(w.kinds.size):
        if w.kinds[k].pending > 0 and w.kinds[k].milli < least:
            least = w.kinds[k].milli
    return least


@inner
def total_room(ix, shape, score):
    """Return how many tasks of a shape fit now, over all nodes."""
    return ix.total[current(ix, shape, score)]
