"""Run times from history: by user, group and size, and by less where that is not known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
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
    times: f8, run times of earlier jobs, grouped and ascending. low, high: i8[levels, jobs], the part of `times` of
    each level. upto: f8[levels, jobs], chance that the level or one before it is drawn from; what remains is drawn
    uniformly between `attained_s` and `fallback_s`.
    attained_s: f8[jobs], how long each has run. limit_s: f8[jobs], inf = none.
    alike: i8[jobs], jobs of the same number take long or short together. together: chance that a job does as they do.
    """

    times: F8
    low: I8
    high: I8
    upto: F8
    attained_s: F8
    fallback_s: F8
    limit_s: F8
    alike: I8
    together: float

    def draw(self, random: np.random.Generator) -> F8:
        """Return one possible run time of each job in seconds: f8[jobs]."""
        jobs = self.attained_s.size
        own = random.random((2, jobs))
        theirs = random.random((2, int(self.alike.max(initial=-1)) + 1))[:, self.alike]
        which, share = np.where(random.random(jobs) < self.together, theirs, own)
        out = self.attained_s + share * np.maximum(self.fallback_s - self.attained_s, 1.0)
        level = (which >= self.upto).sum(axis=0)
        known = np.flatnonzero(level < self.upto.shape[0])
        low, high = self.low[level[known], known], self.high[level[known], known]
        out[known] = self.times[low + (share[known] * (high - low)).astype(np.int64)]
        return np.asarray(np.minimum(out, np.maximum(self.limit_s, self.attained_s + 1.0)), np.float64)

    def knowing(self, rows: I8, times: F8) -> Sampler:
        """Return the same but for jobs whose run time is known: f8[rows], seconds."""
        low, high, upto, limit = self.low.copy(), self.high.copy(), self.upto.copy(), self.limit_s.copy()
        low[0, rows] = self.times.size + np.arange(rows.size)
        high[0, rows] = low[0, rows] + 1
        upto[:, rows], limit[rows] = 1.0, np.inf
        return replace(self, times=np.concatenate([self.times, times]), low=low, high=high, upto=upto, limit_s=limit)


