"""A weighted sum of placements, written `fgd*0.7+power*0.3`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from apportion.engine.plan import PlacementPlan
from apportion.model.errors import PolicyError
from apportion.policies.protocol import Placement


@dataclass(frozen=True)
class WeightedSum:
    """The node with the most points in a weighted sum, as kube-scheduler adds up its plugins' scores.

    Parameters
    ----------
    terms: (name, weight, placement). All give points from 0 to 100. Ties and the device of a task that shares one are
        decided by the first.

    Raises
    ------
    PolicyError: a placement does not give points, or two bring tables of their own.
    """

    terms: tuple[tuple[str, float, Placement], ...]

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        plans = [placement.plan() for _, _, placement in self.terms]
        for (name, _, _), plan in zip(self.terms, plans, strict=True):
            if not plan.points:
                raise PolicyError(f"{name} does not give points from 0 to 100, so it cannot be part of a weighted sum")
        tables = [plan.tables for plan in plans if plan.tables is not None]
        if len(tables) > 1:
            raise PolicyError("a weighted sum takes at most one placement that computes tables beforehand")
        popularity = [plan.popularity for plan in plans if plan.popularity is not None]
        weights = [weight for _, weight, _ in self.terms]
        return dataclasses.replace(
            plans[0],
            weight=weights[0],
            others=tuple((weight, plan.score) for weight, plan in zip(weights[1:], plans[1:], strict=True)),
            popularity=popularity[0] if popularity else None,
            tables=tables[0] if tables else None,
        )
