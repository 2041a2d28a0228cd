"""A sum of functions of one feature each, which can be printed: why a job is expected to take so long.

Hu et al., "Lucid", ASPLOS 2023, predict run times with such a model (an explainable boosting machine) so that operators
can read it. Here it is the boosted model with one feature a tree: the looked-up mean times a factor for each feature.

Example: `apportion predict synthetic:philly?jobs=2000 --model additive --explain`
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from apportion.predict.boosted import Boosted
from apportion.predict.features import CATEGORIES, NAMES

STEPS = 6
"""Parts that the range of a feature is shown in."""


class Additive(Boosted):
    """One feature a tree; see the module's text."""

    def __init__(self) -> None:
        super().__init__(rounds=200, leaves=4, alone=True)

    def shapes(self) -> pl.DataFrame:
        """Return the functions, the strongest first: `feature, low, high, jobs, factor`.

        A row says by what a job whose feature lies in [low, high] is expected to take longer than the look-up says,
        against the average job (1 = as long). Of a category the bounds are its number, the most frequent is 0.
        """
        rows: list[dict[str, Any]] = []
        if self.model is None or self._seen is None:
            return pl.DataFrame(rows, schema=_SCHEMA)
        seen = self._seen[0]
        parts = -np.asarray(self.model.predict(seen, pred_contrib=True, num_threads=1))[:, :-1]
        for i in np.argsort(-parts.std(axis=0), kind="stable"):
            if parts[:, i].std() > 0:
                rows += _steps(NAMES[i], seen[:, i], parts[:, i])
        return pl.DataFrame(rows, schema=_SCHEMA)


_SCHEMA = {"feature": pl.String, "low": pl.Float64, "high": pl.Float64, "jobs": pl.Int64, "factor": pl.Float64}


def _steps(name: str, value: np.ndarray[Any, Any], part: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    known = ~np.isnan(value)
    if name in CATEGORIES:
        edges = np.arange(STEPS + 1) - 0.5
    else:
        edges = np.unique(np.quantile(value[known], np.linspace(0, 1, STEPS + 1))) if known.any() else np.zeros(0)
    inside = np.clip(np.searchsorted(edges, value, side="right") - 1, 0, max(edges.size - 2, 0))
    rows = []
    for step in range(max(edges.size - 1, 1)):
        here = known & (inside == step)
        if here.any():
            rows.append(_row(name, float(value[here].min()), float(value[here].max()), part[here], part))
    if not known.all():
        rows.append(_row(name, None, None, part[~known], part))
    return rows


def _row(name: str, low: float | None, high: float | None, here: Any, all_: Any) -> dict[str, Any]:
    factor = float(np.exp(here.mean() - all_.mean()))
    return {"feature": name, "low": low, "high": high, "jobs": int(here.size), "factor": factor}
