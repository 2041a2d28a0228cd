"""QSSF's expected run time: the rolling estimate and the boosted trees, blended.

Hu et al., SC 2021, section 4.2: P = N (lambda P_R + (1 - lambda) P_M) with N GPUs, P_R the rolling estimate, P_M the
trees, lambda = 0.1 as in the released code; where P_M is not above 0, P_R alone. The order multiplies by N.

Example: `apportion predict synthetic:venus?jobs=2000 --model qssf`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from apportion.predict.boosted import Boosted
from apportion.predict.rolling import Rolling

LAMBDA = 0.1


@dataclass
class Blend:
    """The blend; see the module's text."""

    rolling: Rolling = field(default_factory=Rolling)
    trees: Boosted = field(default_factory=Boosted)

    def prepare(self, jobs: pl.DataFrame) -> pl.DataFrame:
        """Return the jobs with the columns of both parts."""
        return self.trees.prepare(self.rolling.prepare(jobs))

    def fit(self, ended: pl.DataFrame, running: pl.DataFrame) -> None:
        """Fit both parts."""
        self.rolling.fit(ended, running)
        self.trees.fit(ended, running)

    def update(self, ended: pl.DataFrame) -> None:
        """Tell both parts what ended."""
        self.rolling.update(ended)
        self.trees.update(ended)

    def predict(self, jobs: pl.DataFrame, running: pl.DataFrame, quantiles: Sequence[float] = ()) -> pl.DataFrame:
        """Return the blend, with the quantiles of the trees."""
        rolling = self.rolling.predict(jobs, running)["duration_s"]
        found = self.trees.predict(jobs, running, quantiles)
        trees = pl.col("duration_s")
        both = pl.when(trees > 0).then(LAMBDA * rolling + (1 - LAMBDA) * trees).otherwise(rolling)
        return found.with_columns(duration_s=both)
