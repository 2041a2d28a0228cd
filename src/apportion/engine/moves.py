"""The moves of a run: a job enters the queue, is started on nodes, is stopped; and what is kept up to date with it."""

from __future__ import annotations

import numpy as np

from apportion.engine import bits
from apportion.engine.fit import give_back
from apportion.engine.index import touch
from apportion.engine.jit import inner
from apportion.engine.layout import ENDED, KEY_SHARE, PENDING, RUNNING
from apportion.engine.world import (
    active,
    call_kind,
    heap,
    jobs,
    kinds,
    levels,
    nodes,
    profile,
    puts,
    queues,
    rates,
    running,
    runs,
    shares,
    tasks,
    touched,
    words,
)


@inner
def enqueue(w, j):
    """Put job j into its queue."""
    job = jobs(w)[j]
    job.state = PENDING
    job.sequence = w.sequence
    w.sequence += 1
    w.pending += 1
    kinds(w)[job.kind].pending += 1
    q = job.queue
    bits.insert(words(w), levels(w), job.slot)
    head = queues(w)[q].head
    if head < 0:
        active(w)[w.active_count] = q
        queues(w)[q].active_at = w.active_count
        w.active_count += 1
    if head < 0 or job.slot < head:
        queues(w)[q].head = job.slot
    touched(w)[w.touched_count] = q
    w.touched_count += 1
    if w.mode == KEY_SHARE:
        shares(w)[job.share].pending += 1


@inner
def dequeue(w, j):
    """Take job j out of its queue."""
    job = jobs(w)[j]
    w.pending -= 1
    kinds(w)[job.kind].pending -= 1
    q = job.queue
    bits.remove(words(w), levels(w), job.slot)
    if queues(w)[q].head == job.slot:
        head = bits.first_from(words(w), levels(w), job.slot + 1, queues(w)[q].end)
        queues(w)[q].head = head
        if head < 0:
            last = active(w)[w.active_count - 1]
            at = queues(w)[q].active_at
            active(w)[at] = last
            queues(w)[last].active_at = at
            w.active_count -= 1
    if w.mode == KEY_SHARE:
        shares(w)[job.share].pending -= 1


@inner
def start(w, j, kind):
    """Start job j if it fits; return whether it did. The caller takes it out of its queue."""
    if call_kind(w.place_kernel, w, kind) == 0:
        return False
    commit(w, j, kind)
    return True


@inner
def unplace(w, kind):
    """Undo `place` before it was committed."""
    for p in range(w.put_count, w.put_count + kind.pieces):
        put = puts(w)[p]
        give_back(nodes(w)[put.node], tasks(w)[put.shape], put.mask)
        touch(w, put.node)


@inner
def commit(w, j, kind):
    """Let job j run on the places that `place` just found."""
    open_run(w, j, kind.pieces)
    if w.mode == KEY_SHARE:
        share = shares(w)[jobs(w)[j].share]
        accrue(share, w.now)
        share.allocated += kind.milli / 1000
        share.running += 1


@inner
def _rate(w, j, pieces):
    """Return how fast job j works on the next so many places of the log: as its slowest piece."""
    row = profile(w)[j]
    if row < 0:
        return 1.0 if row == -1 else jobs(w)[j].rate
    models = w.rates_n // max(w.rates_rows, 1)
    slowest = np.inf
    for p in range(w.put_count, w.put_count + pieces):
        model = nodes(w)[puts(w)[p].node].model
        slowest = min(slowest, rates(w)[row * models + model] if model >= 0 else 1.0)
    return slowest


@inner
def open_run(w, j, pieces):
    """Log that job j runs from now on, on the next so many places of the log."""
    now = w.now
    job = jobs(w)[j]
    if w.profile_n > 0:
        job.rate = _rate(w, j, pieces)
    r = w.run_count
    run = runs(w)[r]
    run.start = now
    run.end = np.inf
    run.rate = job.rate
    run.put = w.put_count
    run.job = j
    run.pieces = pieces
    w.run_count += 1
    w.put_count += pieces
    job.run = r
    job.state = RUNNING
    job.started = now
    job.sequence = w.sequence
    w.sequence += 1
    job.at = w.running_count
    running(w)[job.at] = j
    w.running_count += 1
    push_end(w, now + job.remaining / job.rate, r)


@inner
def stop(w, j):
    """End the current run of job j now and give its devices back; the job is then neither running nor pending."""
    now = w.now
    job = jobs(w)[j]
    run = runs(w)[job.run]
    run.end = now
    for p in range(run.put, run.put + run.pieces):
        put = puts(w)[p]
        give_back(nodes(w)[put.node], tasks(w)[put.shape], put.mask)
        touch(w, put.node)
    job.ran += now - run.start
    job.remaining -= (now - run.start) * job.rate
    job.run = -1
    last = running(w)[w.running_count - 1]
    running(w)[job.at] = last
    jobs(w)[last].at = job.at
    w.running_count -= 1
    w.released += 1
    if w.mode == KEY_SHARE:
        share = shares(w)[job.share]
        accrue(share, now)
        share.allocated -= kinds(w)[job.kind].milli / 1000
        share.running -= 1


@inner
def finish(w, r):
    """End run r, whose job is done."""
    j = runs(w)[r].job
    end = jobs(w)[j].started + jobs(w)[j].remaining / jobs(w)[j].rate
    stop(w, j)
    # a run is over when its work is done, even where the release waits for a whole second
    runs(w)[r].end = end
    if w.mode == KEY_SHARE:
        shares(w)[jobs(w)[j].share].served -= (w.now - end) * kinds(w)[jobs(w)[j].kind].milli / 1000
    jobs(w)[j].remaining = 0.0
    jobs(w)[j].state = ENDED
    w.ended += 1


@inner
def accrue(share, now):
    """Bring the GPU-seconds a user or group has received up to now."""
    share.served += share.allocated * (now - share.since)
    share.since = now


@inner
def _sooner(time, run, end):
    return time < end.time or (time == end.time and run < end.run)


@inner
def push_end(w, time, run):
    """Add the end of a run to the heap."""
    ends = heap(w)
    i = w.heap_size
    w.heap_size += 1
    while i > 0:
        parent = (i - 1) >> 1
        if not _sooner(time, run, ends[parent]):
            break
        ends[i].time = ends[parent].time
        ends[i].run = ends[parent].run
        i = parent
    ends[i].time = time
    ends[i].run = run


@inner
def pop_end(w):
    """Remove the soonest end from the heap."""
    ends = heap(w)
    n = w.heap_size - 1
    w.heap_size = n
    if n == 0:
        return
    time, run = ends[n].time, ends[n].run
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and _sooner(ends[child + 1].time, ends[child + 1].run, ends[child]):
            child += 1
        if _sooner(time, run, ends[child]):
            break
        ends[i].time = ends[child].time
        ends[i].run = ends[child].run
        i = child
    ends[i].time = time
    ends[i].run = run


@inner
def next_end(w):
    """Return the time of the soonest end of a run that still goes on, or infinity."""
    while w.heap_size > 0:
        r = heap(w)[0].run
        if jobs(w)[runs(w)[r].job].run == r:
            return heap(w)[0].time
        pop_end(w)
    return np.inf


@inner
def has_room_to_log(w, pieces):
    """Say whether the log of runs, its places and the heap can take one more run of so many pieces."""
    return w.run_count < w.runs_n and w.heap_size < w.heap_n and w.put_count + pieces <= w.puts_n