@dataclass(frozen=True)
class RunTimes:
    """Looks up what earlier jobs took.

    Parameters
    ----------
    least: earlier jobs a level needs for a mean. unknown_s: for the very first job without a time limit.
    levels: columns, most particular first. doubt: how many earlier jobs of a level weigh as much as the level after it
    where run times are drawn. together: chance that a job takes as long, among its like, as other jobs of its user.
    """

    least: int = 3
    doubt: float = 4.0
    together: float = 0.7
    unknown_s: float = 3600.0
    levels: tuple[tuple[str, ...], ...] = LEVELS

    def predict(self, history: pl.DataFrame, jobs: pl.DataFrame) -> pl.Series:
        """Return the expected run time of each job in seconds: the mean of earlier ones, at most its `limit_s`.

        history: `duration_s` and the columns of `levels`. jobs: the columns of `levels`, perhaps `limit_s`.
        """
        limit = jobs["limit_s"] if "limit_s" in jobs.columns else pl.Series([None] * jobs.height, dtype=pl.Float64)
        means = [self._mean(history, jobs, keys) for keys in self._levels(history, jobs)]
        guess = pl.coalesce(*means, limit, pl.lit(self.unknown_s))
        return pl.select(duration_s=pl.min_horizontal(guess, limit)).to_series()

    def _levels(self, history: pl.DataFrame, jobs: pl.DataFrame) -> list[list[str]]:
        return [
            list(level) for level in self.levels if all(key in history.columns and key in jobs.columns for key in level)
        ]

    def _mean(self, history: pl.DataFrame, jobs: pl.DataFrame, keys: list[str]) -> pl.Series | pl.Expr:
        mean = pl.when(pl.len() >= self.least).then(pl.col("duration_s").mean()).alias("mean")
        if not keys:
            value = history.select(mean)["mean"][0] if history.height else None
            return pl.lit(value, pl.Float64)
        known = history.group_by(keys).agg(mean)
        return jobs.select(keys).join(known, on=keys, how="left", maintain_order="left")["mean"]

    def sampler(self, history: pl.DataFrame, jobs: pl.DataFrame, attained_s: F8) -> Sampler:
        """Return what run times of these jobs are drawn from: those of earlier ones that ran longer than they have.

        A few earlier jobs are no distribution: with a chance the next level, which knows more of them, is drawn from
        (a hierarchical Dirichlet model: MacKay and Peto, Natural Language Engineering 1, 1995). With n earlier jobs of
        a level, m of which ran longer than the job has, and S the chance of running longer as the next level has it,
        that chance is doubt S / (m + doubt S), and the level's own S = (m + doubt S) / (n + doubt).
        Where no earlier job at all ran longer the time is drawn up to the limit, or up to twice what it has run but at
        least `unknown_s`.

        Parameters
        ----------
        history, jobs: as for `predict`; `attained_s` of `jobs`, if there, is what runs before the current one did.
        attained_s: f8[jobs], how long each has run already, the current run included.
        """
        times = history["duration_s"].to_numpy().astype(np.float64)
        levels = self._levels(history, jobs) if history.height else []
        count = max(len(levels), 1)
        low, high = (np.zeros((count, jobs.height), np.int64) for _ in range(2))
        weight = np.zeros((count, jobs.height))
        parts: list[F8] = []
        beyond = np.zeros(jobs.height)  # chance to run longer, as the next level has it
        for i in reversed(range(len(levels))):
            ordered, first, above, last = _within(times, history, jobs, levels[i], attained_s)
            low[i], high[i] = above + sum(part.size for part in parts), last + sum(part.size for part in parts)
            parts.append(ordered)
            longer, all_ = (last - above).astype(float), (last - first).astype(float)
            if i == len(levels) - 1:
                weight[i] = longer > 0
                beyond = longer / np.maximum(all_, 1.0)
                continue
            mass = longer + self.doubt * beyond
            weight[i] = np.divide(longer, mass, out=np.zeros_like(mass), where=mass > 0)
            beyond = np.divide(mass, all_ + self.doubt, out=beyond.copy(), where=all_ + self.doubt > 0)
        upto = np.asarray(1 - np.cumprod(1 - weight, axis=0), np.float64)
        limit = np.full(jobs.height, np.inf)
        if "limit_s" in jobs.columns:
            limit = jobs["limit_s"].cast(pl.Float64).fill_null(np.inf).to_numpy()
            if "attained_s" in jobs.columns:  # a limit is one of a run: what earlier runs did does not count
                limit = limit + jobs["attained_s"].to_numpy()
        fallback = np.where(np.isfinite(limit), limit, np.maximum(self.unknown_s, 2 * attained_s))
        times = np.concatenate([*parts, np.zeros(0)])
        return Sampler(
            times, low, high, upto, attained_s, fallback, limit, _codes(jobs, ("user", "group")), self.together
        )

    def draw(self, history: pl.DataFrame, jobs: pl.DataFrame, random: np.random.Generator, attained_s: F8) -> F8:
        """Return one possible run time of each job, see `sampler`."""
        return self.sampler(history, jobs, attained_s).draw(random)


def _codes(jobs: pl.DataFrame, keys: tuple[str, ...]) -> I8:
    """Number the jobs from 0 on, those with the same keys alike."""
    keys = tuple(key for key in keys if key in jobs.columns)
    if not keys or not jobs.height:
        return np.arange(jobs.height)
    return jobs.select(pl.struct(keys).rank("dense").alias("code"))["code"].to_numpy().astype(np.int64) - 1


def _within(
    times: F8, history: pl.DataFrame, jobs: pl.DataFrame, keys: list[str], attained_s: F8
) -> tuple[F8, I8, I8, I8]:
    """Return the times grouped by the keys and ascending; of each job where its group begins, where what exceeds what
    it has run, and where it ends."""
    if keys:
        both = pl.concat([history.select(keys), jobs.select(keys)], how="vertical_relaxed")
        code = both.select(pl.struct(keys).rank("dense").alias("code"))["code"].to_numpy().astype(np.int64)
    else:
        code = np.zeros(history.height + jobs.height, np.int64)
    past, wanted = code[: history.height], code[history.height :]
    distinct = np.unique(times)
    size = distinct.size + 1
    place = size * past + np.searchsorted(distinct, times)
    order = np.argsort(place, kind="stable")
    place = place[order]
    above = size * wanted + np.searchsorted(distinct, attained_s, side="right")
    first, longer, last = (np.searchsorted(place, at) for at in (size * wanted, above, size * (wanted + 1)))
    return times[order], first, longer, last
