"""What a run in rounds amounts to: turns, leases, envy, how busy each GPU model was, and how long decisions took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from apportion.engine.layout import F8, I8
from apportion.engine.round_log import RoundLog

if TYPE_CHECKING:
    from apportion.study.result import Result


def rounds_metrics(result: Result) -> dict[str, Any]:
    """Return the key `rounds` of the summary; what does not apply is absent.

    `count`: rounds. `decisions`: times the allocator was asked. `jct_s`: `geometric_mean` and `harmonic_mean`.
    `envy`: differences between any two jobs in the part of the rounds of their life in which they ran, `mean` and
    `max`. `lease_extension`: of the job-rounds that could go on into the next round, the part that did so on the same
    GPUs. `busy`: GPU-seconds of work over GPUs x makespan, and `busy_by_model`.
    """
    log: RoundLog = result.facts["rounds"]
    out: dict[str, Any] = {"count": len(log.starts), "decisions": len(log.decide_s)}
    jct = result.jobs["jct_s"].drop_nulls().to_numpy()
    if jct.size and jct.min() > 0:
        out["jct_s"] = {
            "geometric_mean": float(np.exp(np.log(jct).mean())),
            "harmonic_mean": float(1 / (1 / jct).mean()),
        }
    starts = np.array(log.starts)
    part = turns(result, starts)
    part = part[~np.isnan(part)]
    if part.size > 1:
        out["envy"] = {"mean": _mean_difference(part), "max": float(part.max() - part.min())}
    kept, cut = _leases(result, starts)
    if kept + cut:
        out["lease_extension"] = kept / (kept + cut)
    return out | _busy(result, log)


def decide_times(result: Result) -> dict[str, float]:
    """Return the seconds of wall time an answer of the allocator took: `median`, `p95` and `max`."""
    took = np.array(result.facts["rounds"].decide_s or [0.0])
    return {"median": float(np.median(took)), "p95": float(np.quantile(took, 0.95)), "max": float(took.max())}


def turns(result: Result, starts: F8) -> F8:
    """Return the part of the rounds of its life in which each job ran: f8[jobs], nan where there was none.

    Parameters
    ----------
    starts: when the rounds began, ascending, seconds.
    """
    jobs, runs = result.jobs, result.placements.filter("first")
    ran = np.searchsorted(starts, _ends(runs["end_s"])) - np.searchsorted(starts, runs["start_s"].to_numpy())
    scheduled = np.bincount(runs["job"].to_numpy(), ran, minlength=jobs.height)
    there = np.searchsorted(starts, _ends(jobs["end_s"])) - np.searchsorted(starts, jobs["submit_s"].to_numpy())
    counted = (jobs["gpus"] > 0).to_numpy() & (jobs["status"] != "rejected").to_numpy() & (there > 0)
    return np.asarray(np.where(counted, scheduled / np.maximum(there, 1), np.nan), np.float64)


def _ends(end_s: pl.Series) -> F8:
    return np.asarray(end_s.fill_null(np.inf).to_numpy(), np.float64)


def _mean_difference(values: F8) -> float:
    """Return the mean of |x - y| over all pairs of values."""
    rank: I8 = np.arange(values.size, dtype=np.int64)
    pairs = values.size * (values.size - 1) / 2
    return float((np.sort(values) * (2 * rank - values.size + 1)).sum() / pairs)


def _leases(result: Result, starts: F8) -> tuple[int, int]:
    """Count the rounds into which runs went on, and the runs that were cut short."""
    runs = result.placements.filter("first", pl.col("gpus") > 0)
    end = runs["end_s"]
    inside = np.searchsorted(starts, _ends(end)) - np.searchsorted(starts, runs["start_s"].to_numpy(), side="right")
    done = result.jobs["end_s"].gather(runs["job"])
    return int(inside.sum()), int((end.is_not_null() & end.ne_missing(done)).sum())


def _busy(result: Result, log: RoundLog) -> dict[str, Any]:
    last = result.jobs["end_s"].max()
    first = result.jobs["submit_s"].min()
    if last is None or not last > first:  # type: ignore[operator]
        return {}
    span = float(last - first)  # type: ignore[operator, arg-type]
    models = [model or "" for model in log.models]
    nodes = result.cluster.table
    place = {model: i for i, model in enumerate(models)}
    at = np.array([place.get(model or "", 0) for model in nodes["gpu_model"]], np.int64)
    there = np.bincount(at, nodes["gpus"].to_numpy().astype(np.float64), len(models))
    if log.busy_gpu_s is not None:
        busy = log.busy_gpu_s
    else:
        runs = result.placements
        seconds = np.minimum(_ends(runs["end_s"]), last) - runs["start_s"].to_numpy()  # type: ignore[arg-type]
        held = seconds.clip(min=0) * runs["gpus"].to_numpy()
        busy = np.bincount(at[runs["node"].to_numpy()], held, len(models)).astype(np.float64)
    out: dict[str, Any] = {"busy": float(busy.sum() / (there.sum() * span))}
    if any(models):
        out["busy_by_model"] = {m: float(b / (g * span)) for m, b, g in zip(models, busy, there, strict=True) if g > 0}
    return out
