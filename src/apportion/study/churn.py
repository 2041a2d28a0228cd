"""Synthetic churn: the tasks of a trace arrive and depart at random, at a load of one's choice."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.workload import Workload
from apportion.study.result import Result

TURNOVERS = 6.0
"""How many times the cluster's content is replaced, with the time to fill it."""
MEAN_S = 3600.0
"""Mean run time in seconds; the outcome scales with it."""


def churn(
    workload: Workload, cluster: Cluster, load: float, seed: int = 0, *, turnovers: float = TURNOVERS
) -> Workload:
    """Return a Poisson stream of jobs drawn (with replacement) from `workload`, with exponential run times.

    Demands keep the frequencies they have in the trace and nothing else of it: run times have a mean of one hour
    whatever the demand, so that `load` is the mean GPU demand present, over capacity, if nobody waited. The stream
    lasts `turnovers` mean run times.

    Raises
    ------
    InputError: the load is not positive, or nothing asks for a GPU.
    """
    if not 0 < load < np.inf:
        raise InputError(f"found churn load {load:g}, expected a number above 0")
    demand = workload.gpu_demand
    mean = float(demand.mean() or 0.0) if len(workload) else 0.0  # type: ignore[arg-type]
    if mean <= 0 or cluster.gpus == 0:
        raise InputError(f"{workload.name}: churn needs jobs that ask for GPUs and a cluster that has some")
    rate = load * cluster.gpus / (mean * MEAN_S)
    jobs = max(1, round(rate * turnovers * MEAN_S))
    random = np.random.default_rng(seed)
    rows = random.integers(len(workload), size=jobs)
    submit = np.cumsum(random.exponential(1 / rate, jobs))
    duration = random.exponential(MEAN_S, jobs)
    table = workload.table[rows].with_columns(
        job_id=pl.format("{}-{}", pl.Series(workload.table["job_id"][rows]), pl.Series(np.arange(jobs))),
        submit_s=pl.Series(submit),
        duration_s=pl.Series(duration),
        estimate_s=pl.lit(None, pl.Float64),
        deadline_s=pl.lit(None, pl.Float64),
    )
    return Workload(table, None, f"{workload.name}, churn {load:g}", workload.profiles)


def steady_state(result: Result) -> dict[str, float]:
    """Return time means from the second mean run time to the last submission, when a churn neither fills nor drains.

    `allocated_pct`, `fragmented_pct`: of the cluster's GPUs; `pending_jobs`.
    """
    timeline = result.timeline
    times = timeline["time_s"].to_numpy()
    last = float(result.jobs["submit_s"].max())  # type: ignore[arg-type]
    first = min(2 * MEAN_S, last / 2)
    start = np.clip(times, first, last)
    lasting = np.diff(np.append(start, last))
    span = max(float(lasting.sum()), 1e-9)

    def mean(column: str) -> float:
        return float((timeline[column].to_numpy() * lasting).sum() / span)

    return {
        "allocated_pct": 100 * mean("allocated_gpus") / result.cluster.gpus,
        "fragmented_pct": 100 * mean("fragmented_gpus") / result.cluster.gpus,
        "pending_jobs": mean("pending_jobs"),
    }
