"""Gradient-boosted trees over what is known of a job and of jobs like it.

Hu et al., SC 2021, section 4.2, predict run times with LightGBM from user, virtual cluster, size, name and calendar.
Here the trees correct the look-up by key instead of replacing it: with m the looked-up mean and f the trees' sum, a job
is expected to take m exp(f). They are fitted as rates: a job that ran for t ends at the rate 1 / (m exp(f)), so that
jobs that still run count for the time they have run (an exponential model with censoring, fitted as a Poisson one:
Holford, "The analysis of rates and of survivorship using log-linear models", Biometrics 36, 1980). Quantiles are trees
of their own on log(1 + seconds).

Example: `apportion predict synthetic:philly?jobs=2000 --model gbdt`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.layout import F8
from apportion.predict import features
from apportion.predict.features import CATEGORICAL, Categories, best_guess, matrix
from apportion.predict.look_up import UNKNOWN_S
from apportion.predict.past import Past
from apportion.predict.trees import fit_trees

LEAST_S = 1.0


@dataclass
class Boosted:
    """Trees that correct the look-up; see the module's text.

    Parameters
    ----------
    rounds, leaves: of the trees. alone: one feature a tree, so that their sum is a sum of functions of one feature.
    """

    rounds: int = 100
    leaves: int = 15
    alone: bool = False
    model: Any = None
    _past: Past = field(default_factory=features.past, repr=False)
    _categories: Categories | None = field(default=None, repr=False)
    _seen: tuple[F8, F8] | None = field(default=None, repr=False)
    _spread: dict[float, Any] = field(default_factory=dict, repr=False)

    def prepare(self, jobs: pl.DataFrame) -> pl.DataFrame:
        """Return the jobs with their keys and categories."""
        return features.prepare(jobs)

    def update(self, ended: pl.DataFrame) -> None:
        """Add what ended to what is known of its keys; the trees stay as they are."""
        self._past.add(self.prepare(ended))

    def fit(self, ended: pl.DataFrame, running: pl.DataFrame) -> None:
        """Fit the trees to jobs as they looked when they were submitted."""
        ended, running = self.prepare(ended), self.prepare(running)
        self._past = features.past()
        known = self._past.then(ended, running)
        self._past.add(ended)
        self._categories = Categories(ended)
        both = pl.concat([ended, running], how="diagonal_relaxed")
        seen = matrix(both, self._categories, known)
        over = np.arange(both.height) < ended.height
        took = np.maximum(both.select(pl.coalesce("duration_s", "ran_s") if running.height else "duration_s"), LEAST_S)
        took = np.asarray(took, np.float64).ravel()
        guess = np.maximum(best_guess(known, UNKNOWN_S), LEAST_S)
        self.model = fit_trees(
            seen, over * guess / took, "poisson", CATEGORICAL, weight=took / guess,
            rounds=self.rounds, leaves=self.leaves, alone=self.alone,
        )  # fmt: skip
        self._seen, self._spread = (seen[over], np.log1p(took[over])), {}

    def predict(self, jobs: pl.DataFrame, running: pl.DataFrame, quantiles: Sequence[float] = ()) -> pl.DataFrame:
        """Return the expected run time, and quantiles."""
        jobs = self.prepare(jobs)
        known = self._past.now(jobs, self.prepare(running) if running.height else running)
        guess = np.maximum(best_guess(known, UNKNOWN_S), LEAST_S)
        if self.model is None or self._categories is None:
            return pl.DataFrame({"duration_s": guess, **{str(q): guess for q in quantiles}})
        seen = matrix(jobs, self._categories, known)
        value = guess / np.asarray(self.model.predict(seen, num_threads=1))
        columns = {str(q): np.expm1(np.maximum(self._quantile(q).predict(seen, num_threads=1), 0.0)) for q in quantiles}
        return pl.DataFrame({"duration_s": value, **columns})

    def _quantile(self, q: float) -> Any:
        """Return the trees of a quantile, fitted when first asked for."""
        assert self._seen is not None
        if q not in self._spread:
            seen, logs = self._seen
            self._spread[q] = fit_trees(
                seen, logs, "quantile", CATEGORICAL, alpha=q, rounds=self.rounds, leaves=self.leaves, alone=self.alone
            )
        return self._spread[q]
