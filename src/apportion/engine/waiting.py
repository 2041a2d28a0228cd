"""Jobs as dynamic keys see them, and the waiting list of a preemptive order."""

from __future__ import annotations

import numpy as np

from apportion.engine.jit import inner
from apportion.engine.layout import PENDING, REJECTED
from apportion.engine.sorting import sorted_by
from apportion.engine.world import call_job_key, extra, jobs, kinds, parts, subject, waiting


@inner
def fill_view(w, j, now):
    """Describe job j as a `JOB` record for a dynamic key."""
    job = jobs(w)[j]
    view = subject(w)[0]
    ran = now - job.started if job.run >= 0 else 0.0
    view.submit = job.submit
    view.duration = job.estimate
    view.gpus = kinds(w)[job.kind].milli / 1000
    view.attained = job.ran + ran
    view.remaining = job.remaining - ran * job.rate
    view.running = 1 if job.run >= 0 else 0
    view.preemptions = job.preemptions
    more = extra(w)[j]
    view.priority = more.priority
    view.deadline = more.deadline
    view.user = more.user
    view.group = more.group
    return view


@inner
def wait(w, j):
    """Put job j among the waiting jobs of its partition, which are kept in order of their keys."""
    job = jobs(w)[j]
    now = w.now
    job.state = PENDING
    job.sequence = w.sequence
    w.sequence += 1
    w.pending += 1
    kinds(w)[job.kind].pending += 1
    key = call_job_key(w.job_key_kernel, fill_view(w, j, now), now)
    first = parts(w)[job.part].first
    n = parts(w)[job.part].waiting
    line = waiting(w)
    low, high = first, first + n
    while low < high:
        middle = (low + high) >> 1
        if line[middle].key <= key:
            low = middle + 1
        else:
            high = middle
    for i in range(first + n, low, -1):
        line[i] = line[i - 1]
    line[low].key = key
    line[low].job = j
    parts(w)[job.part].waiting += 1


@inner
def wait_together(w, begin, end):
    """Put the jobs begin..end-1 among the waiting ones, as `wait` would one after the other; return how many.

    Each on its own would move all that wait behind it: too much for a queue of thousands that is there at once.
    """
    found = np.empty(end - begin, np.int32)
    sequence = np.empty(end - begin, np.int64)
    keys = np.empty(end - begin)
    n = 0
    now = w.now
    for j in range(begin, end):
        job = jobs(w)[j]
        if job.state == REJECTED:
            continue
        job.state = PENDING
        job.sequence = w.sequence
        w.sequence += 1
        kinds(w)[job.kind].pending += 1
        found[n] = j
        sequence[n] = job.sequence
        keys[n] = call_job_key(w.job_key_kernel, fill_view(w, j, now), now)
        n += 1
    w.pending += n
    order = sorted_by(keys[:n], sequence[:n])
    for part in range(w.parts_n):
        _merge(w, part, found, keys, order)
    return n


@inner
def _merge(w, part, found, keys, order):
    """Put those of the jobs that are of a partition into its line, `order` being ascending."""
    new = 0
    for i in order:
        new += jobs(w)[found[i]].part == part
    line = waiting(w)
    first = parts(w)[part].first
    old = first + parts(w)[part].waiting - 1
    at = old + new
    parts(w)[part].waiting += new
    for k in range(order.size - 1, -1, -1):
        i = order[k]
        if jobs(w)[found[i]].part != part:
            continue
        while old >= first and line[old].key > keys[i]:
            line[at] = line[old]
            at -= 1
            old -= 1
        line[at].key = keys[i]
        line[at].job = found[i]
        at -= 1
