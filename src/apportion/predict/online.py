"""A predictor at work: it learns what ends as it ends, is fitted anew on a schedule, and predicts what comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from apportion.engine.layout import F8, I8
from apportion.predict.predictor import Predictor

FIRST = 200
"""Ends after which a model is fitted for the first time; while it has few it is fitted whenever they have doubled."""
LEAST, MISSED = 50, 1_000
"""Ends whose predictions are looked back at: the fewest that say something, and the last ones that count."""


@dataclass
class Online:
    """Shows a predictor a table of jobs, of each only what is known by then.

    Parameters
    ----------
    predictor: a fresh one. table: jobs of a workload; their `duration_s` is shown when they have ended.
    retrain_s: seconds between two fits. fits: how many there were.
    """

    predictor: Predictor
    table: pl.DataFrame
    retrain_s: float
    fits: int = 0
    _rows: list[I8] = field(default_factory=list, repr=False)
    _ends: list[F8] = field(default_factory=list, repr=False)
    _ended: int = 0
    _fitted: int = 0
    _fitted_at: float = -np.inf
    _told: dict[int, F8] = field(default_factory=dict, repr=False)
    """Log of the quantiles predicted of jobs that have not ended."""
    _missed: deque[F8] = field(default_factory=lambda: deque(maxlen=MISSED), repr=False)
    _running: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)
    _times: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)

    def __post_init__(self) -> None:
        self._times = self.table.select("duration_s")
        self.table = self.predictor.prepare(self.table.drop("duration_s"))

    def look(self, now: float, rows: I8, ended_s: F8, running: I8, started_s: F8) -> None:
        """Learn what is so at `now`: the jobs `rows` have ended since the last look, `running` still run."""
        order = np.lexsort((rows, ended_s))
        rows, ended_s = rows[order], ended_s[order]
        self._running = self.table[running].with_columns(ran_s=pl.Series(np.maximum(now - started_s, 0.0)))
        if rows.size:
            self._rows.append(rows)
            self._ends.append(ended_s)
            self._ended += rows.size
            self._compare(rows)
            self.predictor.update(self._over(rows, ended_s))
        doubled = self._ended >= max(FIRST, 2 * self._fitted)
        if doubled or (self._fitted and now - self._fitted_at >= self.retrain_s and self._ended > self._fitted):
            self.predictor.fit(self._over(np.concatenate(self._rows), np.concatenate(self._ends)), self._running)
            self._fitted, self._fitted_at = self._ended, now
            self.fits += 1

    def predict(self, rows: I8, quantiles: Sequence[float] = ()) -> pl.DataFrame:
        """Return what these jobs are expected to take, see `Predictor.predict`.

        Quantiles are shifted by what was missing lately: of those predicted before, by the same quantile of what jobs
        took over what was predicted (conformalised quantile regression, Romano et al., NeurIPS 2019).
        """
        found = self.predictor.predict(self.table[rows], self._running, quantiles)
        if not quantiles:
            return found
        names = [str(q) for q in quantiles]
        logs = np.log1p(np.maximum(found.select(names).to_numpy(), 0.0))
        shifts = np.zeros(len(names))
        if len(self._missed) >= LEAST:
            missed = np.array(self._missed)
            shifts = np.array([np.quantile(missed[:, i], q) for i, q in enumerate(quantiles)])
        self._told.update(zip(rows.tolist(), logs, strict=True))
        shifted = np.sort(np.expm1(np.maximum(logs + shifts, 0.0)), axis=1)
        return found.with_columns(**{name: pl.Series(shifted[:, i]) for i, name in enumerate(names)})

    def _compare(self, rows: I8) -> None:
        """Note by how much the quantiles of these were missed: log(1 + seconds)."""
        if self._told:
            took = np.log1p(self._times["duration_s"].gather(rows).cast(pl.Float64).to_numpy())
            told = [(log, self._told.pop(row, None)) for row, log in zip(rows.tolist(), took, strict=True)]
            self._missed.extend(log - quantiles for log, quantiles in told if quantiles is not None)

    def _over(self, rows: I8, ended_s: F8) -> pl.DataFrame:
        return self.table[rows].with_columns(self._times["duration_s"].gather(rows), ended_s=pl.Series(ended_s))
