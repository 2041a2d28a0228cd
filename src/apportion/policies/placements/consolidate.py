"""Consolidate: as few nodes as possible, the rule of the Helios simulator.

Hu et al., "Characterization and prediction of deep learning workloads in large-scale GPU datacenters", SC 2021. A job
that fits a node goes to the node with the fewest free GPUs that has enough. A larger one takes entirely free nodes, and
its rest the emptiest of the others: score(n) = free milli-GPU, or minus it for the rest.

Example: `apportion simulate synthetic:venus?jobs=2000 --policy qssf+consolidate --backfill strict`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import PlacementPlan, score_kernel


@score_kernel
def consolidate(node, task):
    """Return the milli-GPU not allocated, negative for the rest of a job larger than a node."""
    return -float(node.free_milli) if task.rest else float(node.free_milli)


@dataclass(frozen=True)
class Consolidate:
    """As few nodes as possible; see the module's text."""

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return PlacementPlan(consolidate)
