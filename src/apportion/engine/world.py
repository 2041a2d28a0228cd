"""The state of one run: the records the compiled loop reads and writes, and how it reaches them."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numba import types

from apportion.engine.jit import array_of, caller
from apportion.engine.layout import (
    DEVICE_SIGNATURE,
    JOB,
    JOB_KEY_SIGNATURE,
    LEVEL,
    NODE,
    NODE_T,
    SCORE_SIGNATURE,
    SHARE,
    SHARE_KEY_SIGNATURE,
    TARGET,
    TASK,
    TASK_T,
    TERM,
)

TABLE = np.dtype(
    [
        ("submit", "f8"),
        ("work", "f8"),  # seconds it has to run in all
        ("estimate", "f8"),  # the same as known to the scheduler
        ("remaining", "f8"),  # seconds still to run, checkpoint costs included
        ("ran", "f8"),  # seconds it ran in earlier runs, lost work and checkpoint costs included
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
        ("apart", "i4"),  # 1 = its pieces run on different nodes
        ("blocked", "i4"),  # number of the pass in which it last failed to be placed
        ("stuck", "i8"),  # state (pass and runs so far) in which it last would have delayed a reservation
        ("milli", "i8"),  # milli-GPU in all
    ],
    align=True,
)

RUN = np.dtype(
    [
        ("start", "f8"),
        ("end", "f8"),  # inf while it goes on
        ("rate", "f8"),  # progress per second
        ("put", "i8"),  # its first piece
        ("job", "i4"),
        ("pieces", "i4"),
    ],
    align=True,
)
PUT = np.dtype([("mask", "i8"), ("node", "i4"), ("shape", "i4")], align=True)


QUEUE = np.dtype(
    [
        ("offset", "i4"),  # its first slot; slots are grouped by queue and ordered by rank within it
        ("end", "i4"),
        ("head", "i4"),  # first pending slot, -1 = empty
        ("active_at", "i4"),  # position among the queues that are not empty
        ("kind", "i4"),  # class of all its jobs, -1 = mixed
        ("share", "i4"),  # user or group of all its jobs
        ("part", "i4"),
        ("stamp", "i4"),  # last pass that looked at it
    ],
    align=True,
)
PART = np.dtype(
    [
        ("quota", "i8"),  # milli-GPU of the nodes that are up and open to it
        ("first", "i4"),  # where its waiting jobs begin (preemptive orders)
        ("waiting", "i4"),
    ],
    align=True,
)
WAITER = np.dtype([("key", "f8"), ("job", "i4")], align=True)
END = np.dtype([("time", "f8"), ("run", "i4")], align=True)
OUTSIDE = np.dtype([("time", "f8"), ("node", "i4"), ("up", "i4")], align=True)
SLOT = np.dtype(
    [
        ("shape", "i4"),  # -1 = free
        ("synced", "i8"),  # changes of nodes it has seen
        ("total", "i8"),  # tasks of the shape that fit, over all nodes
    ],
    align=True,
)

STANDING = np.dtype(
    [
        ("checked", "f8"),  # when it was last looked at
        ("lifted", "f8"),  # seconds it had run when it was last lifted into the first queue
        ("waited", "f8"),  # seconds it waited since then, after it had run
        ("seen", "i8"),  # last pass that looked at it, -1 = none
        ("place", "i8"),  # position in its queue
        ("number", "i8"),  # in the order of submission: of those that move together the first goes first
        ("level", "i4"),  # its queue
    ],
    align=True,
)

ARRAYS = {
    "jobs": TABLE,
    "extra": EXTRA,
    "kinds": KIND,
    "queues": QUEUE,
    "active": np.dtype("i4"),  # queues that are not empty, dense
    "job_at": np.dtype("i4"),  # slot -> job
    "words": np.dtype("u8"),  # the set of pending slots, see `bits`
    "levels": np.dtype("i8"),
    "parts": PART,
    "waiting": WAITER,  # by partition, ascending keys
    "standing": STANDING,  # by job, of an order of feedback queues
    "limits": np.dtype("f8"),  # service at which a job leaves a queue
    "index_above": np.dtype("f8"),  # service below which an index holds, ascending
    "index_value": np.dtype("f8"),  # the largest goes first
    "heap": END,  # ends of runs, soonest first; entries of runs that were cut short stay until met
    "running": np.dtype("i4"),  # dense
    "runs": RUN,
    "puts": PUT,
    "outside": OUTSIDE,  # failures and repairs, ascending
    "shares": SHARE,
    "reach": np.dtype("u1"),  # parts x nodes
    "bound": np.dtype("i8"),  # sets of GPU models (bits) that jobs are bound to, without those that every node is in
    "touched": np.dtype("i4"),  # queues that got a job since the last pass
    "candidates": np.dtype("i4"),
    "subject": JOB,  # one record, what a dynamic key looks at
    "ahead": NODE,  # the nodes at a reservation
    "nodes": NODE,
    "tasks": TASK,
    "slot_of": np.dtype("i4"),  # shape -> slot of the index, -1 = none
    "slots": SLOT,
    "changed": np.dtype("i4"),  # ring of changed nodes
    "rooms": np.dtype("i4"),  # slots x nodes, tasks that fit
    "scores": np.dtype("f8"),  # slots x leaves
    "seconds": np.dtype("f8"),  # slots x leaves, what decides ties
    "winner": np.dtype("i4"),  # slots x leaves
    "changed_at": np.dtype("i8"),  # by node, the number of its last change
    "terms": TERM,  # the placement's scores
    "targets": TARGET,  # the typical tasks
    "thresholds": LEVEL,  # scratch of `fragment`
    "buckets": np.dtype("f8"),  # scratch of `fragment`: milli-GPU, in the order of `BUCKETS`
    "probe": NODE,  # one record, a node as it would be
    "tables": np.dtype("f8"),  # what a placement computed beforehand
    "profile": np.dtype("i4"),  # by job, row of `rates`, -1 = as fast everywhere, -2 = as told; empty where all are -1
    "rates": np.dtype("f8"),  # profiles x GPU models, work a second over that on the reference model
}
"""The arrays of a run; `Root` holds the address and the length of each."""

NUMBERS = {
    "now": "f8",
    "round_at": "f8",  # next round of an allocator
    "wake_at": "f8",  # next look of a preemptive order
    "look_at": "f8",  # when a watcher wants to look, at the latest before anything later happens
    "until": "f8",
    "granularity": "f8",
    "checkpoint_interval": "f8",
    "quantum": "f8",
    "random": "u8",
    "seen": "i8",  # changes of nodes so far
    "leaves": "i8",
    "widest_w": "f8",  # the most that a device of the cluster draws in use beyond what it draws idle
    "arrived": "i8",
    "heap_size": "i8",
    "run_count": "i8",
    "put_count": "i8",
    "running_count": "i8",
    "pending": "i8",
    "ended": "i8",
    "outside_at": "i8",
    "events": "i8",
    "sequence": "i8",
    "active_count": "i8",
    "released": "i8",  # times something was given back since the last pass
    "pass_due": "i8",
    "touched_count": "i8",
    "passes": "i8",
    "backfill": "i8",
    "mode": "i8",  # KEY_...
    "ties": "i8",
    "conserve": "i8",  # preemptive: fill what the plan leaves free
    "queued_first": "i8",  # preemptive: of equal keys the waiting job goes first
    "refresh": "i8",  # preemptive: keys of waiting jobs change with time
    "quantum_when_stuck": "i8",  # preemptive: look again only when a planned job found no place
    "attentive": "i8",  # the pass is wanted even when nothing waits
    "promote": "f8",  # feedback queues: a job that waited so many times what it ran is lifted, 0 = never
    "by_gpu_time": "i8",  # feedback queues: seconds count once for each GPU
    "by_key": "i8",  # feedback queues: one queue, by the key of its jobs
    "late_moves": "i8",  # feedback queues: the next move is foreseen too late, as in the released simulator
    "wake_on_change": "i8",  # allocators: also stop when a job arrives or ends
    "slice": "i8",  # events after which the loop returns for a moment
    "rates_rows": "i8",
    "second_kernel": "i8",  # addresses of compiled functions
    "second_wide": "i8",  # whether that one looks at the whole run
    "device_kernel": "i8",
    "device_wide": "i8",
    "job_key_kernel": "i8",
    "share_key_kernel": "i8",
    "sync_kernel": "i8",
    "place_kernel": "i8",
    "room_kernel": "i8",
    "pass_kernel": "i8",
}

ROOT = np.dtype(
    list(NUMBERS.items()) + [(name, "i8") for name in ARRAYS] + [(f"{name}_n", "i8") for name in ARRAYS],
    align=True,
)


ROOT_T = nb.from_dtype(ROOT)
KIND_T = nb.from_dtype(KIND)
KIND_SIGNATURE = types.int64(ROOT_T, KIND_T)
"""Of `place` and `room_for`."""
SHAPE_SIGNATURE = types.int64(ROOT_T, types.int64)
"""Of `sync`: brings the index of a shape up to date."""
PASS_SIGNATURE = types.int64(ROOT_T)
"""Of a scheduling pass: returns DONE or GROW."""

WIDE_SCORE_SIGNATURE = types.float64(ROOT_T, NODE_T, TASK_T)
"""A placement's score that looks at the whole run, such as the typical tasks."""
WIDE_DEVICE_SIGNATURE = types.int64(ROOT_T, NODE_T, TASK_T)

