"""Shortest job first, on the true run time or on the estimate the trace gives.

Not preemptive. Key(j) = duration, or with `on=estimate` the column `estimate_s` (the duration where it is empty), ties
by row.
The true run time makes it an oracle: the bound that predictors are measured against.

Example: `apportion compare synthetic:philly?jobs=2000 fifo sjf`
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.policies.parameters import one_of
from apportion.policies.protocol import Jobs


@dataclass(frozen=True)
class ShortestJobFirst:
    """Shortest job first; see the module's text.

    Parameters
    ----------
    on: `duration` (the truth) or `estimate` (the trace's column `estimate_s`).
    """

    on: str = "duration"

    def __post_init__(self) -> None:
        one_of("sjf", "on", self.on, ("duration", "estimate"))

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        table = jobs.workload.table
        if self.on == "estimate":
            key = table.select(pl.coalesce("estimate_s", "duration_s")).to_series()
        else:
            key = table["duration_s"]
        return OrderPlan(KEY_STATIC, key.to_numpy())
