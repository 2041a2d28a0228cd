"""Run times of a live cluster's jobs by a model: what a policy that learns in a simulation learns from real ends."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from apportion.predict.predictor import Predictor, make
from apportion.predict.run_time import RunTimes

RETRAIN_S = 7 * 86_400.0
"""Between two fits, unless said otherwise: weekly, as Helios does."""


@dataclass
class _State:
    """The model, and up to when it knows."""

    model: Predictor
    fitted_s: float = float("-inf")
    seen: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Learnt(RunTimes):
    """Predicts with a model that is fitted anew every `retrain_s` and told of ends in between.

    Possible run times are drawn as `RunTimes` does.
    """

    model: str = "qssf"
    retrain_s: float = RETRAIN_S
    _states: list[_State] = field(default_factory=list, repr=False, compare=False)

    def predict(self, history: pl.DataFrame, jobs: pl.DataFrame) -> pl.Series:
        """Return the expected run time of each job in seconds, at most its `limit_s`."""
        if not history.height or not jobs.height:
            return super().predict(history, jobs)
        if not self._states:
            self._states.append(_State(make(self.model)))
        state = self._states[0]
        # what is kept of an ended job says when it was submitted and what it took
        ended = history.with_columns(ended_s=(pl.col("submit_s") + pl.col("duration_s")).cum_max())
        nobody = ended.clear().drop("duration_s").with_columns(ran_s=pl.lit(0.0))
        now = float(ended["ended_s"][-1])
        fresh = ended.filter(~pl.col("job_id").is_in(list(state.seen)))
        if now - state.fitted_s >= self.retrain_s:
            state.model.fit(ended, nobody)
            state.fitted_s = now
        elif fresh.height:
            state.model.update(fresh)
        state.seen = frozenset(ended["job_id"])
        found = state.model.predict(jobs, nobody)["duration_s"]
        limit = jobs["limit_s"] if "limit_s" in jobs.columns else pl.Series([None] * jobs.height, dtype=pl.Float64)
        return pl.select(duration_s=pl.min_horizontal(found, limit)).to_series()
