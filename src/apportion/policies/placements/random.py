"""Random: any node that has room, each with the same chance.

A baseline. Score(n) = 0, ties drawn from the run's seed.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+random --seed 7`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.layout import TIES_RANDOM
from apportion.engine.plan import PlacementPlan, first_node


@dataclass(frozen=True)
class RandomPlacement:
    """Any node that has room; see the module's text."""

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return PlacementPlan(first_node, ties=TIES_RANDOM)
