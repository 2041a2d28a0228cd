"""What decides between nodes of equal score: `ties=name|random|best-fit` of the placements."""

from __future__ import annotations

import dataclasses

from apportion.engine.layout import TIES_FIRST, TIES_RANDOM, TIES_SECOND
from apportion.engine.plan import PlacementPlan

NAME = "name"
TIES = (NAME, "random", "best-fit")
"""The first of the cluster's table (in `fill`, the first by the name drawn for it); any; the one best fit prefers."""


def tied(plan: PlacementPlan, ties: str) -> PlacementPlan:
    """Return the plan with its ties decided by one of `TIES`."""
    if ties == "random":
        return dataclasses.replace(plan, ties=TIES_RANDOM)
    if ties == "best-fit":
        from apportion.policies.placements.best_fit import best_fit

        return dataclasses.replace(plan, ties=TIES_SECOND, second=best_fit)
    return dataclasses.replace(plan, ties=TIES_FIRST)
