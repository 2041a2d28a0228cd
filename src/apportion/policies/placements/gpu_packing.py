"""GPU packing: devices in use first, then idle devices of nodes in use, then idle nodes.

Weng et al., "MLaaS in the wild", NSDI 2022, in the form evaluated in Weng et al., ATC 2023. A task takes the fullest
devices that fit. If one of them was idle, points(n) = max(50 - idle ones taken, 33), on a node of G devices all idle
max(33 - G, G); otherwise max(100 - floor(free milli-GPU of the taken devices / 100), 50), rounded down a device. Tasks
without a GPU: 0 everywhere. Most points first, ties by `ties`; a task that shares a device gets the fullest.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+gpu-packing`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.fit import fullest_device
from apportion.engine.plan import PlacementPlan, score_kernel
from apportion.policies.parameters import one_of
from apportion.policies.ties import NAME, TIES, tied


@score_kernel
def gpu_packing(node, task):
    """Return minus the points."""
    if task.gpus == 0:
        return 0.0
    if node.free_milli == 1000 * node.gpus:
        return -float(max(33 - node.gpus, node.gpus))
    if node.pooled:
        return -float(max(100 - node.free_milli // 100, 50))
    used = idle = free = 0
    for _ in range(task.gpus):
        d = fullest_device(node, task, used)
        used |= 1 << d
        idle += node.free[d] == 1000
        free += node.free[d] * 100 // 1000
    if idle > 0:
        return -float(max(50 - idle, 33))
    return -float(max(100 - free // 10, 50))


@dataclass(frozen=True)
class GpuPacking:
    """Devices in use first; see the module's text. `ties`: name, random or best-fit."""

    ties: str = NAME

    def __post_init__(self) -> None:
        one_of("gpu-packing", "ties", self.ties, TIES)

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return tied(PlacementPlan(gpu_packing, points=True), self.ties)
