"""When jobs ran, as far as the trace says, and what ran in each bin of time."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.study.characterize.section import Subject

F8 = npt.NDArray[np.float64]
DAY_S, HOUR_S = 86400.0, 3600.0
BIN_S = 600.0
"""Ten minutes, the step in which the papers look at load."""
MOST_BINS = 1_000_000
MOST_ROWS = 2000


def starts(jobs: pl.DataFrame) -> tuple[F8, F8]:
    """Return when each job started and ended, in seconds; without a recorded wait it started when it was submitted."""
    submit = jobs["submit_s"].to_numpy()
    wait = jobs["wait_s"].fill_null(0.0).to_numpy() if "wait_s" in jobs.columns else np.zeros(submit.size)
    return submit + wait, submit + wait + jobs["duration_s"].to_numpy()


def assumed(jobs: pl.DataFrame) -> tuple[str, ...]:
    """Return a sentence on what is not known of the starts, none where they were recorded."""
    if "wait_s" in jobs.columns and jobs["wait_s"].count():
        return ()
    return ("The trace does not say when jobs started: each is taken to run from its submission on.",)


def edges(subject: Subject, bin_s: float = BIN_S) -> F8:
    """Return the edges of whole bins from the first to the last submission, at round times of the calendar.

    What runs on after the last submission is no load of the trace: nothing arrives beside it any more.
    """
    submit = subject.jobs["submit_s"].to_numpy()
    if not submit.size:
        return np.zeros(1)
    origin = subject.trace.workload.origin
    phase = 0.0 if origin is None else (origin - origin.replace(hour=0, minute=0, second=0, microsecond=0)) / _SECOND
    first = np.ceil((submit[0] + phase) / bin_s) * bin_s - phase
    bins = int(max((submit[-1] - first) // bin_s, 0))
    return np.asarray(first + bin_s * np.arange(min(bins, MOST_BINS) + 1))


def per_bin(start: F8, end: F8, weight: F8, at: F8) -> F8:
    """Return the mean of what ran in each bin between the evenly spaced `at`: f8[bins], in the unit of `weight`."""
    if at.size < 2:
        return np.zeros(0)
    width = at[1] - at[0]
    area = _area(start, weight, at, width) - _area(end, weight, at, width)
    return np.asarray(area / width)


def _area(since: F8, weight: F8, at: F8, width: float) -> F8:
    """Return the area in each bin under steps that go up at `since` and stay up."""
    bins = at.size - 1
    where = np.clip((since - at[0]) / width, 0, bins)
    number = np.minimum(where.astype(np.int64), bins - 1)
    inside = np.bincount(number, weight * (number + 1 - where), minlength=bins)
    before = np.concatenate([[0.0], np.cumsum(np.bincount(number, weight, minlength=bins))[:-1]])
    return np.asarray((inside + before) * width)


def thin(table: pl.DataFrame) -> pl.DataFrame:
    """Return a series with `time_s` as means of neighbours, so that at most `MOST_ROWS` rows are left to draw."""
    together = -(-table.height // MOST_ROWS)
    if together <= 1:
        return table
    place = pl.int_range(pl.len()) // together
    means = table.group_by(place.alias("place")).agg(pl.col("time_s").first(), pl.exclude("time_s").mean())
    return means.sort("place").select(table.columns)


def clock(subject: Subject, time_s: F8) -> F8 | None:
    """Return the hour of the day of times (0 to 24), None for a trace that has no calendar."""
    origin = subject.trace.workload.origin
    if origin is None:
        return None
    midnight = origin.replace(hour=0, minute=0, second=0, microsecond=0)
    return np.asarray(((origin - midnight) / _SECOND + time_s) % DAY_S / HOUR_S)


_SECOND = timedelta(seconds=1)
