"""Load balance: the node with the lowest mean utilisation of GPU and CPU, as the PAI simulator sorts nodes.

Weng et al., "MLaaS in the wild", NSDI 2022 (simulator, `sort_node_policy` 3). Score(n) = round(100 (u_gpu + u_cpu) /
2), for a node without GPUs round(100 u_cpu); rounding is half to even, ties by position.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+load-balance`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.plan import PlacementPlan, score_kernel


@score_kernel
def load_balance(node, task):
    """Return the mean utilisation in whole percent."""
    cpu = 1 - node.free_cpu / node.cpu if node.cpu > 0 else 0.0
    if node.gpus == 0:
        return np.rint(100 * cpu)
    gpu = 1 - node.free_milli / (1000 * node.gpus)
    return np.rint(100 * (gpu + cpu) / 2)


@dataclass(frozen=True)
class LoadBalance:
    """The least utilised node; see the module's text."""

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return PlacementPlan(load_balance)
