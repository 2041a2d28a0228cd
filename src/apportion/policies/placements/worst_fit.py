"""Worst fit: of the nodes that have room, the one with the most free GPU.

Score(n) = -free milli-GPU of n before placement, ties by position: load is levelled, and large jobs find no whole node.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+worst-fit`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import PlacementPlan, score_kernel


@score_kernel
def worst_fit(node, task):
    """Return minus the milli-GPU not allocated."""
    return -float(node.free_milli)


@dataclass(frozen=True)
class WorstFit:
    """The emptiest node that has room; see the module's text."""

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return PlacementPlan(worst_fit)
