"""Run times from history: by user, group and size, and by less where that is not known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.engine.layout import F8, I8

LEVELS: tuple[tuple[str, ...], ...] = (
    ("user", "group", "name", "tasks", "gpus", "gpu_milli"),
    ("user", "group", "tasks", "gpus", "gpu_milli"),
    ("user",),
    ("tasks", "gpus", "gpu_milli"),
    (),
)
"""What a job has to share with earlier ones; the first level with enough of them speaks."""


@dataclass(frozen=True)
class Sampler:
    """Possible run times of some jobs, ready to be drawn again and again.

    Parameters
    ----------
    times: f8, run times of earlier jobs. low, high: i8[jobs], the part of `times` a job's is drawn from; where they are
    equal it is drawn uniformly between `attained_s` and `fallback_s`.
    attained_s: f8[jobs], how long each has run. limit_s: f8[jobs], inf = none.
    """

    times: F8
    low: I8
    high: I8
    attained_s: F8
    fallback_s: F8
    limit_s: F8

    def draw(self, random: np.random.Generator) -> F8:
        """Return one possible run time of each job in seconds: f8[jobs]."""
        return self.at(random.random(self.low.size))

    def at(self, share: F8) -> F8:
        """Return the run times that a share of the possible ones, f8[jobs] in [0, 1), falls below."""
        spread = self.high - self.low
        known = spread > 0
        out = self.attained_s + share * np.maximum(self.fallback_s - self.attained_s, 1.0)
        pick = self.low[known] + (share[known] * spread[known]).astype(np.int64)
        out[known] = self.times[pick]
        return np.asarray(np.minimum(out, np.maximum(self.limit_s, self.attained_s + 1.0)), np.float64)


@dataclass(frozen=True)
class RunTimes:
    """Looks up what earlier jobs took.

    Parameters
    ----------
    least: earlier jobs a level needs. unknown_s: for the very first job without a time limit. levels: columns, most
    particular first.
    """

    least: int = 3
    unknown_s: float = 3600.0
    levels: tuple[tuple[str, ...], ...] = LEVELS

    def predict(self, history: pl.DataFrame, jobs: pl.DataFrame) -> pl.Series:
        """Return the expected run time of each job in seconds: the mean of earlier ones, at most its `limit_s`.

        history: `duration_s` and the columns of `levels`. jobs: the columns of `levels`, perhaps `limit_s`.
        """
        limit = jobs["limit_s"] if "limit_s" in jobs.columns else pl.Series([None] * jobs.height, dtype=pl.Float64)
        guesses = [limit]
        for keys in reversed(self._levels(history, jobs)):
            guesses.insert(0, self._mean(history, jobs, keys))
        guess = pl.select(pl.coalesce(*guesses, pl.lit(self.unknown_s))).to_series()
        return pl.select(pl.min_horizontal(guess, limit)).to_series().alias("duration_s")

    def _levels(self, history: pl.DataFrame, jobs: pl.DataFrame) -> list[list[str]]:
        return [
            list(level) for level in self.levels if all(key in history.columns and key in jobs.columns for key in level)
        ]

    def _mean(self, history: pl.DataFrame, jobs: pl.DataFrame, keys: list[str]) -> pl.Series:
        mean = pl.when(pl.len() >= self.least).then(pl.col("duration_s").mean()).alias("mean")
        if not keys:
            value = history.select(mean)["mean"][0] if history.height else None
            return pl.Series([value] * jobs.height, dtype=pl.Float64)
        known = history.group_by(keys).agg(mean)
        return jobs.select(keys).join(known, on=keys, how="left", maintain_order="left")["mean"]

    def sampler(self, history: pl.DataFrame, jobs: pl.DataFrame, attained_s: F8) -> Sampler:
        """Return what run times of these jobs are drawn from: those of earlier ones at their level which ran longer.

        A job that has run longer than all but fewer than `least` of its level is compared with the next level, and
        with no earlier job at all where there is none; it is then drawn up to its limit, or up to twice what it has run
        but at least `unknown_s`.

        Parameters
        ----------
        history, jobs: as for `predict`. attained_s: f8[jobs], how long each has run already.
        """
        low, high = np.zeros(jobs.height, np.int64), np.zeros(jobs.height, np.int64)
        parts: list[F8] = []
        offset = 0
        times = history["duration_s"].to_numpy().astype(np.float64)
        for keys in self._levels(history, jobs):
            open_ = high == low
            if not open_.any():
                break
            ordered, first, last = _within(times, history, jobs, keys, attained_s)
            take = open_ & (last - first >= self.least)
            low[take], high[take] = first[take] + offset, last[take] + offset
            parts.append(ordered)
            offset += ordered.size
        limit = np.full(jobs.height, np.inf)
        if "limit_s" in jobs.columns:
            limit = jobs["limit_s"].cast(pl.Float64).fill_null(np.inf).to_numpy()
        fallback = np.where(np.isfinite(limit), limit, np.maximum(self.unknown_s, 2 * attained_s))
        return Sampler(np.concatenate([*parts, np.zeros(0)]), low, high, attained_s, fallback, limit)

    def draw(self, history: pl.DataFrame, jobs: pl.DataFrame, random: np.random.Generator, attained_s: F8) -> F8:
        """Return one possible run time of each job, see `sampler`."""
        return self.sampler(history, jobs, attained_s).draw(random)


def _within(
    times: F8, history: pl.DataFrame, jobs: pl.DataFrame, keys: list[str], attained_s: F8
) -> tuple[F8, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the times grouped by the keys and ascending, and the part of them above what each job has run."""
    if keys:
        both = pl.concat([history.select(keys), jobs.select(keys)], how="vertical_relaxed")
        code = both.select(pl.struct(keys).rank("dense").alias("code"))["code"].to_numpy().astype(np.int64)
    else:
        code = np.zeros(history.height + jobs.height, np.int64)
    past, wanted = code[: history.height], code[history.height :]
    distinct = np.unique(times)
    place = (distinct.size + 1) * past + np.searchsorted(distinct, times)
    order = np.argsort(place, kind="stable")
    place = place[order]
    above = (distinct.size + 1) * wanted + np.searchsorted(distinct, attained_s, side="right")
    return times[order], np.searchsorted(place, above), np.searchsorted(place, (distinct.size + 1) * (wanted + 1))
