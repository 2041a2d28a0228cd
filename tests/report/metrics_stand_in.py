"""The timeline and the summary of a run, computed plainly: for trees without the package's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from apportion.study.result import Result


def timeline(result: Result) -> pl.DataFrame:
    """Return `time_s, pending_jobs, running_jobs, allocated_gpus`, a row a change."""
    jobs, pieces = result.jobs, result.placements
    events = pl.concat(
        [
            jobs.select(t="submit_s", p=pl.lit(1), r=pl.lit(0), g=pl.lit(0.0)),
            jobs.drop_nulls("start_s").select(t="start_s", p=pl.lit(-1), r=pl.lit(1), g=pl.lit(0.0)),
            jobs.drop_nulls("end_s").select(t="end_s", p=pl.lit(0), r=pl.lit(-1), g=pl.lit(0.0)),
            pieces.select(t="start_s", p=pl.lit(0), r=pl.lit(0), g="gpus"),
            pieces.select(t="end_s", p=pl.lit(0), r=pl.lit(0), g=-pl.col("gpus")),
        ]
    )
    steps = events.group_by("t").sum().sort("t")
    return steps.select(
        time_s="t",
        pending_jobs=pl.col("p").cum_sum(),
        running_jobs=pl.col("r").cum_sum(),
        allocated_gpus=pl.col("g").cum_sum(),
    )


def summary(result: Result) -> dict[str, Any]:
    """Return the dictionary of `summary.json`."""
    jobs, pieces = result.jobs, result.placements
    makespan = float(pieces["end_s"].max() or 0.0) - float(jobs["submit_s"].min() or 0.0)  # type: ignore[arg-type]
    used = float((pieces["gpus"] * (pieces["end_s"] - pieces["start_s"])).sum())
    status = jobs["status"]
    out: dict[str, Any] = {
        "policy": result.policy,
        "trace": result.trace,
        "jobs": jobs.height,
        "completed": int((status == "completed").sum()),
        "rejected": int((status == "rejected").sum()),
        "unfinished": int((status == "unfinished").sum()),
        "makespan_s": makespan,
        "jct_s": _spread(jobs["jct_s"]),
        "wait_s": _spread(jobs["wait_s"]),
        "gpu_utilization": used / (result.cluster.gpus * makespan) if makespan else 0.0,
        "preemptions": int(jobs["preemptions"].sum()),
        "engine": {"events": 2 * jobs.height, "wall_s": 0.0, "version": "0.1.0"},
    }
    return {k: v for k, v in out.items() if v is not None}


def _spread(series: pl.Series) -> dict[str, float] | None:
    values = series.drop_nulls().to_numpy()
    if not values.size:
        return None
    p50, p90, p99 = np.percentile(values, [50, 90, 99])
    return {
        "mean": float(values.mean()),
        "p50": float(p50),
        "p90": float(p90),
        "p99": float(p99),
        "max": float(values.max()),
    }
