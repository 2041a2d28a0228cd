"""Spread: of the nodes that have room, the one with the fewest tasks.

The default of Kubernetes for replicas (`PodTopologySpread` over hosts). Score(n) = tasks that run on n, ties by
position.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+spread`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import PlacementPlan, score_kernel


@score_kernel
def spread(node, task):
    """Return the number of tasks on the node."""
    return float(node.tasks)


@dataclass(frozen=True)
class Spread:
    """The node with the fewest tasks; see the module's text."""

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return PlacementPlan(spread)
