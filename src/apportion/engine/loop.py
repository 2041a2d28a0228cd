"""The event loop: from one arrival, completion, timer or failure to the next."""

from __future__ import annotations

import math

import numpy as np

from apportion.engine.easy import pass_easy
from apportion.engine.index import touch
from apportion.engine.jit import entry, inner
from apportion.engine.layout import (
    DONE,
    EASY,
    GROW,
    KEY_JOB,
    KEY_NONE,
    KEY_PREEMPTIVE,
    PAUSE,
    PENDING,
    REJECTED,
    ROUND,
)
from apportion.engine.moves import enqueue, finish, next_end, pop_end, stop
from apportion.engine.passes import pass_heads, pass_keys
from apportion.engine.preempt import pass_preemptive, wait
from apportion.engine.world import (
    C_ARRIVED,
    C_EVENTS,
    C_OUTSIDE,
    C_PASS_DUE,
    C_PASSES,
    C_PENDING,
    C_RELEASED,
    C_RUNNING,
    C_SEQUENCE,
    C_TOUCHED,
    G_BACKFILL,
    G_KEY,
    G_SLICE,
    G_WAKE,
    S_CHECKPOINT_INTERVAL,
    S_GRANULARITY,
    S_UNTIL,
    T_NOW,
    T_ROUND,
    T_WAKE,
)


@entry
def run(w, ix, score, device, job_key, share_key):
    """Run until nothing is left to happen (`DONE`), the log is full (`GROW`), an allocator is due (`ROUND`), or a slice
    of events is over (`PAUSE`). Call again to go on."""
    slice_end = w.count[C_EVENTS] + w.config[G_SLICE]
    while True:
        if w.count[C_PASS_DUE] == 0:
            if w.count[C_EVENTS] >= slice_end:
                return PAUSE
            due = _advance(w)
            if due == DONE:
                return DONE
            changed = _ends(w, ix) + _failures(w, ix, job_key) + _arrivals(w, job_key)
            if w.clock[T_WAKE] <= w.clock[T_NOW]:
                w.clock[T_WAKE] = np.inf
            w.count[C_PASS_DUE] = 1
            w.count[C_PASSES] += 1
            if w.config[G_KEY] == KEY_NONE:
                w.count[C_PASS_DUE] = 0
                if w.clock[T_ROUND] <= w.clock[T_NOW] or (w.config[G_WAKE] and changed > 0):
                    return ROUND
                continue
        if _schedule(w, ix, score, device, job_key, share_key) == GROW:
            return GROW
        w.count[C_PASS_DUE] = 0
        w.count[C_RELEASED] = 0
        w.count[C_TOUCHED] = 0


@inner
def _advance(w):
    """Move the clock to the next event; return `DONE` when there is none before the end."""
    t = next_end(w)
    if w.count[C_ARRIVED] < w.jobs.size:
        t = min(t, w.jobs[w.count[C_ARRIVED]].submit)
    if w.count[C_OUTSIDE] < w.outside.time.size and (
        w.count[C_RUNNING] + w.count[C_PENDING] > 0 or w.count[C_ARRIVED] < w.jobs.size
    ):
        t = min(t, w.outside.time[w.count[C_OUTSIDE]])
    t = min(t, w.clock[T_WAKE])
    if w.count[C_RUNNING] + w.count[C_PENDING] > 0:
        t = min(t, w.clock[T_ROUND])
    elif w.clock[T_ROUND] < t < np.inf and w.config[G_KEY] == KEY_NONE:
        # no round while the cluster is empty: the next one follows the next arrival
        w.clock[T_ROUND] = t
    granularity = w.setting[S_GRANULARITY]
    if granularity > 0 and t < np.inf:
        t = math.ceil(t / granularity) * granularity
    if t == np.inf or t > w.setting[S_UNTIL]:
        return DONE
    w.clock[T_NOW] = max(t, w.clock[T_NOW])
    return ROUND


