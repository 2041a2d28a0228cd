"""Records and constants that the compiled loop and the policies' kernels share.

A kernel sees a node and a task as records: `node.free_cpu`, `task.gpus`. Amounts are integers: milli-GPU, milli-CPU,
MiB.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
from numba import types

from apportion.model.cluster import MAX_DEVICES

NODE = np.dtype(
    [
        ("free_cpu", "i8"),  # milli-cores not allocated
        ("free_memory", "i8"),  # MiB not allocated
        ("free_milli", "i8"),  # milli-GPU not allocated, over all devices
        ("idle", "i8"),  # devices nobody uses
        ("tasks", "i8"),  # tasks that run here
        ("gpus", "i8"),  # devices
        ("cpu", "i8"),  # milli-cores in all
        ("memory", "i8"),  # MiB in all
        ("model", "i8"),  # index of the GPU model, -1 = none given
        ("group", "i8"),  # index of the group that owns it, -1 = open to all
        ("rack", "i8"),  # index of the rack, -1 = none given
        ("up", "i8"),  # 0 while failed
        ("pooled", "i8"),  # 1 = its GPUs are one divisible amount
        ("index", "i8"),  # position in the cluster's table
        ("idle_w", "f8"),  # watts of a device nobody uses
        ("max_w", "f8"),  # watts of a device in use
        ("free", "i4", (MAX_DEVICES,)),  # milli-GPU not allocated, by device (unused when pooled)
        ("guests", "i4", (MAX_DEVICES + 1,)),  # tasks that use k devices; [0] = that share one
    ],
    align=True,
)

TASK = np.dtype(
    [
        ("gpus", "i8"),  # devices it asks for
        ("milli", "i8"),  # milli-GPU of each
        ("cpu", "i8"),
        ("memory", "i8"),
        ("models", "i8"),  # bit set of allowed GPU models, 0 = any
        ("group", "i8"),  # index of its group where the cluster is divided, else -1
        ("rest", "i8"),  # 1 = the last, smaller piece of a job that is larger than a node
    ],
    align=True,
)

TARGET = np.dtype(
    [
        ("cpu", "i8"),
        ("milli", "i8"),  # milli-GPU of each device, 0 = no GPU
        ("gpus", "i8"),
        ("models", "i8"),  # bit set of allowed GPU models, 0 = any
        ("group", "i8"),
        ("level", "i8"),  # position of `milli` among the distinct ones
        ("share", "f8"),  # of all tasks; the shares of a target workload add up to 1
    ],
    align=True,
)
"""A typical task: one class of the workload against which fragmentation is measured."""

LEVEL = np.dtype([("milli", "i8"), ("devices", "i8"), ("rest", "i8")], align=True)
"""A distinct `milli` of the typical tasks and, of the node looked at, how many devices have that much free and how much
is free on the others."""

TERM = np.dtype([("kernel", "i8"), ("wide", "i8"), ("weight", "f8")], align=True)
"""One score of a weighted sum: its address, whether it looks at the whole run, and its weight."""

JOB = np.dtype(
    [
        ("submit", "f8"),
        ("duration", "f8"),  # as known at submission: the estimate where there is one
        ("gpus", "f8"),  # GPUs of the whole gang (1.5 = three halves)
        ("priority", "f8"),
        ("deadline", "f8"),  # inf = none
        ("attained", "f8"),  # seconds it has run so far
        ("remaining", "f8"),  # seconds it still has to run
        ("running", "i8"),
        ("preemptions", "i8"),
        ("user", "i8"),
        ("group", "i8"),
    ],
    align=True,
)

SHARE = np.dtype(
    [
        ("served", "f8"),  # GPU-seconds received so far
        ("since", "f8"),  # the time up to which `served` counts
        ("allocated", "f8"),  # GPUs held now
        ("running", "i8"),
        ("pending", "i8"),
        ("weight", "f8"),
    ],
    align=True,
)

BUCKETS = ("q1", "q2", "q3", "q4", "xl", "xr", "no_access")
"""Where free GPU goes, by what keeps a typical task from using it (Weng et al., ATC 2023): GPU and CPU lack, GPU lacks,
nothing lacks, CPU lacks, the task asks for no GPU (CPU enough, or not), the GPU model is not allowed."""

NODE_T = nb.from_dtype(NODE)
TASK_T = nb.from_dtype(TASK)
JOB_T = nb.from_dtype(JOB)
SHARE_T = nb.from_dtype(SHARE)

SCORE_SIGNATURE = types.float64(NODE_T, TASK_T)
"""A placement: the node with the smallest score among those that fit gets the task."""
DEVICE_SIGNATURE = types.int64(NODE_T, TASK_T)
"""A device rule: which device a task that shares one gets, among those with enough free."""
JOB_KEY_SIGNATURE = types.float64(JOB_T, types.float64)
"""A dynamic order: (job, now) -> key; the smallest goes first."""
SHARE_KEY_SIGNATURE = types.float64(SHARE_T, types.float64)
"""A sharing order: (what a user or group has received, now) -> key; the smallest goes first."""

# backfill modes
SKIP, STRICT, EASY = 0, 1, 2
# how the order's keys come to be
KEY_STATIC, KEY_SHARE, KEY_JOB, KEY_PREEMPTIVE, KEY_NONE = 0, 1, 2, 3, 4
# ties between nodes of equal score: the first of the table, any, or the one with the smaller second score
TIES_FIRST, TIES_RANDOM, TIES_SECOND = 0, 1, 2
# what the loop returns
DONE, GROW, ROUND, PAUSE, LOOK = 0, 1, 2, 3, 4
# job states
FUTURE, PENDING, RUNNING, ENDED, REJECTED = 0, 1, 2, 3, 4

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
I4 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint64]
U1 = npt.NDArray[np.uint8]
Records = npt.NDArray[Any]

UNBOUNDED = 1 << 20
"""Tasks that fit a node when a task asks for nothing."""
