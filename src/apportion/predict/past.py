"""What is known of earlier jobs with the same keys: counts and means, kept up as jobs end.

The mean counts what running jobs have run so far, and not them: the sum of all time run over the number of ends. This
is the estimate of greatest likelihood of an exponential run time when some have not ended (Epstein and Sobel, "Life
testing", Journal of the American Statistical Association 48, 1953).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.jit import entry
from apportion.engine.layout import F8, I8

COUNT, SUM, LOG, FAST, SLOW, LAST = range(6)
"""Columns of what is kept of a key: ends, their seconds, mean of log(1 + seconds), the same with exponentially
decaying weights (fast, slow), and of the last."""
RUNNING, RAN = 6, 7
"""Columns that are known only at a moment: running jobs, seconds they have run."""
WIDTH = 8
FAST_WEIGHT, SLOW_WEIGHT = 0.3, 0.03
WINDOW = 64
"""Run times kept of each key, the last ones: what quantiles are read from."""
SIZE = ("tasks", "gpus", "gpu_milli")

Level = tuple[str, ...]


def name_of(columns: Sequence[str]) -> str | None:
    """Return the column that holds the job's name, if there is one."""
    return next((name for name in ("job_name", "name") if name in columns), None)


def column_of(level: Level) -> str:
    """Return the column that says which jobs share the level's values."""
    return f"key:{','.join(level)}"


def keyed(jobs: pl.DataFrame, levels: Sequence[Level]) -> pl.DataFrame:
    """Return the jobs with a column for each level: equal where the level's columns are.

    A column that the jobs do not have says nothing; `name` is the job's name.
    """
    named = name_of(jobs.columns)
    keys = {}
    for level in levels:
        if column_of(level) in jobs.columns:
            continue
        columns = [named if key == "name" else key for key in level]
        known = [column for column in columns if column in jobs.columns]
        keys[column_of(level)] = pl.struct(known).hash(seed=len(level)) if known else pl.lit(0, pl.UInt64)
    return jobs.with_columns(**keys) if keys else jobs


class Past:
    """What ended, by key.

    Parameters
    ----------
    levels: columns whose values jobs have to share, most particular first.

    Attributes
    ----------
    stats: of each level f8[keys, WIDTH]. times: of each level f8[keys, WINDOW], NaN = none yet.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        self.levels = tuple(levels)
        self._rows: list[dict[int, int]] = [{} for _ in levels]
        self.stats = [np.zeros((16, WIDTH)) for _ in levels]
        self.times = [np.full((16, WINDOW), np.nan) for _ in levels]

    def codes(self, jobs: pl.DataFrame) -> list[I8]:
        """Return, of each level, the row of each job's key: i8[jobs]."""
        jobs = keyed(jobs, self.levels)
        found = []
        for i, (level, rows) in enumerate(zip(self.levels, self._rows, strict=True)):
            keys = jobs[column_of(level)].to_list()
            found.append(np.fromiter((rows.setdefault(key, len(rows)) for key in keys), np.int64, len(keys)))
            while len(rows) > len(self.stats[i]):
                self.stats[i] = np.concatenate([self.stats[i], np.zeros_like(self.stats[i])])
                self.times[i] = np.concatenate([self.times[i], np.full_like(self.times[i], np.nan)])
        return found

    def add(self, ended: pl.DataFrame) -> None:
        """Add jobs that ended, in the order of their ends."""
        times = _seconds(ended, "duration_s")
        for codes, stats, kept in zip(self.codes(ended), self.stats, self.times, strict=True):
            _add(stats, kept, codes, times)

    def now(self, jobs: pl.DataFrame, running: pl.DataFrame) -> list[F8]:
        """Return what is known now of each job's key: of each level f8[jobs, WIDTH]."""
        ran, busy = _seconds(running, "ran_s"), self.codes(running)
        out = []
        for level, (codes, stats) in enumerate(zip(self.codes(jobs), self.stats, strict=True)):
            known = stats[codes]
            known[:, RUNNING] = np.bincount(busy[level], minlength=len(stats))[codes]
            known[:, RAN] = np.bincount(busy[level], ran, minlength=len(stats))[codes]
            out.append(known)
        return out

    def then(self, ended: pl.DataFrame, running: pl.DataFrame) -> list[F8]:
        """Return what was known of each job's key when it was submitted: first of those that ended, then of the others.

        A job is taken to have run without a break up to its end, or up to now.
        """
        took = np.concatenate([_seconds(ended, "duration_s"), _seconds(running, "ran_s")])
        submit = np.concatenate([_seconds(ended, "submit_s"), _seconds(running, "submit_s")])
        end = np.concatenate([_seconds(ended, "ended_s"), np.full(running.height, np.inf)])
        now = end[ended.height - 1] if ended.height else 0.0
        begin = np.where(np.isfinite(end), end, now) - took
        # at the same moment: a submission sees neither an end nor a start
        order = np.lexsort((np.repeat([0, 1, 2], took.size), np.concatenate([submit, end, begin])))
        pairs = zip(self.codes(ended), self.codes(running), strict=True)
        return [
            _then(np.concatenate(pair), submit, begin, end, order, max(len(self._rows[i]), 1))
            for i, pair in enumerate(pairs)
        ]


def mean_of(known: F8) -> F8:
    """Return the mean run time of keys, running jobs counted; NaN where nothing has ended."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (known[:, SUM] + known[:, RAN]) / known[:, COUNT]
    return np.asarray(np.where(known[:, COUNT] > 0, mean, np.nan), np.float64)


def _seconds(frame: pl.DataFrame, column: str) -> F8:
    return frame[column].cast(pl.Float64).to_numpy() if frame.height else np.zeros(0)


@entry
def _note(known: Any, seconds: Any) -> None:
    n = known[COUNT]
    log = np.log1p(seconds)
    known[COUNT] = n + 1
    known[SUM] += seconds
    known[LOG] += (log - known[LOG]) / (n + 1)
    known[FAST] += (log - known[FAST]) * max(FAST_WEIGHT, 1 / (n + 1))
    known[SLOW] += (log - known[SLOW]) * max(SLOW_WEIGHT, 1 / (n + 1))
    known[LAST] = log


@entry
def _add(stats: Any, kept: Any, codes: Any, times: Any) -> None:
    for i in range(codes.size):
        k = codes[i]
        kept[k, int(stats[k, COUNT]) % WINDOW] = times[i]
        _note(stats[k], times[i])


@entry
def _then(codes: Any, submit: Any, begin: Any, end: Any, order: Any, keys: Any) -> Any:
    stats = np.zeros((keys, WIDTH))
    begun = np.zeros(keys)
    n = codes.size
    out = np.zeros((n, WIDTH))
    for event in order:
        j = event % n
        k = codes[j]
        what = event // n
        if what == 0:
            out[j] = stats[k]
            out[j, RAN] = stats[k, RUNNING] * submit[j] - begun[k]
        elif what == 2:
            stats[k, RUNNING] += 1
            begun[k] += begin[j]
        elif end[j] < np.inf:
            _note(stats[k], end[j] - begin[j])
            stats[k, RUNNING] -= 1
            begun[k] -= begin[j]
    return out
