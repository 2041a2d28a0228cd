"""Shortest job first, on the true run time or on the estimate the trace gives.

Not preemptive. Key(j) = duration, or with `on=estimate` the column `estimate_s` (the duration where it is empty), ties
by row.
The true run time makes it an oracle: the bound that predictors are measured against.

With `predict=` the run time is predicted as the job is submitted, by a model that has seen nothing but what had ended
by then in this run (`apportion.predict.predictor`), looked at every `update` and fitted anew every `retrain`.

Example: `apportion compare synthetic:philly?jobs=2000 fifo sjf[predict=mean] sjf`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.policies.learning import check_model, learning
from apportion.policies.parameters import one_of
from apportion.policies.protocol import Jobs


@dataclass(frozen=True)
class ShortestJobFirst:
    """Shortest job first; see the module's text.

    Parameters
    ----------
    on: `duration` (the truth) or `estimate` (the trace's column `estimate_s`).
    predict: name of a predictor that learns during the run. retrain_s: seconds between two fits, 0 = a week.
    update_s: seconds between two looks, 0 = half an hour.
    """

    on: str = "duration"
    predict: str = ""
    retrain_s: float = 0.0
    update_s: float = 0.0

    def __post_init__(self) -> None:
        one_of("sjf", "on", self.on, ("duration", "estimate"))
        check_model("sjf", self.predict, self.on != "duration", self.retrain_s, self.update_s)

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        table = jobs.workload.table
        if self.predict:
            return learning(jobs, self.predict, np.ones(len(table)), self.retrain_s, self.update_s)
        if self.on == "estimate":
            key = table.select(pl.coalesce("estimate_s", "duration_s")).to_series()
        else:
            key = table["duration_s"]
        return OrderPlan(KEY_STATIC, key.to_numpy())
