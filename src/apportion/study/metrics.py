"""What a run amounts to: the timeline and the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

import apportion
from apportion.engine.encode import encode
from apportion.engine.layout import F8
from apportion.engine.plan import PlacementPlan
from apportion.engine.series import fragment_series
from apportion.engine.state import State
from apportion.engine.target import typical_tasks
from apportion.study.changes import all_changes
from apportion.study.fairness import fairness
from apportion.study.power_off import energy
from apportion.study.rounds_metrics import decide_times, rounds_metrics

if TYPE_CHECKING:
    from apportion.study.result import Result


def timeline(result: Result) -> pl.DataFrame:
    """Return a row per change: `time_s, pending_jobs, running_jobs, allocated_gpus, fragmented_gpus`.

    Rejected jobs are not in it; several changes at one moment make one row. `fragmented_gpus` is F(M) / 1000 of Weng et
    al., ATC 2023: the free GPUs that the typical tasks of the workload, in expectation, cannot use where they are.
    """
    runs = result.placements.filter("first")
    waits = result.jobs.filter(pl.col("status") != "rejected")
    ends = result.placements.filter(pl.col("end_s").is_not_null())
    # a run that ends before its job does puts the job back into the queue
    job_end = result.jobs["end_s"].gather(runs["job"])
    back = runs.filter(pl.col("end_s").is_not_null() & pl.col("end_s").ne_missing(job_end))
    changes = [
        _changes(waits["submit_s"], pending=1),
        _changes(runs["start_s"], pending=-1, running=1),
        _changes(runs["end_s"].drop_nulls(), running=-1),
        _changes(back["end_s"], pending=1),
        _changes(result.placements["start_s"], gpus=result.placements["gpus"]),
        _changes(ends["end_s"], gpus=-ends["gpus"]),
    ]
    table = pl.concat(changes).group_by("time_s").agg(pl.all().sum()).sort("time_s")
    fragmented = _fragmented(result, table["time_s"].to_numpy())
    return table.select(
        "time_s",
        pending_jobs=pl.col("pending").cum_sum(),
        running_jobs=pl.col("running").cum_sum(),
        allocated_gpus=pl.col("gpus").cum_sum().round(6) + 0.0,  # no -0.0
        fragmented_gpus=pl.Series(fragmented).round(6),
    )


def _fragmented(result: Result, times: F8) -> F8:
    """Return the GPUs in fragments after all that happened up to each time."""
    encoded = encode(result.workload, result.cluster)
    state = State(encoded, PlacementPlan())
    state.attach_targets(typical_tasks(encoded))
    when, changes = all_changes(result, encoded)
    series = fragment_series(state, changes)
    return np.asarray(series[np.searchsorted(when, times, side="right")] / 1000)


def _changes(time: pl.Series, pending: int = 0, running: int = 0, gpus: Any = 0.0) -> pl.DataFrame:
    return pl.select(
        time_s=time,
        pending=pl.lit(pending, pl.Int64),
        running=pl.lit(running, pl.Int64),
        gpus=gpus if isinstance(gpus, pl.Series) else pl.lit(gpus, pl.Float64),
    )


def summary(result: Result) -> dict[str, Any]:
    """Return the dictionary of `summary.json`; times in seconds, a key that does not apply is absent.

    `makespan_s` runs from the first submission to the last completion; `gpu_utilization` is the allocated GPU time over
    capacity x makespan.
    """
    jobs = result.jobs
    count = dict(jobs["status"].value_counts().iter_rows())
    done = jobs.filter(pl.col("status") == "completed")
    out: dict[str, Any] = {
        "policy": result.policy,
        "trace": result.trace,
        "jobs": jobs.height,
        "completed": count.get("completed", 0),
        "rejected": count.get("rejected", 0),
        "unfinished": count.get("unfinished", 0),
    }
    if "failed" in count:
        out["failed"] = count["failed"]
    if done.height:
        first, last = float(jobs["submit_s"].min()), float(done["end_s"].max())  # type: ignore[arg-type]
        out["makespan_s"] = last - first
        out["jct_s"] = _quantiles(done["jct_s"].to_numpy())
        out["wait_s"] = _quantiles(done["wait_s"].to_numpy())
        capacity = result.cluster.gpus * (last - first)
        if capacity > 0:
            out["gpu_utilization"] = _allocated_gpu_s(result, last) / capacity
    out["preemptions"] = int(jobs["preemptions"].sum())
    restarts = int(jobs["restarts"].sum())
    if restarts:
        out["restarts"] = restarts
    if "ftf" in jobs.columns and done.height:
        out["ftf"] = fairness(jobs)
    deadlines = result.workload.table["deadline_s"]
    if deadlines.null_count() < len(deadlines):
        met = (jobs["end_s"] <= deadlines).fill_null(False) & deadlines.is_not_null() & jobs["jct_s"].is_not_null()
        out["deadlines"] = {"with": len(deadlines) - deadlines.null_count(), "met": int(met.sum())}
    if "power" in result.facts and done.height:
        how, off = result.facts["power"]
        first, last = float(jobs["submit_s"].min()), float(done["end_s"].max())  # type: ignore[arg-type]
        out |= energy(result.cluster, result.placements, first, last, off, how.off_w)
    if "rounds" in result.facts:
        out["rounds"] = rounds_metrics(result)
    out["engine"] = {
        "events": int(result.facts.get("events", 0)),
        "wall_s": float(result.facts.get("wall_s", 0.0)),
        **({"decide_s": decide_times(result)} if "rounds" in result.facts else {}),
        "version": apportion.__version__,
    }
    return out


def _allocated_gpu_s(result: Result, last: float) -> float:
    placed = result.placements
    end = placed["end_s"].fill_null(last).to_numpy()
    start = placed["start_s"].to_numpy()
    return float(((np.minimum(end, last) - start).clip(min=0) * placed["gpus"].to_numpy()).sum())


def _quantiles(values: F8) -> dict[str, float]:
    p50, p90, p99 = np.quantile(values, [0.5, 0.9, 0.99])
    return {
        "mean": float(values.mean()),
        "p50": float(p50),
        "p90": float(p90),
        "p99": float(p99),
        "max": float(values.max()),
    }
