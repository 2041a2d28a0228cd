"""Finish-time fairness: how much longer a job took than it would have with an equal part of the cluster of its own.

rho = JCT / (run time x contention), where contention = max(1, jobs per GPU). Two ways to count the jobs:

- static, `ftf`: all jobs of the trace (Zheng et al., NSDI 2023, the released simulator);
- averaged, `ftf_contention`: those in the system, on average over the job's own life (the same simulator's stand-in
  for Mahajan et al., NSDI 2020).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from apportion.engine.layout import F8

if TYPE_CHECKING:
    from apportion.study.result import Result

UNFAIR = 1.05
"""A job with a larger ratio counts as treated unfairly (Zheng et al., NSDI 2023)."""


def with_fairness(result: Result) -> Result:
    """Return the result with the columns `ftf` and `ftf_contention` in its jobs.

    Null where a job did not complete, asks for no GPU, or takes no time.
    """
    jobs = result.jobs
    if "ftf" in jobs.columns or result.cluster.gpus <= 0:
        return result
    counted = (jobs["gpus"] > 0) & (jobs["status"] != "rejected")
    here = jobs.filter(counted)
    gpus = result.cluster.gpus
    static = max(1.0, here.height / gpus)
    averaged = np.maximum(1.0, _mean_active(jobs, here) / gpus)
    alone = pl.when(counted & (jobs["duration_s"] > 0)).then(jobs["duration_s"])
    return replace(
        result,
        jobs=jobs.with_columns(
            ftf=pl.col("jct_s") / (alone * static),
            ftf_contention=pl.col("jct_s") / (alone * pl.Series(averaged)),
        ),
    )


def _mean_active(jobs: pl.DataFrame, here: pl.DataFrame) -> F8:
    """Return how many of the jobs `here` were in the system, on average over each job's life; nan = it did not end."""
    arrive = np.sort(here["submit_s"].to_numpy())
    leave = np.sort(here["end_s"].drop_nulls().to_numpy())
    start, end = jobs["submit_s"].to_numpy(), jobs["end_s"].fill_null(np.nan).to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (_since(arrive, end) - _since(arrive, start) - _since(leave, end) + _since(leave, start)) / (end - start)
    return np.asarray(mean, np.float64)


def _since(times: F8, until: F8) -> F8:
    """Return the sum of (until - t) over the `times` t, ascending, before each `until`."""
    before = np.concatenate([[0.0], np.cumsum(times)])
    count = np.searchsorted(times, until)
    return np.asarray(count * until - before[count], np.float64)


def fairness(jobs: pl.DataFrame) -> dict[str, Any]:
    """Return the worst ratio and the part of the jobs above `UNFAIR`, by both definitions."""
    return _of(jobs["ftf"]) | {"unfair_above": UNFAIR, "contention": _of(jobs["ftf_contention"])}


def _of(ratios: pl.Series) -> dict[str, float]:
    known = ratios.drop_nulls().drop_nans().to_numpy()
    if not known.size:
        return {}
    return {"worst": float(known.max()), "unfair_fraction": float((known > UNFAIR).mean())}
