"""Dot product: the node whose free CPU and GPU, weighted by the demand, are the smallest.

Grandl et al., "Multi-resource packing for cluster schedulers" (Tetris), SIGCOMM 2014, in the form that Weng et al., ATC
2023, evaluate: with the opposite sign, so that it packs. With c, g free on node n and the demand c_m, g_m, points(n) =
trunc(100 (1 - (c c_m / 128000^2 + g g_m / 8000^2) / 2)), most first, ties by `ties`; a task that shares a device gets
the fullest.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+dot-product`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.plan import PlacementPlan, score_kernel
from apportion.policies.parameters import one_of
from apportion.policies.ties import NAME, TIES, tied


@score_kernel
def dot_product(node, task):
    """Return minus the points."""
    cpu = (node.free_cpu / 128000) * (task.cpu / 128000)
    gpu = (node.free_milli / 8000) * (task.gpus * task.milli / 8000)
    return -np.trunc(100 * (1 - (cpu + gpu) / 2))


@dataclass(frozen=True)
class DotProduct:
    """The node whose free resources match the demand least; see the module's text.

    Parameters
    ----------
    ties: name, random or best-fit.
    """

    ties: str = NAME

    def __post_init__(self) -> None:
        one_of("dot-product", "ties", self.ties, TIES)

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return tied(PlacementPlan(dot_product, points=True), self.ties)
