"""Feedback queues: a job sinks from queue to queue by the service it has received, and may be lifted again.

Gu et al., "Tiresias", NSDI 2019, and the simulator released with it. At every arrival, end and move between queues all
jobs of a partition are planned anew, queue by queue, and inside a queue those that run before those that wait, each in
the order in which it came to stand there, or by index. Who moves into a queue goes to its end. Planned jobs are given
what they ask for while it lasts, the others are preempted: `engine.preempt`. A single queue may be kept by a key
instead; of equal keys, the job that stood in front before goes first, whether it runs or not.
"""

from __future__ import annotations

import math

import numpy as np

from apportion.engine.jit import compiled, inner
from apportion.engine.layout import DONE, GROW
from apportion.engine.preempt import carry_out, count_off, fill, open_to, running_of, take_fixed
from apportion.engine.sorting import sorted_by
from apportion.engine.waiting import fill_view
from apportion.engine.world import (
    PASS_SIGNATURE,
    call_job_key,
    index_above,
    index_value,
    jobs,
    kinds,
    limits,
    parts,
    running,
    standing,
    waiting,
)

SLACK = 1e-3
"""Service that a job may lack to have reached a limit: clocks of long runs are no finer."""


@compiled(PASS_SIGNATURE)
def pass_feedback(w):
    """Move jobs between queues, plan every partition anew, preempt, place; then say when the next job moves."""
    for part in range(w.parts_n):
        found = _active(w, part)
        for j in found:
            if standing(w)[j].seen != w.passes:
                _move(w, j, found.size)
        order = found[_in_order(w, found)]
        planned, outside = _plan(w, part, order)
        if carry_out(w, part, planned, outside) == GROW:
            return GROW
        order = _stand(w, order)
        _line_up(w, part, order)
        if w.conserve and not fill(w, part):
            return GROW
    w.wake_at = _next_move(w)
    return DONE


@inner
def _active(w, part):
    """Return the jobs of a partition that run or wait, by row."""
    first = parts(w)[part].first
    n = parts(w)[part].waiting
    found = np.empty(n + w.running_count, np.int32)
    for i in range(n):
        found[i] = waiting(w)[first + i].job
    found = found[: running_of(w, part, found, n)]
    found.sort()
    return found


@inner
def _executed(w, j):
    """Return the seconds a job has run since it was last lifted."""
    job = jobs(w)[j]
    return job.ran + (w.now - job.started if job.run >= 0 else 0.0) - standing(w)[j].lifted


@inner
def _width(w, j):
    """Return by how much a second of running counts."""
    return kinds(w)[jobs(w)[j].kind].milli / 1000 if w.by_gpu_time else 1.0


@inner
def _move(w, j, n):
    """Count what a job received or waited since the last look, and find the queue and the place in it that follow.

    n: jobs looked at; places up to it are taken.
    """
    own = standing(w)[j]
    ran = _executed(w, j)
    last = w.limits_n
    if own.seen < 0:
        # new here, or here from an earlier run
        while own.level < last and ran * _width(w, j) + SLACK >= limits(w)[own.level]:
            own.level += 1
        own.place = n + j + (jobs(w)[j].run < 0) * w.jobs_n
    elif jobs(w)[j].run >= 0:
        if own.level < last and ran * _width(w, j) + SLACK >= limits(w)[own.level]:
            own.level += 1
            own.place = n + own.number + 2 * w.jobs_n
    elif ran > 0:
        own.waited += w.now - own.checked
        if w.promote > 0 and own.level > 0 and own.waited + SLACK >= ran * w.promote:
            own.level = 0
            own.lifted += ran
            own.waited = 0.0
            own.place = n + own.number + 2 * w.jobs_n
    own.checked = w.now
    own.seen = w.passes


@inner
def _index(w, j):
    """Return the index of a job: the first entry of the table whose bound is above what it received."""
    service = _executed(w, j) * _width(w, j)
    low, high = 0, w.index_above_n
    while low < high:
        middle = (low + high) >> 1
        if index_above(w)[middle] > service:
            high = middle
        else:
            low = middle + 1
    return index_value(w)[low] if low < w.index_above_n else 0.0


@inner
def _in_order(w, found):
    """Return positions in `found`, which is ascending: by queue or key, then by index or place."""
    n = found.size
    ties = np.empty(n, np.int64)
    levels = np.empty(n)
    for i in range(n):
        levels[i] = standing(w)[found[i]].level
        ties[i] = standing(w)[found[i]].place
    if w.by_key:
        for i in range(n):
            levels[i] = call_job_key(w.job_key_kernel, fill_view(w, found[i], w.now), w.now)
    elif w.index_above_n > 0:
        keys = np.empty(n)
        for i in range(n):
            keys[i] = -_index(w, found[i])
        best = sorted_by(keys, np.arange(n))
        for i in range(n):
            ties[best[i]] = i
    return sorted_by(levels, ties)


@inner
def _plan(w, part, order):
    """Return (waiting jobs to place in order, running jobs to preempt in order)."""
    quota = parts(w)[part].quota
    left = open_to(w, part)
    for j in order:
        if jobs(w)[j].run >= 0 and not jobs(w)[j].preemptible:
            quota -= take_fixed(w, j, left)
    planned = np.empty(order.size, np.int32)
    outside = np.empty(order.size, np.int32)
    p = e = 0
    for j in order:
        on = jobs(w)[j].run >= 0
        if on and not jobs(w)[j].preemptible:
            continue
        milli = kinds(w)[jobs(w)[j].kind].milli
        if milli <= quota and count_off(w, j, left):
            quota -= milli
            if not on:
                planned[p] = j
                p += 1
        elif on:
            outside[e] = j
            e += 1
    return planned[:p], outside[:e]


@inner
def _stand(w, order):
    """Let those of each queue that run stand before those that wait; return the jobs in that order."""
    if not w.by_key:
        keys = np.empty(order.size)
        for i in range(order.size):
            keys[i] = 2 * standing(w)[order[i]].level + (jobs(w)[order[i]].run < 0)
        order = order[sorted_by(keys, np.arange(order.size))]
    for i in range(order.size):
        standing(w)[order[i]].place = i
    return order


@inner
def _line_up(w, part, order):
    """Let the waiting jobs of a partition stand in this order, which is also how what is left is given away."""
    at = parts(w)[part].first
    for j in order:
        if jobs(w)[j].run < 0:
            waiting(w)[at].job = j
            at += 1


@inner
def _next_move(w):
    """Return when the next job reaches a limit or has waited for long enough."""
    soonest = np.inf
    for i in range(w.running_count):
        j = running(w)[i]
        own = standing(w)[j]
        if own.level < w.limits_n:
            ran, limit = _executed(w, j), limits(w)[own.level]
            if w.late_moves:
                # the released simulator divides what is left in seconds by the GPUs a second time
                soonest = min(soonest, math.ceil((limit - ran) / _width(w, j)) + w.now)
            else:
                soonest = min(soonest, limit / _width(w, j) - ran + w.now)
    if w.promote > 0:
        for part in range(w.parts_n):
            first = parts(w)[part].first
            for i in range(first, first + parts(w)[part].waiting):
                own = standing(w)[waiting(w)[i].job]
                ran = _executed(w, waiting(w)[i].job)
                wait = ran * w.promote - own.waited
                if own.level > 0 and ran > 0 and wait > 0:
                    soonest = min(soonest, w.now + wait)
    # nothing comes of a look at the same moment again
    return max(soonest, w.now + SLACK)
