"""The state of one run: jobs, queues, runs and the clock, as arrays that the compiled loop reads and writes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from apportion.engine.bits import BitSet
from apportion.engine.layout import F8, I4, I8, U1, Records

TABLE = np.dtype(
    [
        ("submit", "f8"),
        ("work", "f8"),  # seconds it has to run in all
        ("estimate", "f8"),  # the same as known to the scheduler
        ("remaining", "f8"),  # seconds still to run, checkpoint costs included
        ("started", "f8"),  # when the current run began
        ("rate", "f8"),  # progress per second of the current run
        ("checkpoint_cost", "f8"),  # seconds added by a preemption
        ("sequence", "i8"),  # when it last entered or left the queue, to break ties
        ("kind", "i4"),  # class: what it asks for
        ("rank", "i4"),  # position under a static order
        ("slot", "i4"),  # position in the array of its queue
        ("queue", "i4"),
        ("part", "i4"),  # partition: jobs that compete for the same nodes
        ("share", "i4"),  # user or group whose share counts, or 0
        ("run", "i4"),  # current run, -1 = not running
        ("at", "i4"),  # position among the running
        ("state", "i4"),
        ("preemptions", "i4"),
        ("restarts", "i4"),
        ("preemptible", "i4"),
    ],
    align=True,
)

EXTRA = np.dtype(
    [("priority", "f8"), ("deadline", "f8"), ("user", "i8"), ("group", "i8")],
    align=True,
)
"""What only the keys of dynamic orders look at."""

KIND = np.dtype(
    [
        ("shape", "i4"),  # what each task asks for
        ("count", "i4"),  # how many tasks
        ("rest", "i4"),  # what the last, smaller piece of a job larger than a node asks for, -1 = none
        ("pending", "i4"),  # jobs of this class in the queue
        ("pieces", "i4"),  # tasks in all
        ("blocked", "i4"),  # number of the pass in which it last failed to be placed
        ("stuck", "i4"),  # number of runs when it last would have delayed a reservation
        ("milli", "i8"),  # milli-GPU in all
    ],
    align=True,
)

RUN = np.dtype([("start", "f8"), ("end", "f8"), ("put", "i8"), ("job", "i4"), ("pieces", "i4")], align=True)
PUT = np.dtype([("mask", "i8"), ("node", "i4"), ("shape", "i4")], align=True)


class Queue(NamedTuple):
    """Jobs that wait. `slot` numbers are grouped by queue and ordered by rank within it.

    pending: set of slots. job_at: i4[jobs] slot -> job. offset: i4[queues + 1]. head: i4[queues] first pending
    slot, -1 = empty. active: i4[queues], the queues that are not empty, `active_at` the position of each there.
    kind, share, part: i4[queues], of all jobs in the queue (-1 = mixed).
    """

    pending: BitSet
    job_at: I4
    offset: I4
    head: I4
    active: I4
    active_at: I4
    kind: I4
    share: I4
    part: I4


class Heap(NamedTuple):
    """Ends of runs, soonest first: time f8[runs], run i4[runs]; entries of runs that were cut short stay until met."""

    time: F8
    run: I4


class Running(NamedTuple):
    """jobs: i4[jobs], dense, of which the first `C_RUNNING` run now."""

    jobs: I4


class Outside(NamedTuple):
    """Failures and repairs: time f8[events], node i4[events], up i4[events]."""

    time: F8
    node: I4
    up: I4


class Waiting(NamedTuple):
    """The queue of a preemptive order, per partition: keys f8[jobs] ascending, jobs i4[jobs]; count i4[parts]."""

    key: F8
    job: I4
    offset: I4
    count: I4


class Scratch(NamedTuple):
    """Room to work in: list i4[], other i4[], key f8[] (each as long as the longest list of a pass), subject (one job
    record), nodes (a copy of the node records, for reservations)."""

    list: I4
    other: I4
    key: F8
    subject: Records
    nodes: Records


class World(NamedTuple):
    """Everything a run has. Times in seconds, GPUs in milli.

    quota: i8[parts], milli-GPU of the nodes that are up. reach: u1[parts, nodes], which nodes a partition may use.
    """

    jobs: Records
    extra: Records
    kinds: Records
    queue: Queue
    waiting: Waiting
    heap: Heap
    running: Running
    runs: Records
    puts: Records
    outside: Outside
    shares: Records
    quota: I8
    reach: U1
    touched: I4
    scratch: Scratch
    clock: F8
    count: I8
    config: I8
    setting: F8


# clock: f8
T_NOW, T_ROUND, T_WAKE = 0, 1, 2
# count: i8
(
    C_ARRIVED,
    C_HEAP,
    C_RUNS,
    C_PUTS,
    C_RUNNING,
    C_PENDING,
    C_ENDED,
    C_OUTSIDE,
    C_EVENTS,
    C_SEQUENCE,
    C_ACTIVE,
    C_RELEASED,
    C_PASS_DUE,
    C_TOUCHED,
    C_PASSES,
    C_REASON,
) = range(16)
# config: i8
(
    G_BACKFILL,
    G_KEY,
    G_TIES,
    G_CONSERVE,  # preemptive: fill what the plan leaves free
    G_QUEUED_FIRST,  # preemptive: of equal keys the waiting job goes first
    G_REFRESH,  # preemptive: keys of waiting jobs change with time
    G_QUANTUM_WHEN_STUCK,  # preemptive: look again after a quantum only when a planned job found no place
    G_WAKE,  # allocators: also stop when a job arrives or ends
    G_SLICE,  # events after which the loop returns for a moment
) = range(9)
# setting: f8
S_UNTIL, S_GRANULARITY, S_CHECKPOINT_INTERVAL, S_QUANTUM = range(4)
