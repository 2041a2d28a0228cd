"""When the jobs of a trace come: hours of the day, bursts, and the days as they were."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from apportion.traces.generator.arrivals import HOUR_S
from apportion.traces.generator.preset import DAY_S, Arrivals, Levels
from apportion.traces.generator.quantiles import Array

BURST_GAP_S = 60.0
"""Jobs of one user, group and request at most so far apart are one burst."""

LARGEST_BURST = 1000

STRATUM_SHARE = 0.01
"""A stratum of run times holds about so much of the trace's GPU time, so that heavy jobs come on their days; sizes and
lengths with less share one."""

MOST_STRATA = 24
"""Of one size."""

FEWEST_JOBS = 8


def fit_arrivals(table: pl.DataFrame, demand: np.ndarray, rank: Array, gpu_s: Array, origin: datetime) -> Arrivals:
    """Return the arrivals of a table in the order of submission.

    Parameters
    ----------
    demand, rank, gpu_s: of each job, its request, the share of jobs of that request that run shorter, GPU-seconds.
    """
    submit_s = table["submit_s"].to_numpy()
    span_s = max(float(submit_s[-1] - submit_s[0]), 1.0)
    start = origin.hour * HOUR_S + origin.minute * 60.0 + origin.second + submit_s[0]
    clock = start + submit_s - submit_s[0]
    hours = np.bincount((clock // HOUR_S).astype(np.int64) % 24, minlength=24)
    day = (clock // DAY_S).astype(np.int64)
    day -= day[0]
    burst = burst_of(table, demand)
    sizes = np.bincount(burst)
    gap = np.diff(submit_s[np.argsort(burst, kind="stable")])[np.diff(np.sort(burst)) == 0]
    which = np.zeros(len(sizes), dtype=np.int64)
    which[burst] = demand
    share, exponent, largest = _batches(sizes)
    mix = np.bincount(which[sizes > 1], minlength=int(np.max(demand)) + 1)
    return Arrivals(
        jobs_per_day=table.height * DAY_S / span_s,
        hours=tuple(float(h) for h in hours),
        weekdays=(1.0,) * 7,
        daily_cv=0.0,
        daily_correlation=0.0,
        batch_probability=share,
        batch_exponent=exponent,
        batch_largest=largest,
        batch_gap_s=float(np.mean(gap)) if len(gap) else 1.0,
        batch_mix=tuple(float(m) for m in mix) if np.any(mix) else (),
        levels=_levels(demand, rank, gpu_s, day, _hours(clock, day), span_s),
    )


def burst_of(table: pl.DataFrame, demand: np.ndarray) -> np.ndarray:
    """Return the number of the burst of each job, i64[jobs]."""
    same = (
        pl.DataFrame({"user": table["user"], "group": table["group"], "demand": demand})
        .select(pl.struct(pl.all()).rank("dense").cast(pl.Int64).alias("who"))["who"]
        .to_numpy()
    )
    submit_s = table["submit_s"].to_numpy()
    order = np.argsort(same, kind="stable")
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(same[order]) != 0) | (np.diff(submit_s[order]) > BURST_GAP_S)
    burst = np.empty(len(order), dtype=np.int64)
    burst[order] = np.cumsum(new) - 1
    return burst


def _batches(sizes: np.ndarray) -> tuple[float, float, int]:
    """Return the share of bursts with several jobs, and the exponent and largest of their power law.

    The exponent gives the bursts their mean number of jobs.
    """
    several = sizes[sizes > 1]
    if not len(several):
        return 0.0, 2.0, 2
    largest = int(min(np.max(several), LARGEST_BURST))
    wanted = float(np.mean(np.minimum(several, largest)))
    k = np.arange(2, largest + 1, dtype=np.float64)
    low, high = 0.0, 12.0
    for _ in range(60):
        exponent = (low + high) / 2
        weight = k**-exponent
        low, high = (exponent, high) if np.sum(k * weight) / np.sum(weight) > wanted else (low, exponent)
    return len(several) / len(sizes), (low + high) / 2, largest


def _hours(clock: Array, day: np.ndarray) -> Array:
    hour = (clock // HOUR_S).astype(np.int64) % 24
    counts = np.bincount(day * 24 + hour, minlength=24 * (int(day[-1]) + 1)).reshape(-1, 24).astype(np.float64)
    of_day = np.sum(counts, axis=1, keepdims=True)
    shares: Array = np.where(of_day > 0, counts / np.maximum(of_day, 1), 1 / 24)
    return shares


def _levels(demand: np.ndarray, rank: Array, gpu_s: Array, day: np.ndarray, hours: Array, span_s: float) -> Levels:
    """Return the jobs of each day by stratum: ranges of run times of one size with about equal GPU time."""
    total = max(float(np.sum(gpu_s)), 1e-300)
    bounds: list[Array] = []
    first: list[int] = []
    index = np.zeros(len(demand), dtype=np.int64)
    strata = 1  # the first is that of what is rare and light
    for d in range(int(np.max(demand)) + 1):
        mine = np.flatnonzero(demand == d)
        part = float(np.sum(gpu_s[mine])) / total
        wanted = int(min(np.ceil(part / STRATUM_SHARE), MOST_STRATA, len(mine) // FEWEST_JOBS))
        if wanted < 1:
            bounds.append(np.zeros(0))
            first.append(0)
            continue
        order = mine[np.argsort(rank[mine], kind="stable")]
        upto = np.cumsum(gpu_s[order])
        cut = np.searchsorted(upto, upto[-1] * np.arange(1, wanted) / wanted)
        # The shortest half holds next to no GPU time, but most of the jobs.
        cut = np.unique(np.concatenate([cut, [len(order) // 2]]))
        cut = cut[(cut > 0) & (cut < len(order))]
        edges = cut / len(order)
        bounds.append(edges)
        first.append(strata)
        index[mine] = strata + np.searchsorted(edges, rank[mine], side="right")
        strata += len(edges) + 1
    days = int(np.max(day)) + 1
    counts = np.bincount(index * days + day, minlength=strata * days).reshape(strata, days)
    return Levels(tuple(bounds), tuple(first), counts.astype(np.float64), hours, span_s)