call_score = caller(SCORE_SIGNATURE)
call_wide_score = caller(WIDE_SCORE_SIGNATURE)
call_device = caller(DEVICE_SIGNATURE)
call_wide_device = caller(WIDE_DEVICE_SIGNATURE)
call_job_key = caller(JOB_KEY_SIGNATURE)
call_share_key = caller(SHARE_KEY_SIGNATURE)
call_kind = caller(KIND_SIGNATURE)
call_shape = caller(SHAPE_SIGNATURE)
call_pass = caller(PASS_SIGNATURE)


def _view(name: str) -> Any:
    """Return a compiled `view(w)`: the run's array called `name`."""
    return array_of(ROOT, name, ARRAYS[name])


jobs = _view("jobs")
extra = _view("extra")
kinds = _view("kinds")
queues = _view("queues")
active = _view("active")
job_at = _view("job_at")
words = _view("words")
levels = _view("levels")
parts = _view("parts")
waiting = _view("waiting")
standing = _view("standing")
limits = _view("limits")
index_above = _view("index_above")
index_value = _view("index_value")
heap = _view("heap")
running = _view("running")
runs = _view("runs")
puts = _view("puts")
outside = _view("outside")
shares = _view("shares")
reach = _view("reach")
bound = _view("bound")
touched = _view("touched")
candidates = _view("candidates")
subject = _view("subject")
ahead = _view("ahead")
nodes = _view("nodes")
tasks = _view("tasks")
slot_of = _view("slot_of")
slots = _view("slots")
changed = _view("changed")
rooms = _view("rooms")
scores = _view("scores")
seconds = _view("seconds")
winner = _view("winner")
changed_at = _view("changed_at")
terms = _view("terms")
targets = _view("targets")
thresholds = _view("thresholds")
buckets = _view("buckets")
probe = _view("probe")
tables = _view("tables")
profile = _view("profile")
rates = _view("rates")
