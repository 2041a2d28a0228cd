"""Submission times: an inhomogeneous Poisson process of batches (hour x weekday x random day)."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from apportion.traces.generator.preset import DAY_S, Arrivals, Levels
from apportion.traces.generator.quantiles import Array

HOUR_S = 3600.0


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
    return _spread(np.interp(uniform * cumulative[-1], cumulative, edges), counts, span_s, arrivals.batch_gap_s, rng)


def replayed(
    arrivals: Arrivals,
    levels: Levels,
    counts: npt.NDArray[np.int64],
    stratum: npt.NDArray[np.int64],
    span_s: float,
    origin: datetime,
    rng: np.random.Generator,
) -> Array:
    """Return the submission time of each job as `submissions` does, each stratum (i64[submissions]) with its own days.

    A span within a day of the observed one has the observed days in order, any other weeks of them drawn at random.
    Submissions are spread evenly over what their stratum expects: a day gets as many jobs as it had, up to a batch.
    """
    edges, clock = _hours(span_s, origin)
    day = clock // 24
    number = int(day[-1]) + 1
    which = _days(levels, number, span_s, rng)
    share = levels.hours[which][day, clock % 24]
    hourly = np.array(arrivals.hours)[clock % 24] * np.diff(edges)
    event = np.empty(len(counts))
    for s in range(len(levels.days)):
        mine = rng.permutation(np.flatnonzero(stratum == s))
        if not len(mine):
            continue
        weight = levels.days[s][which][day] * share
        if not np.sum(weight) > 0:
            weight = hourly
        cumulative = np.concatenate([[0.0], np.cumsum(weight)])
        upto = np.cumsum(counts[mine])
        place = (upto - counts[mine] * rng.random(len(mine))) / upto[-1]
        event[mine] = np.interp(place * cumulative[-1], cumulative, edges)
    # only the first and the last are moved to the ends: stretching all would shift the days
    event[np.argmin(event)], event[np.argmax(event)] = 0.0, span_s
    return _spread(event, counts, span_s, arrivals.batch_gap_s, rng)


def _days(levels: Levels, number: int, span_s: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return which observed day each of `number` days is like."""
    observed = levels.days.shape[1]
    if number == observed or abs(span_s - levels.span_s) < DAY_S:
        in_order: npt.NDArray[np.int64] = np.minimum(np.arange(number, dtype=np.int64), observed - 1)
        return in_order
    # Blocks of a week that begin on the same weekday keep weekdays and what carries over from day to day.
    starts = np.arange(0, max(observed - 6, 1), 7)
    block = starts[rng.integers(len(starts), size=number // 7 + 1)]
    days: npt.NDArray[np.int64] = (block[:, None] + np.arange(7)[None, :]).ravel()[:number] % observed
    return days


def _spread(
    event: Array, counts: npt.NDArray[np.int64], span_s: float, gap_s: float, rng: np.random.Generator
) -> Array:
    """Return the time of each job, a few seconds after the one before it in its batch."""
    first = np.cumsum(counts) - counts
    gaps = rng.exponential(gap_s, int(np.sum(counts)))
    gaps[first] = 0.0
    offset = np.cumsum(gaps)
    offset -= np.repeat(offset[first], counts)
    return np.floor(np.minimum(np.repeat(event, counts) + offset, span_s))


def _intensity(arrivals: Arrivals, span_s: float, origin: datetime, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return edges (s) of the hours of the span and the arrivals expected before each."""
    edges, clock = _hours(span_s, origin)
    day = clock // 24
    factor = _daily(arrivals, int(day[-1]) + 1, rng)
    rate = (
        np.array(arrivals.hours)[clock % 24] * np.array(arrivals.weekdays)[(day + origin.weekday()) % 7] * factor[day]
    )
    return edges, np.concatenate([[0.0], np.cumsum(rate * np.diff(edges))])


def _hours(span_s: float, origin: datetime) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return edges (s) of the hours of the span, and the number of each since midnight before it."""
    start = origin.hour * HOUR_S + origin.minute * 60.0 + origin.second
    clock = np.arange(int(np.floor((start + span_s) / HOUR_S)) + 1)
    return np.clip(np.append(clock, len(clock)) * HOUR_S - start, 0.0, span_s), clock


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
