"""Best fit: of the nodes that have room, the one with the least free GPU.

Johnson, "Near-optimal bin packing algorithms", 1973. Score(n) = free milli-GPU of n before placement, ties by position:
large holes stay whole for large jobs.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy sjf+best-fit`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import PlacementPlan, score_kernel


@score_kernel
def best_fit(node, task):
    """Return the milli-GPU not allocated."""
    return float(node.free_milli)


@dataclass(frozen=True)
class BestFit:
    """The fullest node that has room; see the module's text."""

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return PlacementPlan(best_fit)
