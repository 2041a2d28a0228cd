"""Submission times: an inhomogeneous Poisson process of batches (hour x weekday x random day)."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from apportion.traces.generator.preset import DAY_S, Arrivals
from apportion.traces.generator.quantiles import Array

HOUR_S = 3600.0
BATCH_GAP_S = 1.0
"""Mean time between the jobs of a batch: most of Philly's bursts are jobs a few seconds apart."""


def batches(arrivals: Arrivals, jobs: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the number of jobs of each submission, i64[submissions], summing to `jobs`."""
    k = np.arange(2, arrivals.batch_largest + 1)
    weights = k**-arrivals.batch_exponent
    cumulative = np.cumsum(weights) / np.sum(weights)
    size = 1 + arrivals.batch_probability * (np.sum(k * weights) / np.sum(weights) - 1)
    drawn: list[npt.NDArray[np.int64]] = []
    left = jobs
    while left > 0:
        number = int(left / size * 1.05) + 16
        several = rng.random(number) < arrivals.batch_probability
        counts = np.ones(number, dtype=np.int64)
        counts[several] = 2 + np.searchsorted(cumulative, rng.random(int(np.sum(several))))
        total = np.cumsum(counts)
        last = int(np.searchsorted(total, left))
        if last < number:
            counts = counts[: last + 1]
            counts[-1] -= total[last] - left
        drawn.append(counts)
        left -= int(np.sum(counts))
    return np.concatenate(drawn)


def submissions(
    arrivals: Arrivals,
    counts: npt.NDArray[np.int64],
    span_s: float,
    origin: datetime,
    rng: np.random.Generator,
) -> Array:
    """Return the submission time of each job in whole seconds, f64[jobs], batch after batch.

    The first submission is at 0 and the last at `span_s`: a span other than the natural one changes how many
    jobs an hour holds, never which hours of the day are busy.
    """
    # Sums of exponentials are sorted uniforms; scaling them to the first and last fixes the span exactly.
    uniform = np.cumsum(rng.standard_exponential(len(counts)))
    uniform = (uniform - uniform[0]) / max(float(uniform[-1] - uniform[0]), 1e-300)
    edges, cumulative = _intensity(arrivals, span_s, origin, rng)
    event = np.interp(uniform * cumulative[-1], cumulative, edges)
    first = np.cumsum(counts) - counts
    gaps = rng.exponential(BATCH_GAP_S, int(np.sum(counts)))
    gaps[first] = 0.0
    offset = np.cumsum(gaps)
    offset -= np.repeat(offset[first], counts)
    return np.floor(np.minimum(np.repeat(event, counts) + offset, span_s))


def _intensity(arrivals: Arrivals, span_s: float, origin: datetime, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return edges (s) of the hours of the span and the arrivals expected before each."""
    start = origin.hour * HOUR_S + origin.minute * 60.0 + origin.second
    hours = int(np.floor((start + span_s) / HOUR_S)) + 1
    clock = np.arange(hours)
    day = clock // 24
    factor = _daily(arrivals, int(day[-1]) + 1, rng)
    rate = (
        np.array(arrivals.hours)[clock % 24] * np.array(arrivals.weekdays)[(day + origin.weekday()) % 7] * factor[day]
    )
    edges = np.clip(np.append(clock, hours) * HOUR_S - start, 0.0, span_s)
    return edges, np.concatenate([[0.0], np.cumsum(rate * np.diff(edges))])


def _daily(arrivals: Arrivals, days: int, rng: np.random.Generator) -> Array:
    """Return a log-normal AR(1) factor of mean 1 for each day."""
    sigma = np.sqrt(np.log1p(arrivals.daily_cv**2))
    rho = arrivals.daily_correlation
    shocks = rng.standard_normal(days)
    shocks[1:] *= np.sqrt(1 - rho**2)
    level = np.empty(days)
    previous = 0.0
    for i, shock in enumerate(shocks):
        previous = rho * previous + shock
        level[i] = previous
    factor: Array = np.exp(sigma * level - sigma**2 / 2)
    return factor


def natural_span_s(arrivals: Arrivals, jobs: int) -> float:
    """Return the seconds in which `jobs` jobs come at the natural rate."""
    return jobs / arrivals.jobs_per_day * DAY_S
