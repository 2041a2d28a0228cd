"""Jobs as dynamic keys see them, and the waiting list of a preemptive order."""

from __future__ import annotations

from apportion.engine.jit import inner
from apportion.engine.layout import PENDING
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
