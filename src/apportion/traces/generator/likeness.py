"""How near a generated workload comes to the one it was fitted to: distances between the two samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from apportion.model.workload import Workload
from apportion.traces.generator.quantiles import Array

SIZES = (
    (0.0, 0.0, "0"),
    (0.0, 0.999, "< 1"),
    (0.999, 1.0, "1"),
    (1.0, 4.0, "2-4"),
    (4.0, 8.0, "5-8"),
    (8.0, np.inf, "> 8"),
)
"""Buckets of GPUs: above, up to, label."""

TEN_MINUTES_S = 600.0


class Distance(NamedTuple):
    """One line of the comparison: the value of each workload, and a distance where one number tells it."""

    what: str
    original: float | None
    generated: float | None
    distance: float | None = None


def likeness(original: Workload, generated: Workload) -> list[Distance]:
    """Return the comparison.

    Run times: two-sample Kolmogorov-Smirnov distance (0 to 1), of all jobs and by GPUs. GPU time: share by GPUs.
    Submissions: half the sum of the differences of the shares of the 24 hours of the day (0 to 1), each counted from
    its own midnight; variance over mean of 10-minute counts. Users: share of the GPU time that the top 5 % hold.
    States: share of completed jobs.
    """
    a, b = _columns(original), _columns(generated)
    found = [
        Distance("jobs", float(len(original)), float(len(generated))),
        Distance("GPU-hours", float(np.sum(a.gpu_s)) / 3600, float(np.sum(b.gpu_s)) / 3600),
        Distance("median run time (s)", float(np.median(a.duration_s)), float(np.median(b.duration_s))),
        Distance("run times", None, None, ks(a.duration_s, b.duration_s)),
    ]
    for low, high, label in SIZES:
        x, y = (_within(c.size, low, high) for c in (a, b))
        if np.any(x) and np.any(y):
            found.append(Distance(f"run times, {label} GPUs", None, None, ks(a.duration_s[x], b.duration_s[y])))
            held = [float(np.sum(c.gpu_s[m]) / max(np.sum(c.gpu_s), 1e-300)) for c, m in ((a, x), (b, y))]
            found.append(Distance(f"share of GPU time, {label} GPUs", held[0], held[1]))
    profiles = [_profile(c.clock_s) for c in (a, b)]
    found.append(Distance("hours of the day", None, None, 0.5 * float(np.sum(np.abs(profiles[0] - profiles[1])))))
    found.append(Distance("dispersion of 10-minute counts", dispersion(a.submit_s), dispersion(b.submit_s)))
    found.append(Distance("GPU time of the top 5 % of users", top_users(original), top_users(generated)))
    if original.table["status"].null_count() < len(original):
        shares = [float((w.table["status"] == "completed").mean() or 0.0) for w in (original, generated)]  # type: ignore[arg-type]
        found.append(Distance("share of completed jobs", shares[0], shares[1]))
    return found


class _Columns(NamedTuple):
    submit_s: Array
    clock_s: Array
    duration_s: Array
    size: Array
    gpu_s: Array


def _columns(workload: Workload) -> _Columns:
    table = workload.table
    submit_s, duration_s = table["submit_s"].to_numpy(), table["duration_s"].to_numpy()
    size = workload.gpu_demand.to_numpy()
    start = workload.origin
    midnight = start.hour * 3600.0 + start.minute * 60.0 + start.second if start else 0.0
    return _Columns(submit_s - submit_s[0], submit_s + midnight, duration_s, size, size * duration_s)


def _within(size: Array, low: float, high: float) -> np.ndarray:
    return (size == 0) if high == 0 else (size > low) & (size <= high)


def ks(first: Array, second: Array) -> float:
    """Return the largest difference of the two distribution functions, 0 to 1."""
    first, second = np.sort(first), np.sort(second)
    points = np.concatenate([first, second])
    below = [np.searchsorted(x, points, side="right") / len(x) for x in (first, second)]
    return float(np.max(np.abs(below[0] - below[1])))


def _profile(clock_s: Array) -> Array:
    counts = np.bincount((clock_s // 3600).astype(np.int64) % 24, minlength=24)
    shares: Array = counts / np.sum(counts)
    return shares


def dispersion(submit_s: Array, width_s: float = TEN_MINUTES_S) -> float:
    """Return variance over mean of the numbers of submissions in windows of `width_s`."""
    counts = np.bincount((submit_s // width_s).astype(np.int64))
    return float(np.var(counts) / np.mean(counts))


def top_users(workload: Workload, share: float = 0.05) -> float:
    """Return the share of GPU time that the top `share` of the users (at least one) hold."""
    held = (
        workload.table.with_columns(_held=workload.gpu_demand * pl.col("duration_s"))
        .group_by("user")
        .agg(pl.col("_held").sum())["_held"]
        .sort(descending=True)
    )
    total = float(held.sum())
    return float(held.head(max(round(share * len(held)), 1)).sum()) / total if total > 0 else 0.0
