"""A model in the place of the look-up of a live cluster."""

from __future__ import annotations

import polars as pl

from apportion.policies.learning import run_times_of
from apportion.policies.registry import parse_policy
from apportion.predict.learnt import Learnt
from apportion.predict.run_time import RunTimes


def history(*seconds: float) -> pl.DataFrame:
    """Return jobs of one user that took so long, one after the other."""
    n = len(seconds)
    return pl.DataFrame({
        "job_id": [str(i) for i in range(n)], "user": ["ann"] * n, "group": [""] * n, "duration_s": seconds,
        "submit_s": [1000.0 * i for i in range(n)], "tasks": [1] * n, "gpus": [1] * n, "gpu_milli": [1000] * n,
        "cpu_milli": [0] * n,
    })  # fmt: skip


def test_what_ended_since_is_learnt_once() -> None:
    job = history(0.0).drop("duration_s").with_columns(limit_s=pl.lit(80.0))
    times = Learnt(model="sju")
    assert times.predict(history(10.0, 30.0), job).to_list() == [20.0]
    assert times.predict(history(10.0, 30.0), job).to_list() == [20.0]
    assert times.predict(history(10.0, 30.0, 110.0), job).to_list() == [50.0]
    assert times.predict(history(10.0, 30.0, 110.0, 650.0), job).to_list() == [80.0]  # never over its limit


def test_the_policy_says_which() -> None:
    learnt = run_times_of(parse_policy("qssf[predict=mean,retrain=1d]").order)
    assert isinstance(learnt, Learnt) and (learnt.model, learnt.retrain_s) == ("mean", 86_400.0)
    assert type(run_times_of(parse_policy("sjf").order)) is RunTimes
