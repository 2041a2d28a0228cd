"""What a job will take, predicted at its submission from what was known by then: one interface, models by name.

A predictor is shown jobs that ended and, with how long they have run, jobs that still run. The latter matter: where
long jobs have not ended yet, those that have are the short ones, and a mean over them is far too low. It is never shown
the run time of a job that has not ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Protocol

import polars as pl

from apportion.model.errors import PolicyError, did_you_mean

LOW, HIGH = 0.1, 0.9
"""The quantiles between which four jobs of five should lie."""


class Predictor(Protocol):
    """Learns what jobs take.

    Frames hold columns of a workload (`apportion.model.workload`); ended ones `duration_s` and `ended_s` as well,
    ascending; running ones `ran_s`. All in seconds.
    """

    def prepare(self, jobs: pl.DataFrame) -> pl.DataFrame:
        """Return the jobs with columns that spare work where rows of one frame are shown again and again.

        Every new value depends on its own row alone.
        """
        ...

    def fit(self, ended: pl.DataFrame, running: pl.DataFrame) -> None:
        """Learn anew from all jobs that ended."""
        ...

    def update(self, ended: pl.DataFrame) -> None:
        """Learn that these ended, too."""
        ...

    def predict(self, jobs: pl.DataFrame, running: pl.DataFrame, quantiles: Sequence[float] = ()) -> pl.DataFrame:
        """Return what these jobs are expected to take: `duration_s`, and a column named as each quantile (`0.1`)."""
        ...


MODELS: dict[str, str] = {
    "sju": "look_up:by_user",
    "sjg": "look_up:by_group",
    "sjgg": "look_up:by_group_and_gpus",
    "mean": "look_up:by_all",
    "median": "look_up:median_by_all",
    "rolling": "rolling:Rolling",
    "gbdt": "boosted:Boosted",
    "additive": "additive:Additive",
    "qssf": "blend:Blend",
}
"""Name -> module and class (or function) of this room, imported when asked for."""


def make(name: str) -> Predictor:
    """Return the model of that name.

    Raises
    ------
    PolicyError: there is none (the nearest is suggested).
    """
    if name not in MODELS:
        raise PolicyError(f"unknown model {name!r}{did_you_mean(name, MODELS)} (known: {', '.join(MODELS)})")
    module, _, attribute = MODELS[name].partition(":")
    maker: Callable[[], Predictor] = getattr(import_module(f"apportion.predict.{module}"), attribute)
    return maker()