@inner
def _ends(w, ix):
    n = 0
    while next_end(w) <= w.clock[T_NOW]:
        r = w.heap.run[0]
        pop_end(w)
        finish(w, ix, r)
        n += 1
    w.count[C_EVENTS] += n
    return n


@inner
def _arrivals(w, job_key):
    n = 0
    now = w.clock[T_NOW]
    while w.count[C_ARRIVED] < w.jobs.size and w.jobs[w.count[C_ARRIVED]].submit <= now:
        j = w.count[C_ARRIVED]
        w.count[C_ARRIVED] += 1
        if w.jobs[j].state != REJECTED:
            _admit(w, j, job_key)
            n += 1
    w.count[C_EVENTS] += n
    return n


@inner
def _admit(w, j, job_key):
    mode = w.config[G_KEY]
    if mode == KEY_PREEMPTIVE:
        wait(w, j, job_key)
    elif mode == KEY_NONE:
        w.jobs[j].state = PENDING
        w.jobs[j].sequence = w.count[C_SEQUENCE]
        w.count[C_SEQUENCE] += 1
        w.count[C_PENDING] += 1
    else:
        enqueue(w, j)


@inner
def _failures(w, ix, job_key):
    n = 0
    while w.count[C_OUTSIDE] < w.outside.time.size and w.outside.time[w.count[C_OUTSIDE]] <= w.clock[T_NOW]:
        i = w.count[C_OUTSIDE]
        w.count[C_OUTSIDE] += 1
        node = w.outside.node[i]
        if ix.nodes[node].up == w.outside.up[i]:
            continue
        ix.nodes[node].up = w.outside.up[i]
        touch(ix, node)
        milli = ix.nodes[node].gpus * 1000
        for part in range(w.quota.size):
            if w.reach[part, node]:
                w.quota[part] += milli if w.outside.up[i] else -milli
        if w.outside.up[i]:
            w.count[C_RELEASED] += 1
        else:
            _kill_jobs_on(w, ix, node, job_key)
        n += 1
    w.count[C_EVENTS] += n
    return n


@inner
def _kill_jobs_on(w, ix, node, job_key):
    """Stop every job with a task on a failed node; it starts again from its last checkpoint."""
    hit = np.empty(w.count[C_RUNNING], np.int64)
    n = 0
    for i in range(w.count[C_RUNNING]):
        j = w.running.jobs[i]
        run = w.runs[w.jobs[j].run]
        for p in range(run.put, run.put + run.pieces):
            if w.puts[p].node == node:
                hit[n] = w.jobs[j].run
                n += 1
                break
    # in the order in which they started, whatever the order of the list
    for r in np.sort(hit[:n]):
        j = w.runs[r].job
        stop(w, ix, j)
        job = w.jobs[j]
        interval = w.setting[S_CHECKPOINT_INTERVAL]
        done = max(job.work - job.remaining, 0.0)
        kept = math.floor(done / interval) * interval if interval > 0 else 0.0
        job.remaining = job.work - kept
        job.restarts += 1
        _admit(w, j, job_key)


@inner
def _schedule(w, ix, score, device, job_key, share_key):
    if w.count[C_PENDING] == 0:
        return DONE
    if w.config[G_KEY] == KEY_PREEMPTIVE:
        return pass_preemptive(w, ix, score, device, job_key)
    if w.config[G_BACKFILL] == EASY:
        return pass_easy(w, ix, score, device, job_key)
    if w.config[G_KEY] == KEY_JOB:
        return pass_keys(w, ix, score, device, job_key)
    return pass_heads(w, ix, score, device, share_key)


@entry
def suspend(w, ix, j):
    """Stop running job j for an allocator; it waits with its progress kept and its checkpoint cost added."""
    stop(w, ix, j)
    job = w.jobs[j]
    job.remaining += job.checkpoint_cost
    job.preemptions += 1
    job.state = PENDING
    job.sequence = w.count[C_SEQUENCE]
    w.count[C_SEQUENCE] += 1
    w.count[C_PENDING] += 1
