"""First fit: the first node of the cluster's table that has room.

Johnson, "Near-optimal bin packing algorithms", 1973. Score(n) = 0 for every node, ties by position.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+first-fit`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import PlacementPlan, first_node


@dataclass(frozen=True)
class FirstFit:
    """The first node that has room; see the module's text."""

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return PlacementPlan(first_node)
