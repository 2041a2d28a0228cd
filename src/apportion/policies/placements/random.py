"""Random: any node that has room, each with the same chance.

A baseline. Score(n) = 0, ties drawn from the run's seed; a task that shares a device gets any of those with enough
free, each with the same chance, as in Weng et al., ATC 2023.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+random --seed 7`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.index import draw
from apportion.engine.layout import TIES_RANDOM
from apportion.engine.plan import PlacementPlan, device_kernel, first_node


@device_kernel
def any_device(w, node, task):
    """Return one of the devices with enough free."""
    best = -1
    seen = 0
    for d in range(node.gpus):
        if node.free[d] >= task.milli:
            seen += 1
            if draw(w, seen) == 0:
                best = d
    return best


@dataclass(frozen=True)
class RandomPlacement:
    """Any node that has room; see the module's text."""

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return PlacementPlan(first_node, any_device, TIES_RANDOM)
