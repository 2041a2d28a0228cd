"""Scheduling passes of non-preemptive orders: who starts now, given the queue and what is free."""

from __future__ import annotations

import numpy as np

from apportion.engine import bits
from apportion.engine.jit import compiled, inner
from apportion.engine.layout import DONE, GROW, KEY_SHARE, SKIP, STRICT
from apportion.engine.moves import accrue, dequeue, has_room_to_log, start
from apportion.engine.sorting import sorted_by
from apportion.engine.waiting import fill_view
from apportion.engine.world import (
    PASS_SIGNATURE,
    active,
    call_job_key,
    call_kind,
    call_share_key,
    candidates,
    job_at,
    jobs,
    kinds,
    levels,
    queues,
    shares,
    touched,
    words,
)


@compiled(PASS_SIGNATURE)
def pass_heads(w):
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
            if strict or call_kind(w.room_kernel, w, kinds(w)[queues(w)[q].kind]) != 0:
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
                key = call_share_key(w.share_key_kernel, share, now)
            if best < 0 or key < best_key or (key == best_key and rank < best_rank):
                best, best_rank, best_key = i, rank, key
        q = chosen[best]
        j = job_at(w)[queues(w)[q].head]
        kind = kinds(w)[jobs(w)[j].kind]
        if not has_room_to_log(w, kind.pieces):
            return GROW
        if start(w, j, kind):
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
            # who asks for the same does not fit either
            asked = queues(w)[q].kind
            kept = 0
            for i in range(n):
                if queues(w)[chosen[i]].kind != asked:
                    chosen[kept] = chosen[i]
                    kept += 1
            n = kept
    return DONE


@inner
def sorted_pending(w, part):
    """Return the pending jobs of a partition (-1: all that may fit) by dynamic key, ties by rank."""
    now = w.now
    n = 0
    found = np.empty(w.pending, np.int32)
    for i in range(w.active_count):
        q = active(w)[i]
        if part >= 0 and queues(w)[q].part != part:
            continue
        if part < 0 and queues(w)[q].kind >= 0 and call_kind(w.room_kernel, w, kinds(w)[queues(w)[q].kind]) == 0:
            continue
        slot = queues(w)[q].head
        while slot >= 0:
            found[n] = job_at(w)[slot]
            n += 1
            slot = bits.first_from(words(w), levels(w), slot + 1, queues(w)[q].end)
    found = found[:n]
    ranks = np.empty(n, np.int64)
    keys = np.empty(n)
    for i in range(n):
        ranks[i] = jobs(w)[found[i]].rank
        keys[i] = call_job_key(w.job_key_kernel, fill_view(w, found[i], now), now)
    return found[sorted_by(keys, ranks)]


@compiled(PASS_SIGNATURE)
def pass_keys(w):
    """Start jobs by a key that changes with time: every pending job that may fit is looked at."""
    strict = w.backfill != SKIP
    stamp = w.passes
    blocked = np.zeros(w.parts_n, np.bool_)
    for j in sorted_pending(w, -1):
        kind = kinds(w)[jobs(w)[j].kind]
        part = jobs(w)[j].part
        if blocked[part] or kind.blocked == stamp:
            continue
        if not has_room_to_log(w, kind.pieces):
            return GROW
        if start(w, j, kind):
            dequeue(w, j)
        elif strict:
            blocked[part] = True
        else:
            kind.blocked = stamp
    return DONE


@inner
def any_kind_fits(w):
    """Say whether a pending class may fit now."""
    for k in range(w.kinds_n):
        if kinds(w)[k].pending > 0 and call_kind(w.room_kernel, w, kinds(w)[k]) != 0:
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
