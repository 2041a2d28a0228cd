"""How well a model predicts the run times of a trace: at each job's submission, from what had ended by then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.layout import F8
from apportion.model.errors import InputError
from apportion.model.workload import Workload
from apportion.predict.online import Online
from apportion.predict.predictor import HIGH, LOW, Predictor, make

QUANTILES = (LOW, 0.5, HIGH)
SIZES = ((0.0, 1.0), (1.0, 4.0), (4.0, 8.0), (8.0, np.inf))
"""GPUs of a job, more than the first and at most the second."""
NEAR = 0.25


def replay(
    workload: Workload,
    model: str | Predictor,
    *,
    retrain_s: float = 7 * 86_400.0,
    update_s: float = 1_800.0,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Predict every job of a trace in the order of submission; return `duration_s, gpus, predicted_s, 0.1, 0.5, 0.9`.

    Jobs start when the trace says they did (`source_wait_s`), else as they are submitted. Jobs that are submitted
    before the model was fitted for the first time are left out.

    Parameters
    ----------
    model: a name or a fresh predictor. retrain_s: seconds between two fits. update_s: between two looks at what ended.

    Raises
    ------
    PolicyError: an unknown model. InputError: too few jobs.
    """
    table = workload.table
    submit = table["submit_s"].to_numpy()
    wait = table["source_wait_s"].fill_null(0.0).to_numpy() if "source_wait_s" in table.columns else 0.0
    start = np.asarray(submit + wait, np.float64)
    end = start + table["duration_s"].to_numpy()
    by_end, ended = np.argsort(end, kind="stable"), 0
    online = Online(make(model) if isinstance(model, str) else model, table, retrain_s)
    parts: list[pl.DataFrame] = []
    at, now, open_ = 0, float(submit[0]) - update_s if submit.size else 0.0, np.zeros(0, np.int64)
    while at < submit.size:
        # a look just before the next submission
        now += max(int(np.ceil((submit[at] - now) / update_s)) - 1, 0) * update_s
        last = int(np.searchsorted(end[by_end], now, side="right"))
        over = by_end[ended:last]
        ended = last
        open_ = open_[end[open_] > now]
        busy = open_[start[open_] <= now]
        online.look(now, over, end[over], busy, start[busy])
        until = int(np.searchsorted(submit, now + update_s, side="right"))
        rows = np.arange(at, until)
        found = online.predict(rows, QUANTILES if online.fits else ())
        if online.fits:
            parts.append(found.with_columns(row=pl.Series(rows)))
        open_, at = np.concatenate([open_, rows]), until
        now += update_s
        if progress is not None:
            progress(at, submit.size)
    if not parts:
        raise InputError(f"found {len(table)} jobs, expected enough that some end before others are submitted")
    found = pl.concat(parts)
    gpus = table["gpus"] * table["gpu_milli"] / 1000 * table["tasks"]
    truth = pl.DataFrame({"row": np.arange(len(table)), "duration_s": table["duration_s"], "gpus": gpus})
    return truth.join(found.rename({"duration_s": "predicted_s"}), on="row", maintain_order="left").drop("row")


def accuracy(jobs: pl.DataFrame) -> dict[str, Any]:
    """Return how good predictions were, for all jobs and by size; `jobs` as `replay` returns them.

    `within_25_pct`: share of jobs predicted within 25 %. `error_pct`: mean and median of |predicted - true| / true
    (jobs of less than a second count as one). `rank_correlation`: Spearman's. `coverage_80`: share of jobs between the
    quantiles 0.1 and 0.9. `pinball_s`: mean loss of the three quantiles.
    """
    out = _measures(jobs)
    out["by_gpus"] = {}
    for low, high in SIZES:
        some = jobs.filter((pl.col("gpus") > low) & (pl.col("gpus") <= high))
        if some.height:
            out["by_gpus"][f"over {low:g}" if high == np.inf else f"up to {high:g}"] = _measures(some)
    return out


def _measures(jobs: pl.DataFrame) -> dict[str, Any]:
    true = np.maximum(jobs["duration_s"].to_numpy(), 1.0)
    error = np.abs(jobs["predicted_s"].to_numpy() - true) / true
    bounds = jobs.select(str(LOW), str(HIGH)).to_numpy()
    inside = (true >= bounds[:, 0]) & (true <= bounds[:, 1])
    correlation = jobs.select(pl.corr("duration_s", "predicted_s", method="spearman")).item()
    known = correlation is not None and np.isfinite(correlation)
    return {
        "jobs": jobs.height,
        "within_25_pct": float((error < NEAR).mean()),
        "error_pct": {"mean": float(100 * error.mean()), "p50": float(100 * np.median(error))},
        "rank_correlation": float(correlation) if known else None,
        "coverage_80": float(inside.mean()),
        "pinball_s": float(np.mean([pinball(true, jobs[str(q)].to_numpy(), q) for q in QUANTILES])),
    }


def pinball(true: F8, predicted: F8, quantile: float) -> float:
    """Return the mean loss of a predicted quantile, least where it is the true one (Koenker and Bassett, 1978)."""
    over = true - predicted
    return float(np.maximum(quantile * over, (quantile - 1) * over).mean())
