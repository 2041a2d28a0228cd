"""Run times from history: by user, group and size, and by less where that is not known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from apportion.engine.layout import F8

LEVELS: tuple[tuple[str, ...], ...] = (
    ("user", "group", "name", "tasks", "gpus", "gpu_milli"),
    ("user", "group", "tasks", "gpus", "gpu_milli"),
    ("user",),
    ("tasks", "gpus", "gpu_milli"),
    (),
)
"""What a job has to share with earlier ones; the first level with enough of them speaks."""


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
        for level in reversed(self.levels):
            keys = [key for key in level if key in history.columns and key in jobs.columns]
            if len(keys) < len(level):
                continue
            guesses.insert(0, self._mean(history, jobs, keys))
        guess = pl.select(pl.coalesce(*guesses, pl.lit(self.unknown_s))).to_series()
        return pl.select(pl.min_horizontal(guess, limit)).to_series().alias("duration_s")

    def _mean(self, history: pl.DataFrame, jobs: pl.DataFrame, keys: list[str]) -> pl.Series:
        mean = pl.when(pl.len() >= self.least).then(pl.col("duration_s").mean()).alias("mean")
        if not keys:
            value = history.select(mean)["mean"][0] if history.height else None
            return pl.Series([value] * jobs.height, dtype=pl.Float64)
        known = history.group_by(keys).agg(mean)
        return jobs.select(keys).join(known, on=keys, how="left", maintain_order="left")["mean"]

    def draw(self, history: pl.DataFrame, jobs: pl.DataFrame, random: np.random.Generator, attained_s: F8) -> F8:
        """Return one possible run time of each job: that of an earlier one at its level which ran longer than it has.

        attained_s: f8[jobs], how long each has run already.
        """
        out = np.full(jobs.height, np.nan)
        limit = (
            jobs["limit_s"].fill_null(np.inf).to_numpy() if "limit_s" in jobs.columns else np.full(jobs.height, np.inf)
        )
        durations = history["duration_s"].to_numpy()
        for level in self.levels:
            keys = [key for key in level if key in history.columns and key in jobs.columns]
            if len(keys) < len(level) or not np.isnan(out).any():
                continue
            self._draw_level(out, durations, history, jobs, keys, random, attained_s)
        missing = np.isnan(out)
        fallback = np.where(np.isfinite(limit), limit, self.unknown_s)
        # nothing like it: any time is as good as another up to its limit
        out[missing] = attained_s[missing] + random.random(int(missing.sum())) * np.maximum(
            fallback[missing] - attained_s[missing], 1.0
        )
        return np.asarray(np.minimum(out, np.maximum(limit, attained_s + 1.0)), np.float64)

    def _draw_level(
        self,
        out: F8,
        durations: F8,
        history: pl.DataFrame,
        jobs: pl.DataFrame,
        keys: list[str],
        random: np.random.Generator,
        attained_s: F8,
    ) -> None:
        if keys:
            both = pl.concat([history.select(keys), jobs.select(keys)], how="vertical_relaxed")
            code = both.select(pl.struct(keys).rank("dense"))[keys[0]].to_numpy().astype(np.int64)
        else:
            code = np.zeros(history.height + jobs.height, np.int64)
        past, wanted = code[: history.height], code[history.height :]
        order = np.lexsort((durations, past))
        sorted_code, sorted_time = past[order], durations[order]
        for j in np.flatnonzero(np.isnan(out)):
            low, high = np.searchsorted(sorted_code, [wanted[j], wanted[j] + 1])
            low += np.searchsorted(sorted_time[low:high], attained_s[j], side="right")
            if high - low >= self.least:
                out[j] = sorted_time[low + random.integers(high - low)]
