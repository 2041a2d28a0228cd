"""Few points for many jobs: distributions on a grid of quantiles, timelines in bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]

SHORTEST_S = 1.0
"""On logarithmic axes shorter durations (no wait at all, most often) stand here."""


def quantile_shares(points: int = 400) -> Floats:
    """Return ascending shares in [0, 1], denser towards 1, where the jobs that suffer are."""
    tail = 1 - np.geomspace(0.02, 1e-4, points // 5)
    return np.unique(np.concatenate([np.linspace(0, 0.98, points - tail.size - 1), tail, [1.0]]))


def distribution(values: pl.Series, points: int = 400) -> tuple[Floats, Floats]:
    """Return (duration in seconds, share of jobs at or below it), at most `points` each; nulls are left out.

    Durations below `SHORTEST_S` are raised to it.
    """
    known = values.drop_nulls().to_numpy()
    if not known.size:
        return np.empty(0), np.empty(0)
    shares = quantile_shares(points)
    return np.maximum(np.quantile(known, shares, method="inverted_cdf"), SHORTEST_S), shares


@dataclass(frozen=True)
class Bins:
    """Equal stretches of time: `count` of them, `width_s` each, from `start_s`."""

    start_s: float
    width_s: float
    count: int

    @classmethod
    def between(cls, start_s: float, end_s: float, count: int) -> Bins:
        """Return `count` bins from `start_s` to `end_s`."""
        return cls(start_s, max(end_s - start_s, 1e-3) / count, count)

    @property
    def edges(self) -> Floats:
        """f64[count + 1], seconds."""
        return self.start_s + self.width_s * np.arange(self.count + 1, dtype=np.float64)


@dataclass(frozen=True)
class Binned:
    """A step function in bins: time-weighted mean, least and largest value, f64[count] each."""

    mean: Floats
    low: Floats
    high: Floats


def bin_steps(times_s: Floats, values: Floats, bins: Bins) -> Binned:
    """Return the step function (`values[i]` from `times_s[i]` on, 0 before the first) in `bins`."""
    zeros = np.zeros(bins.count)
    if not times_s.size:
        return Binned(zeros, zeros, zeros)
    # The integral is piecewise linear between changes: exact at the bin edges by interpolation.
    area = np.concatenate([[0.0], np.cumsum(values[:-1] * np.diff(times_s))])
    edges = bins.edges
    at_edges = np.interp(edges, times_s, area)
    beyond = np.maximum(edges - times_s[-1], 0.0) * values[-1]
    mean = np.diff(at_edges + beyond) / bins.width_s
    # A bin sees the value it starts with and every change before its end.
    before = np.searchsorted(times_s, edges, side="right") - 1
    entry = np.where(before[:-1] >= 0, values[np.maximum(before[:-1], 0)], 0.0)
    low, high = entry.copy(), entry.copy()
    inside = (times_s > edges[0]) & (times_s < edges[-1])
    where = np.minimum(((times_s[inside] - bins.start_s) / bins.width_s).astype(np.int64), bins.count - 1)
    np.minimum.at(low, where, values[inside])
    np.maximum.at(high, where, values[inside])
    return Binned(mean, low, high)
