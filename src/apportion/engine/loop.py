"""The event loop: from one arrival, completion, timer or failure to the next."""

from __future__ import annotations

import math

import numpy as np

from apportion.engine.fit import take_again
from apportion.engine.index import touch
from apportion.engine.jit import entry, inner
from apportion.engine.layout import (
    DONE,
    GROW,
    KEY_NONE,
    KEY_PREEMPTIVE,
    LOOK,
    PAUSE,
    PENDING,
    REJECTED,
    ROUND,
)
from apportion.engine.moves import (
    enqueue,
    finish,
    has_room_to_log,
    next_end,
    open_run,
    pop_end,
    push_end,
    start,
    stop,
)
from apportion.engine.waiting import wait, wait_together
from apportion.engine.world import (
    call_pass,
    heap,
    jobs,
    kinds,
    nodes,
    outside,
    parts,
    puts,
    reach,
    running,
    runs,
    tasks,
)


@entry
def run(root):
    """Run until nothing is left to happen (`DONE`), the log is full (`GROW`), an allocator is due (`ROUND`), a watcher
    wants to look (`LOOK`), or a slice of events is over (`PAUSE`). Call again to go on."""
    w = root[0]
    slice_end = w.events + w.slice
    while True:
        if w.pass_due == 0:
            if w.events >= slice_end:
                return PAUSE
            due = _advance(w)
            if due != ROUND:
                return due
            changed = _ends(w) + _failures(w) + _arrivals(w)
            if w.wake_at <= w.now:
                w.wake_at = np.inf
            w.pass_due = 1
            w.passes += 1
            if w.mode == KEY_NONE:
                w.pass_due = 0
                due_now = w.round_at <= w.now or (w.wake_on_change and changed > 0)
                if due_now and w.running_count + w.pending > 0:
                    return ROUND
                continue
        if (w.pending > 0 or w.attentive) and call_pass(w.pass_kernel, w) == GROW:
            return GROW
        w.pass_due = 0
        w.released = 0
        w.touched_count = 0


@inner
def _advance(w):
    """Move the clock to the next event; return `DONE` when there is none before the end, `LOOK` when a watcher looks
    before it."""
    t = next_end(w)
    if w.arrived < w.jobs_n:
        t = min(t, jobs(w)[w.arrived].submit)
    if w.outside_at < w.outside_n and (w.running_count + w.pending > 0 or w.arrived < w.jobs_n):
        t = min(t, outside(w)[w.outside_at].time)
    t = min(t, w.wake_at)
    if w.running_count + w.pending > 0:
        t = min(t, w.round_at)
    elif w.round_at < t < np.inf and w.mode == KEY_NONE:
        # no round while the cluster is empty: the next one follows the next arrival
        w.round_at = t
    granularity = w.granularity
    if granularity > 0 and t < np.inf:
        t = math.ceil(t / granularity) * granularity
    if min(t, w.look_at) > w.until or (t == np.inf and w.pending == 0):
        return DONE
    if w.look_at < t:
        w.now = max(w.look_at, w.now)
        return LOOK
    if t == np.inf:
        return DONE
    w.now = max(t, w.now)
    return ROUND


@inner
def _ends(w):
    n = 0
    while next_end(w) <= w.now:
        r = heap(w)[0].run
        pop_end(w)
        finish(w, r)
        n += 1
    w.events += n
    return n


@inner
def _arrivals(w):
    n = 0
    now = w.now
    first = w.arrived
    while w.arrived < w.jobs_n and jobs(w)[w.arrived].submit <= now:
        j = w.arrived
        w.arrived += 1
        if jobs(w)[j].state != REJECTED and w.mode != KEY_PREEMPTIVE:
            _admit(w, j)
            n += 1
    if w.mode == KEY_PREEMPTIVE and w.arrived > first:
        n = wait_together(w, first, w.arrived)
    w.events += n
    return n


@inner
def _admit(w, j):
    mode = w.mode
    if mode == KEY_PREEMPTIVE:
        wait(w, j)
    elif mode == KEY_NONE:
        jobs(w)[j].state = PENDING
        jobs(w)[j].sequence = w.sequence
        w.sequence += 1
        w.pending += 1
    else:
        enqueue(w, j)


@inner
def _failures(w):
    n = 0
    while w.outside_at < w.outside_n and outside(w)[w.outside_at].time <= w.now:
        i = w.outside_at
        w.outside_at += 1
        node = outside(w)[i].node
        if nodes(w)[node].up == outside(w)[i].up:
            continue
        _set_up(w, node, outside(w)[i].up)
        if not outside(w)[i].up:
            _kill_jobs_on(w, node)
        n += 1
    w.events += n
    return n


