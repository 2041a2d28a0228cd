"""Best fit: of the nodes that have room, the one with the least left over.

Johnson, "Near-optimal bin packing algorithms", 1973, over CPU and GPU together as Weng et al., ATC 2023, evaluate it.
With c, g the free milli-CPU and milli-GPU of node n after placement, points(n) = trunc(100 (1 - (c / 128000 + g / 8000)
/ 2)), most first, ties by `ties`; a task that shares a device gets the fullest. Where no CPU is asked for, that is the
node with the fewest GPUs free: large holes stay whole for large jobs.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy sjf+best-fit`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.plan import PlacementPlan, score_kernel
from apportion.policies.parameters import one_of
from apportion.policies.ties import NAME, TIES, tied


@score_kernel
def best_fit(node, task):
    """Return minus the points."""
    cpu = 0.5 * (node.free_cpu - task.cpu) / 128000
    gpu = 0.5 * (node.free_milli - task.gpus * task.milli) / 8000
    return -np.trunc(100 * (1 - (cpu + gpu)))


@dataclass(frozen=True)
class BestFit:
    """The node with the least left over; see the module's text. `ties`: name, random or best-fit."""

    ties: str = NAME

    def __post_init__(self) -> None:
        one_of("best-fit", "ties", self.ties, TIES[:2])

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return tied(PlacementPlan(best_fit, points=True), self.ties)
