"""How an order and a placement present themselves to the loop, which knows no policy by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from apportion.engine.jit import Kernel, compiled
from apportion.engine.layout import (
    DEVICE_SIGNATURE,
    F8,
    JOB_KEY_SIGNATURE,
    KEY_JOB,
    KEY_NONE,
    KEY_PREEMPTIVE,
    KEY_SHARE,
    KEY_STATIC,
    SCORE_SIGNATURE,
    SHARE_KEY_SIGNATURE,
    TIES_FIRST,
    Records,
)
from apportion.engine.watch import Watcher
from apportion.engine.world import WIDE_DEVICE_SIGNATURE, WIDE_SCORE_SIGNATURE


def score_kernel(function: Callable[..., Any]) -> Kernel:
    """Compile `score(node, task) -> float`: among the nodes that fit, the smallest score gets the task.

    Written `score(w, node, task)` it also sees the run, such as its typical tasks (`apportion.engine.world`).
    """
    return compiled(WIDE_SCORE_SIGNATURE if _is_wide(function) else SCORE_SIGNATURE)(function)


def device_kernel(function: Callable[..., Any]) -> Kernel:
    """Compile `device(node, task) -> int`, or `device(w, node, task)`: the device a task that shares one gets."""
    return compiled(WIDE_DEVICE_SIGNATURE if _is_wide(function) else DEVICE_SIGNATURE)(function)


def _is_wide(function: Callable[..., Any]) -> bool:
    return len(inspect.signature(function).parameters) == 3


def job_key_kernel(function: Callable[..., Any]) -> Kernel:
    """Compile `key(job, now) -> float`: the pending job with the smallest key goes first."""
    return compiled(JOB_KEY_SIGNATURE)(function)


def share_key_kernel(function: Callable[..., Any]) -> Kernel:
    """Compile `key(share, now) -> float`: jobs of the user or group with the smallest key go first."""
    return compiled(SHARE_KEY_SIGNATURE)(function)


@device_kernel
def best_fit_device(node, task):
    """Return the device with the least free among those with enough, the lowest index of equals."""
    best = -1
    for d in range(node.gpus):
        if node.free[d] >= task.milli and (best < 0 or node.free[d] < node.free[best]):
            best = d
    return best


@score_kernel
def first_node(node, task):
    """Score every node alike: the first of the cluster's table that fits."""
    return 0.0


@job_key_kernel
def by_submission(job, now):
    """Return the submission time."""
    return job.submit


@share_key_kernel
def by_service(share, now):
    """Return the GPU-seconds received per unit of weight."""
    return share.served / share.weight


@dataclass(frozen=True)
class Feedback:
    """Queues that a job sinks through by the service it received, see `engine.feedback`.

    Parameters
    ----------
    limits: f8, service at which a job leaves each queue but the last, ascending. by_gpu_time: a second counts once for
        each GPU.
    promote: a job that waited so many times as long as it ran is lifted into the first queue, 0 = never.
    above, value: f8, ascending service and the index of a job that received less (and not less than the one before);
        inside a queue the largest index goes first. Empty = in the order in which they came to stand there.
    by_key: one queue, kept by the order's kernel. late_moves: foresee the moves of jobs with several GPUs too late.
    """

    limits: F8
    by_gpu_time: bool = True
    promote: float = 0.0
    above: F8 = field(default_factory=lambda: np.zeros(0))
    value: F8 = field(default_factory=lambda: np.zeros(0))
    by_key: bool = False
    late_moves: bool = False


@dataclass(frozen=True)
class OrderPlan:
    """Which pending job is looked at next.

    Parameters
    ----------
    mode: `KEY_STATIC` (`keys`, f8[jobs], smallest first), `KEY_SHARE` (`kernel` over users or groups, then `keys`),
        `KEY_JOB` (`kernel` over jobs, at every pass), `KEY_PREEMPTIVE` (`kernel`, running jobs may be preempted),
        `KEY_NONE` (an allocator decides).
    share: i4[jobs], whose share counts; weights: f8[shares].
    watcher: what looks at the run meanwhile, such as a predictor that learns.
    conserve, queued_first, refresh, quantum_s, quantum_when_stuck: of a preemptive order, see `engine.preempt`.
    feedback: queues of a preemptive order; without `by_key` its `kernel` is then only what is shown of a job.
    """

    mode: int
    keys: F8 | None = None
    kernel: Kernel | None = None
    share: Any = None
    weights: F8 | None = None
    conserve: bool = True
    queued_first: bool = False
    refresh: bool = False
    quantum_s: float = 0.0
    quantum_when_stuck: bool = False
    watcher: Watcher | None = None
    feedback: Feedback | None = None


@dataclass(frozen=True)
class PlacementPlan:
    """Which node and which device a task gets.

    Parameters
    ----------
    score: the smallest wins. device: for a task that shares one. ties: between nodes of equal score, `TIES_FIRST`,
        `TIES_RANDOM` or, by the score `second`, `TIES_SECOND`.
    weight, others: of a weighted sum, the weight of `score` and the further scores with theirs.
    points: whether the score is minus a number of points from 0 to 100, so that it can be part of a sum.
    popularity: share of all tasks that the typical ones make up, where a score looks at them; None = none does.
    tables: returns what the scores find in `tables(w)`, f8, from the idle `NODE` and the `TARGET` records.
    """

    score: Kernel = first_node
    device: Kernel = best_fit_device
    ties: int = TIES_FIRST
    second: Kernel | None = None
    weight: float = 1.0
    others: tuple[tuple[float, Kernel], ...] = ()
    points: bool = False
    popularity: float | None = None
    tables: Callable[[Records, Records], F8] | None = None


@dataclass(frozen=True)
class Settings:
    """What belongs to a run and not to a policy. Times in seconds; see the command line for their meaning."""

    backfill: int = 0
    granularity_s: float = 0.0
    checkpoint_cost_s: float | F8 = 0.0
    checkpoint_interval_s: float = 0.0
    until_s: float = np.inf
    seed: int = 0


__all__ = [
    "KEY_JOB",
    "KEY_NONE",
    "KEY_PREEMPTIVE",
    "KEY_SHARE",
    "KEY_STATIC",
    "Feedback",
    "Kernel",
    "OrderPlan",
    "PlacementPlan",
    "Settings",
    "best_fit_device",
    "by_service",
    "by_submission",
    "device_kernel",
    "first_node",
    "job_key_kernel",
    "score_kernel",
    "share_key_kernel",
]
