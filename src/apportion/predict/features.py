"""What a learnt model sees of a job: what it asks for, who asks, when, and what is known of jobs like it by then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from apportion.engine.layout import F8
from apportion.predict.past import (
    COUNT,
    FAST,
    LAST,
    LOG,
    RAN,
    RUNNING,
    SIZE,
    SLOW,
    Level,
    Past,
    keyed,
    mean_of,
    name_of,
)

LEVELS: tuple[Level, ...] = (
    ("user", "name", *SIZE),
    ("user", "name"),
    ("user", *SIZE),
    ("user",),
    ("group",),
    SIZE,
    (),
)
"""Whose history counts, most particular first."""
OF_LEVEL = ("ends", "mean", "typical", "lately", "just now", "last", "running", "running for")
CATEGORIES = ("user", "group", "name")
MOST = 100
"""Categories that are told apart, the most frequent; the others are one (Hu et al. keep 100 names)."""
_WORDS = {"tasks": "", "gpus": "size", "gpu_milli": ""}
_WHOSE = [" ".join(_WORDS.get(key, key) for key in level if _WORDS.get(key, key)) for level in LEVELS]
NAMES = (
    *("GPUs", "tasks", "CPU", "hour", "weekday", "day", *CATEGORIES),
    *(f"{what} ({whose or 'all'})" for whose in _WHOSE for what in OF_LEVEL),
)
CATEGORICAL = [NAMES.index(name) for name in CATEGORIES]
_TEXT = tuple(f"text_{name}" for name in CATEGORIES)


def prepare(jobs: pl.DataFrame) -> pl.DataFrame:
    """Return the jobs with their keys and categories.

    A name's category is the name without its digits, so that `train-7` and `train-8` are the same.
    """
    if _TEXT[0] in jobs.columns:
        return jobs
    named = name_of(jobs.columns)
    name = pl.col(named).str.replace_all(r"\d+", "#") if named else pl.lit("")
    return keyed(jobs, LEVELS).with_columns(text_user=pl.col("user"), text_group=pl.col("group"), text_name=name)


class Categories:
    """Numbers for the most frequent values of each category; -1 for all others."""

    def __init__(self, jobs: pl.DataFrame) -> None:
        self._numbers: list[dict[str, int]] = []
        for column in _TEXT:
            count = jobs[column].value_counts(sort=False).sort(["count", column], descending=[True, False])
            self._numbers.append({value: i for i, value in enumerate(count[column].head(MOST).to_list())})

    def of(self, jobs: pl.DataFrame) -> F8:
        """Return f8[jobs, categories]."""
        columns = [
            [numbers.get(value, -1) for value in jobs[column].to_list()]
            for column, numbers in zip(_TEXT, self._numbers, strict=True)
        ]
        return np.array(columns, np.float64).T.reshape(jobs.height, len(columns))


def matrix(jobs: pl.DataFrame, categories: Categories, known: Sequence[F8]) -> F8:
    """Return what a model sees: f8[jobs, NAMES]; NaN = not known.

    known: of each of `LEVELS`, what `Past.now` or `Past.then` says.
    """
    submit = jobs["submit_s"].cast(pl.Float64).to_numpy()
    numbers = jobs.select(
        gpus=pl.col("gpus") * pl.col("gpu_milli") / 1000 * pl.col("tasks"), tasks="tasks", cpu="cpu_milli"
    ).to_numpy()
    calendar = np.column_stack([submit % 86_400 / 3600, submit // 86_400 % 7, submit // 86_400 % 30])
    return np.column_stack([numbers, calendar, categories.of(jobs), *(_of_level(level) for level in known)])


def _of_level(known: F8) -> F8:
    out = np.column_stack([
        known[:, COUNT], np.log1p(mean_of(known)), known[:, LOG], known[:, SLOW], known[:, FAST], known[:, LAST],
        known[:, RUNNING], np.log1p(np.maximum(known[:, RAN], 0)),
    ])  # fmt: skip
    out[known[:, COUNT] == 0, 1:6] = np.nan
    return out


def best_guess(known: Sequence[F8], unknown_s: float) -> F8:
    """Return the mean of the first level of which something has ended: f8[jobs], seconds."""
    guess = np.full(known[0].shape[0], unknown_s)
    for level in reversed(known):
        mean = mean_of(level)
        guess = np.where(np.isnan(mean), guess, mean)
    return guess


def past() -> Past:
    """Return an empty history of `LEVELS`."""
    return Past(LEVELS)
