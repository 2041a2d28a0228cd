"""The moves of a run: a job enters the queue, is started on nodes, is stopped; and what is kept up to date with it."""

from __future__ import annotations

import numpy as np

from apportion.engine import bits
from apportion.engine.fit import give_back, take
from apportion.engine.index import best_node, current, touch
from apportion.engine.jit import inner
from apportion.engine.layout import ENDED, KEY_SHARE, PENDING, RUNNING
from apportion.engine.world import (
    C_ACTIVE,
    C_ENDED,
    C_HEAP,
    C_PENDING,
    C_PUTS,
    C_RELEASED,
    C_RUNNING,
    C_RUNS,
    C_SEQUENCE,
    C_TOUCHED,
    G_KEY,
    T_NOW,
)


@inner
def enqueue(w, j):
    """Put job j into its queue."""
    job = w.jobs[j]
    job.state = PENDING
    job.sequence = w.count[C_SEQUENCE]
    w.count[C_SEQUENCE] += 1
    w.count[C_PENDING] += 1
    w.kinds[job.kind].pending += 1
    q = job.queue
    bits.insert(w.queue.pending, job.slot)
    head = w.queue.head[q]
    if head < 0:
        w.queue.active[w.count[C_ACTIVE]] = q
        w.queue.active_at[q] = w.count[C_ACTIVE]
        w.count[C_ACTIVE] += 1
    if head < 0 or job.slot < head:
        w.queue.head[q] = job.slot
    w.touched[w.count[C_TOUCHED]] = q
    w.count[C_TOUCHED] += 1
    if w.config[G_KEY] == KEY_SHARE:
        w.shares[job.share].pending += 1


@inner
def dequeue(w, j):
    """Take job j out of its queue."""
    job = w.jobs[j]
    w.count[C_PENDING] -= 1
    w.kinds[job.kind].pending -= 1
    q = job.queue
    bits.remove(w.queue.pending, job.slot)
    if w.queue.head[q] == job.slot:
        head = bits.first_from(w.queue.pending, job.slot + 1, w.queue.offset[q + 1])
        w.queue.head[q] = head
        if head < 0:
            last = w.queue.active[w.count[C_ACTIVE] - 1]
            at = w.queue.active_at[q]
            w.queue.active[at] = last
            w.queue.active_at[last] = at
            w.count[C_ACTIVE] -= 1
    if w.config[G_KEY] == KEY_SHARE:
        w.shares[job.share].pending -= 1


@inner
def room_for(ix, kind, score):
    """Say whether the pieces of a class can fit now (for a job with a smaller last piece: whether they may)."""
    k = current(ix, kind.shape, score)
    if ix.total[k] < kind.count:
        return False
    if kind.rest >= 0:
        k = current(ix, kind.rest, score)
        return ix.total[k] > 0
    return True


@inner
def place(w, ix, kind, score, device, ties):
    """Allocate every piece of a class, or nothing; the places go to the end of `puts`. Return whether it fitted."""
    if not room_for(ix, kind, score):
        return False
    first = w.count[C_PUTS]
    for piece in range(kind.pieces):
        shape = kind.shape if piece < kind.count else kind.rest
        n = best_node(ix, current(ix, shape, score), ties)
        if n < 0:
            for p in range(first, first + piece):
                put = w.puts[p]
                give_back(ix.nodes[put.node], ix.tasks[put.shape], put.mask)
                touch(ix, put.node)
            return False
        put = w.puts[first + piece]
        put.mask = take(ix.nodes[n], ix.tasks[shape], device)
        put.node = n
        put.shape = shape
        touch(ix, n)
    return True


@inner
def start(w, ix, j, kind, score, device, ties):
    """Start job j if it fits; return whether it did. The caller takes it out of its queue."""
    if not place(w, ix, kind, score, device, ties):
        return False
    commit(w, j, kind)
    return True


@inner
def unplace(w, ix, kind):
    """Undo `place` before it was committed."""
    for p in range(w.count[C_PUTS], w.count[C_PUTS] + kind.pieces):
        put = w.puts[p]
        give_back(ix.nodes[put.node], ix.tasks[put.shape], put.mask)
        touch(ix, put.node)


