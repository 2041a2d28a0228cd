"""GPU clustering: tasks of one kind (sharing a device, or k whole ones) on the same nodes.

Xiao et al., "Gandiva", OSDI 2018, in the form evaluated in Weng et al., ATC 2023. points(n) = b + floor(25 (8000 - g) /
8000) with g the free milli-GPU of n, and b = 75 where all tasks with GPUs on n are of the task's kind, 50 where some
are, 25 where there is none, 0 otherwise; tasks without a GPU: 0 everywhere. Most points first, ties by `ties`; a task
that shares a device gets the fullest.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+gpu-clustering`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import PlacementPlan, score_kernel
from apportion.model.cluster import MAX_DEVICES
from apportion.policies.parameters import one_of
from apportion.policies.ties import NAME, TIES, tied


@score_kernel
def gpu_clustering(node, task):
    """Return minus the points."""
    if task.gpus == 0:
        return 0.0
    like = node.guests[0 if task.milli < 1000 else min(task.gpus, MAX_DEVICES)]
    guests = 0
    for count in node.guests:
        guests += count
    if guests == 0:
        base = 25
    elif like == guests:
        base = 75
    else:
        base = 50 if like > 0 else 0
    return -float(base + 25 * (8000 - node.free_milli) // 8000)


@dataclass(frozen=True)
class GpuClustering:
    """Like tasks together; see the module's text. `ties`: name, random or best-fit."""

    ties: str = NAME

    def __post_init__(self) -> None:
        one_of("gpu-clustering", "ties", self.ties, TIES)

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return tied(PlacementPlan(gpu_clustering, points=True), self.ties)