@inner
def _set_up(w, node, up):
    nodes(w)[node].up = up
    touch(w, node)
    milli = nodes(w)[node].gpus * 1000
    for part in range(w.parts_n):
        if reach(w)[part * w.nodes_n + node]:
            parts(w)[part].quota += milli if up else -milli
    if up:
        w.released += 1


@inner
def _kill_jobs_on(w, node):
    """Stop every job with a task on a failed node; it starts again from its last checkpoint."""
    hit = np.empty(w.running_count, np.int64)
    n = 0
    for i in range(w.running_count):
        j = running(w)[i]
        run = runs(w)[jobs(w)[j].run]
        for p in range(run.put, run.put + run.pieces):
            if puts(w)[p].node == node:
                hit[n] = jobs(w)[j].run
                n += 1
                break
    # in the order in which they started, whatever the order of the list
    for i in range(1, n):
        for k in range(i, 0, -1):
            if hit[k - 1] <= hit[k]:
                break
            hit[k - 1], hit[k] = hit[k], hit[k - 1]
    for r in hit[:n]:
        j = runs(w)[r].job
        stop(w, j)
        job = jobs(w)[j]
        interval = w.checkpoint_interval
        done = max(job.work - job.remaining, 0.0)
        kept = math.floor(done / interval) * interval if interval > 0 else 0.0
        job.remaining = job.work - kept
        job.restarts += 1
        _admit(w, j)


@entry
def switch(root, node, up):
    """Open or close a node on which nothing runs; what waits is looked at again when one opens."""
    w = root[0]
    if nodes(w)[node].up != up:
        _set_up(w, node, up)
        if up and w.mode != KEY_NONE:
            w.pass_due = 1
        elif up:
            w.round_at = min(w.round_at, w.now)


@entry
def carry_out(root, stopped, started, kind, end):
    """Stop jobs, then start others, each to end at a time of its own (inf = not yet); f8[started].

    Return how many were started or could not be, in order; fewer than asked for when the log is full. Those that did
    not fit get the end -1.
    """
    w = root[0]
    for j in stopped:
        stop(w, j)
        jobs(w)[j].preemptions += 1
        jobs(w)[j].state = PENDING
        jobs(w)[j].sequence = w.sequence
        w.sequence += 1
        w.pending += 1
    for i in range(started.size):
        j = started[i]
        k = kinds(w)[kind[i]]
        if not has_room_to_log(w, k.pieces):
            return i
        jobs(w)[j].remaining = end[i] - w.now
        if start(w, j, k):
            w.pending -= 1
        else:
            end[i] = -1.0
    return started.size


@entry
def end_at(root, j, time):
    """Let running job j end at a time that has not passed."""
    w = root[0]
    job = jobs(w)[j]
    job.remaining = time - job.started
    if time <= w.now:
        finish(w, job.run)
        return True
    if w.heap_size >= w.heap_n:
        return False
    push_end(w, time, job.run)
    return True


@entry
def join(root, j, host, shape):
    """Start pending job j beside a running one, on its places and with nothing of its own; False: the log is full."""
    w = root[0]
    beside = runs(w)[jobs(w)[host].run]
    if not has_room_to_log(w, beside.pieces):
        return False
    for p in range(beside.pieces):
        put = puts(w)[w.put_count + p]
        put.node = puts(w)[beside.put + p].node
        put.mask = puts(w)[beside.put + p].mask
        put.shape = shape
        take_again(nodes(w)[put.node], tasks(w)[shape], 0)
    open_run(w, j, beside.pieces)
    w.pending -= 1
    return True


@entry
def again(root, j, run, rate):
    """Let running job j go on at another rate, as a new run: where it is (run = -1), or in the place of a run that is
    over, with what that one held; False: the log is full."""
    w = root[0]
    old = runs(w)[run if run >= 0 else jobs(w)[j].run]
    if not has_room_to_log(w, old.pieces):
        return False
    stop(w, j)
    for p in range(old.pieces):
        put = puts(w)[w.put_count + p]
        put.node = puts(w)[old.put + p].node
        put.mask = puts(w)[old.put + p].mask
        put.shape = puts(w)[old.put + p].shape
        take_again(nodes(w)[put.node], tasks(w)[put.shape], put.mask)
        touch(w, put.node)
    jobs(w)[j].rate = rate
    open_run(w, j, old.pieces)
    return True
