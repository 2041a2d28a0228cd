"""Scheduling passes of non-preemptive orders: who starts now, given the queue and what is free."""

from __future__ import annotations

import numpy as np

from apportion.engine import bits
from apportion.engine.index import current
from apportion.engine.jit import inner
from apportion.engine.layout import DONE, GROW, KEY_SHARE, SKIP, STRICT
from apportion.engine.moves import accrue, dequeue, has_room_to_log, room_for, start
from apportion.engine.world import (
    active,
    candidates,
    extra,
    job_at,
    jobs,
    kinds,
    levels,
    queues,
    shares,
    subject,
    touched,
    words,
)


@inner
def pass_heads(w, score, device, share_key):
    """Start jobs by static keys, or by the share of their user or group; only heads of queues are looked at.

    Under `skip` a queue holds jobs that ask for the same, so a head that does not fit speaks for all of them; when
    nothing was given back since the last pass only the queues that got a job can have an answer. Under `strict` a
    queue holds the jobs of a partition, and the first head that does not fit blocks it.
    """
    strict = w.backfill == STRICT
    shared = w.mode == KEY_SHARE
    now = w.now
    chosen = candidates(w)
    n = 0
    if strict or w.released > 0:
        for i in range(w.active_count):
            q = active(w)[i]
            if strict or room_for(w, kinds(w)[queues(w)[q].kind], score):
                chosen[n] = q
                n += 1
    else:
        stamp = w.passes
        for i in range(w.touched_count):
            q = touched(w)[i]
            if queues(w)[q].head >= 0 and queues(w)[q].stamp != stamp:
                queues(w)[q].stamp = stamp
                chosen[n] = q
                n += 1
    while n > 0:
        best = -1
        best_rank = 0
        best_key = 0.0
        for i in range(n):
            q = chosen[i]
            rank = jobs(w)[job_at(w)[queues(w)[q].head]].rank
            key = 0.0
            if shared:
                share = shares(w)[queues(w)[q].share]
                accrue(share, now)
                key = share_key(share, now)
            if best < 0 or key < best_key or (key == best_key and rank < best_rank):
                best, best_rank, best_key = i, rank, key
        q = chosen[best]
        j = job_at(w)[queues(w)[q].head]
        kind = kinds(w)[jobs(w)[j].kind]
        if not has_room_to_log(w, kind.pieces):
            return GROW
        if start(w, j, kind, score, device, w.ties):
            dequeue(w, j)
            if queues(w)[q].head < 0:
                n -= 1
                chosen[best] = chosen[n]
        elif strict:
            part = queues(w)[q].part
            kept = 0
            for i in range(n):
                if queues(w)[chosen[i]].part != part:
                    chosen[kept] = chosen[i]
                    kept += 1
            n = kept
        else:
            n -= 1
            chosen[best] = chosen[n]
    return DONE


@inner
def fill_view(w, j, now):
    """Describe job j as a `JOB` record for a dynamic key."""
    job = jobs(w)[j]
    view = subject(w)[0]
    ran = (now - job.started) * job.rate if job.run >= 0 else 0.0
    view.submit = job.submit
    view.duration = job.estimate
    view.gpus = kinds(w)[job.kind].milli / 1000
    view.attained = max(job.work - job.remaining + ran, 0.0)
    view.remaining = job.remaining - ran
    view.running = 1 if job.run >= 0 else 0
    view.preemptions = job.preemptions
    more = extra(w)[j]
    view.priority = more.priority
    view.deadline = more.deadline
    view.user = more.user
    view.group = more.group
    return view


@inner
def sorted_pending(w, score, job_key, part):
    """Return the pending jobs of a partition (-1: all that may fit) by dynamic key, ties by rank."""
    now = w.now
    n = 0
    found = np.empty(w.pending, np.int32)
    for i in range(w.active_count):
        q = active(w)[i]
        if part >= 0 and queues(w)[q].part != part:
            continue
        if part < 0 and queues(w)[q].kind >= 0 and not room_for(w, kinds(w)[queues(w)[q].kind], score):
            continue
        slot = queues(w)[q].head
        while slot >= 0:
            found[n] = job_at(w)[slot]
            n += 1
            slot = bits.first_from(words(w), levels(w), slot + 1, queues(w)[q].end)
    found = found[:n]
    ranks = np.empty(n, np.int32)
    for i in range(n):
        ranks[i] = jobs(w)[found[i]].rank
    found = found[np.argsort(ranks, kind="mergesort")]
    keys = np.empty(n)
    for i in range(n):
        keys[i] = job_key(fill_view(w, found[i], now), now)
    return found[np.argsort(keys, kind="mergesort")]


@inner
def pass_keys(w, score, device, job_key):
    """Start jobs by a key that changes with time: every pending job that may fit is looked at."""
    strict = w.backfill != SKIP
    stamp = w.passes
    blocked = np.zeros(w.parts_n, np.bool_)
    for j in sorted_pending(w, score, job_key, -1):
        kind = kinds(w)[jobs(w)[j].kind]
        part = jobs(w)[j].part
        if blocked[part] or kind.blocked == stamp:
            continue
        if not has_room_to_log(w, kind.pieces):
            return GROW
        if start(w, j, kind, score, device, w.ties):
            dequeue(w, j)
        elif strict:
            blocked[part] = True
        else:
            kind.blocked = stamp
    return DONE


@inner
def any_kind_fits(w, score):
    """Say whether a pending class may fit now."""
    for k in range(w.kinds_n):
        if kinds(w)[k].pending > 0 and room_for(w, kinds(w)[k], score):
            return True
    return False


@inner
def least_pending(w):
    """Return the smallest milli-GPU that a pending job asks for."""
    least = np.int64(1) << 62
    for k in range(w.kinds_n):
        if kinds(w)[k].pending > 0 and kinds(w)[k].milli < least:
            least = kinds(w)[k].milli
    return least


@inner
def total_room(w, shape, score):
    """Return how many tasks of a shape fit now, over all nodes."""
    return w.total[current(w, shape, score)]