@inner
def commit(w, j, kind):
    """Let job j run on the places that `place` just found."""
    now = w.clock[T_NOW]
    job = w.jobs[j]
    r = w.count[C_RUNS]
    run = w.runs[r]
    run.start = now
    run.end = np.inf
    run.put = w.count[C_PUTS]
    run.job = j
    run.pieces = kind.pieces
    w.count[C_RUNS] += 1
    w.count[C_PUTS] += kind.pieces
    job.run = r
    job.state = RUNNING
    job.started = now
    job.sequence = w.count[C_SEQUENCE]
    w.count[C_SEQUENCE] += 1
    job.at = w.count[C_RUNNING]
    w.running.jobs[job.at] = j
    w.count[C_RUNNING] += 1
    push_end(w, now + job.remaining / job.rate, r)
    if w.config[G_KEY] == KEY_SHARE:
        share = w.shares[job.share]
        accrue(share, now)
        share.allocated += kind.milli / 1000
        share.running += 1


@inner
def stop(w, ix, j):
    """End the current run of job j now and give its devices back; the job is then neither running nor pending."""
    now = w.clock[T_NOW]
    job = w.jobs[j]
    run = w.runs[job.run]
    run.end = now
    for p in range(run.put, run.put + run.pieces):
        put = w.puts[p]
        give_back(ix.nodes[put.node], ix.tasks[put.shape], put.mask)
        touch(ix, put.node)
    job.remaining -= (now - run.start) * job.rate
    job.run = -1
    last = w.running.jobs[w.count[C_RUNNING] - 1]
    w.running.jobs[job.at] = last
    w.jobs[last].at = job.at
    w.count[C_RUNNING] -= 1
    w.count[C_RELEASED] += 1
    if w.config[G_KEY] == KEY_SHARE:
        share = w.shares[job.share]
        accrue(share, now)
        share.allocated -= w.kinds[job.kind].milli / 1000
        share.running -= 1


@inner
def finish(w, ix, r):
    """End run r, whose job is done."""
    j = w.runs[r].job
    end = w.jobs[j].started + w.jobs[j].remaining / w.jobs[j].rate
    stop(w, ix, j)
    # a run is over when its work is done, even where the release waits for a whole second
    w.runs[r].end = end
    w.jobs[j].remaining = 0.0
    w.jobs[j].state = ENDED
    w.count[C_ENDED] += 1


@inner
def accrue(share, now):
    """Bring the GPU-seconds a user or group has received up to now."""
    share.served += share.allocated * (now - share.since)
    share.since = now


@inner
def push_end(w, time, run):
    """Add the end of a run to the heap."""
    times, runs = w.heap
    i = w.count[C_HEAP]
    w.count[C_HEAP] += 1
    while i > 0:
        parent = (i - 1) >> 1
        if times[parent] < time or (times[parent] == time and runs[parent] < run):
            break
        times[i] = times[parent]
        runs[i] = runs[parent]
        i = parent
    times[i] = time
    runs[i] = run


@inner
def pop_end(w):
    """Remove the soonest end from the heap."""
    times, runs = w.heap
    n = w.count[C_HEAP] - 1
    w.count[C_HEAP] = n
    time, run = times[n], runs[n]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        other = child + 1
        if other < n and (
            times[other] < times[child] or (times[other] == times[child] and runs[other] < runs[child])
        ):
            child = other
        if time < times[child] or (time == times[child] and run < runs[child]):
            break
        times[i] = times[child]
        runs[i] = runs[child]
        i = child
    if n > 0:
        times[i] = time
        runs[i] = run


@inner
def next_end(w):
    """Return the time of the soonest end of a run that still goes on, or infinity."""
    while w.count[C_HEAP] > 0:
        r = w.heap.run[0]
        if w.jobs[w.runs[r].job].run == r:
            return w.heap.time[0]
        pop_end(w)
    return np.inf


@inner
def has_room_to_log(w, pieces):
    """Say whether the log of runs, its places and the heap can take one more run of so many pieces."""
    return (
        w.count[C_RUNS] < w.runs.size
        and w.count[C_HEAP] < w.heap.run.size
        and w.count[C_PUTS] + pieces <= w.puts.size
    )
