"""Quasi-shortest service first: ascending GPU time (GPUs x run time), not preemptive.

Hu et al., "Characterization and prediction of deep learning workloads in large-scale GPU datacenters", SC 2021,
section 4.2. Key(j) = N (P), N = GPUs, P = expected run time. With `on=history` (default) P is the mean of earlier jobs
of the same user and size, else of the user, else of the size, else of all; `on=estimate` takes the column
`estimate_s`; `on=duration` the truth, as in the oracle rows of the replay. Ties go to the smaller job.

With `predict=` P is predicted as the job is submitted, by a model that has seen nothing but what had run by then in
this run (`apportion.predict.predictor`), looked at every `update` and fitted anew every `retrain`. `predict=qssf` is
the paper's blend of a rolling estimate and boosted trees; `retrain=` alone means it.

Example: `apportion compare synthetic:venus?jobs=2000 fifo qssf qssf[predict=mean] qssf[on=duration] --backfill strict`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.policies.learning import check_model, learning
from apportion.policies.parameters import one_of
from apportion.policies.protocol import Jobs
from apportion.predict.history import back_off


@dataclass(frozen=True)
class QuasiShortestServiceFirst:
    """Shortest expected GPU time first; see the module's text.

    Parameters
    ----------
    on: `history`, `estimate` or `duration`. predict: name of a predictor that learns during the run.
    retrain_s: seconds between two fits, 0 = a week. update_s: seconds between two looks, 0 = half an hour.
    """

    on: str = "history"
    predict: str = ""
    retrain_s: float = 0.0
    update_s: float = 0.0

    def __post_init__(self) -> None:
        one_of("qssf", "on", self.on, ("history", "estimate", "duration"))
        if not self.predict and (self.retrain_s or self.update_s):
            object.__setattr__(self, "predict", "qssf")
        check_model("qssf", self.predict, self.on != "history", self.retrain_s, self.update_s)

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        table = jobs.workload.table
        if self.predict:
            return learning(jobs, self.predict, jobs.encoded.milli / 1000, self.retrain_s, self.update_s)
        if self.on == "duration":
            expected = table["duration_s"]
        elif self.on == "estimate":
            expected = table.select(pl.coalesce("estimate_s", "duration_s")).to_series()
        else:
            size = ("tasks", "gpus", "gpu_milli")
            expected = back_off(table, (("group", "user", *size), ("user", *size), ("user",), size, ()))
        milli = jobs.encoded.milli
        service = expected.to_numpy() * milli / 1000
        rank = np.empty(len(table))
        rank[np.lexsort((milli, service))] = np.arange(len(table))
        return OrderPlan(KEY_STATIC, rank)
