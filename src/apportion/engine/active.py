"""The jobs that an allocator decides about, read from and written to the table of jobs in one go."""

from __future__ import annotations

import numpy as np

from apportion.engine.jit import entry
from apportion.engine.layout import PENDING, RUNNING
from apportion.engine.moves import has_room_to_log, start, stop
from apportion.engine.world import jobs, kinds


@entry
def active(root, known, since):
    """Return the rows that wait or run, i8: of `known`, which did before, and of those that arrived from `since` on.

    A job that ended never comes back.
    """
    w = root[0]
    found = np.empty(known.size + max(w.arrived - since, 0), np.int64)
    n = 0
    for j in known:
        state = jobs(w)[j].state
        if state in (PENDING, RUNNING):
            found[n] = j
            n += 1
    for j in range(since, w.arrived):
        state = jobs(w)[j].state
        if state in (PENDING, RUNNING):
            found[n] = j
            n += 1
    return found[:n]


@entry
def standing(root, rows):
    """Return (running, submission, work in all, work left now), bool and f8 each, seconds."""
    w = root[0]
    runs = np.zeros(rows.size, np.bool_)
    submit, work, left = np.empty(rows.size), np.empty(rows.size), np.empty(rows.size)
    for i in range(rows.size):
        job = jobs(w)[rows[i]]
        submit[i], work[i], left[i] = job.submit, job.work, job.remaining
        if job.state == RUNNING:
            runs[i] = True
            left[i] = job.remaining - (w.now - job.started) * job.rate
    return runs, submit, work, left


@entry
def suspend(root, rows):
    """Stop running jobs; they wait with their progress kept and their checkpoint cost added."""
    w = root[0]
    for j in rows:
        stop(w, j)
        job = jobs(w)[j]
        job.remaining += job.checkpoint_cost
        job.preemptions += 1
        job.state = PENDING
        job.sequence = w.sequence
        w.sequence += 1
        w.pending += 1


@entry
def launch(root, rows, kind, rate, begin, fits):
    """Start pending jobs from the `begin`-th on, as a class and at a rate each, and note which `fits`.

    Return how many were looked at; fewer than all when the log is full.
    """
    w = root[0]
    for i in range(begin, rows.size):
        j = rows[i]
        k = kinds(w)[kind[i]]
        if not has_room_to_log(w, k.pieces):
            return i
        jobs(w)[j].rate = rate[i]
        fits[i] = start(w, j, k)
        if fits[i]:
            w.pending -= 1
    return rows.size
