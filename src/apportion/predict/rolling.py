"""The rolling estimate of Helios: what the user's jobs of that name took; of similar names; of the user; of all.

Hu et al., SC 2021, section 4.2, as in the released code. Where the name is known: the mean of the user's jobs of that
name, of the same size where there are any; of everybody's where the user has none. Where only similar names are known
(the two most similar with a difflib ratio of at least 0.6) the same over those. Else the user's mean, else that of all.
Without names: by user, group and size, then user and size, user, size, all. Names are compared with those that begin
alike, with a few hundred of the last ones.

Example: `apportion predict synthetic:venus?jobs=2000 --model rolling`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
import polars as pl

from apportion.engine.layout import F8
from apportion.predict.look_up import UNKNOWN_S, LookUp
from apportion.predict.past import SIZE, Level, Past, column_of, keyed, mean_of, name_of

NAMED: tuple[Level, ...] = (("user", "name", *SIZE), ("user", "name"), ("name",))
NAMELESS: tuple[Level, ...] = (("group", "user", *SIZE), ("user", *SIZE), ("user",), SIZE, ())
LEVELS = (*NAMED, *NAMELESS)
SIMILAR, ALIKE, COMPARED = 2, 0.6, 300


@dataclass
class Rolling:
    """The rolling estimate; see the module's text."""

    _past: Past = field(default_factory=lambda: Past(LEVELS), repr=False)
    _look_up: LookUp = field(default_factory=lambda: LookUp(LEVELS), repr=False)
    _names: dict[str, dict[str, None]] = field(default_factory=dict, repr=False)
    """Names that ended, by their first letter; the last ones last."""
    _similar: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def prepare(self, jobs: pl.DataFrame) -> pl.DataFrame:
        """Return the jobs with their keys."""
        return keyed(jobs, LEVELS)

    def fit(self, ended: pl.DataFrame, running: pl.DataFrame) -> None:
        """Forget everything and learn from these; names are compared anew."""
        self._past, self._look_up = Past(LEVELS), LookUp(LEVELS)
        self._names, self._similar = {}, {}
        self.update(ended)

    def update(self, ended: pl.DataFrame) -> None:
        """Add what ended."""
        self._past.add(ended)
        self._look_up.update(ended)
        column = name_of(ended.columns)
        for name in ended[column].drop_nulls().to_list() if column else ():
            alike = self._names.setdefault(name[:1], {})
            alike.pop(name, None)
            alike[name] = None

    def predict(self, jobs: pl.DataFrame, running: pl.DataFrame, quantiles: Sequence[float] = ()) -> pl.DataFrame:
        """Return the estimate; the quantiles are those of the last jobs looked up by key."""
        column = name_of(jobs.columns)
        levels = self._past.now(jobs, running)
        named, nameless = [mean_of(known) for known in levels[: len(NAMED)]], levels[len(NAMED) :]
        value = np.full(jobs.height, np.nan)
        if column:
            value = _first(named)
            for row in np.flatnonzero(np.isnan(value)):
                value[row] = self._of_similar(jobs[int(row)], column, running)
            levels = [nameless[2], nameless[4]]
        else:
            levels = nameless
        value = _first([value, *(mean_of(known) for known in levels), np.full(jobs.height, UNKNOWN_S)])
        found = self._look_up.predict(jobs, running, quantiles)
        return found.with_columns(duration_s=pl.Series(value))

    def _of_similar(self, job: pl.DataFrame, column: str, running: pl.DataFrame) -> float:
        """Return the mean over the most similar names, NaN if there are none."""
        name = job[column][0]
        if not name:
            return float("nan")
        if name not in self._similar:
            known = list(self._names.get(name[:1], ()))[-COMPARED:]
            self._similar[name] = get_close_matches(name, known, n=SIMILAR, cutoff=ALIKE)
        names = self._similar[name]
        if not names:
            return float("nan")
        keys = [column_of(level) for level in NAMED]
        as_if = pl.concat([job.drop(keys, strict=False).with_columns(pl.lit(other).alias(column)) for other in names])
        for of_names in self._past.now(as_if, running)[: len(NAMED)]:
            mean = mean_of(of_names.sum(axis=0, keepdims=True))[0]
            if not np.isnan(mean):
                return float(mean)
        return float("nan")


def _first(values: Sequence[F8]) -> F8:
    """Return the first that is known."""
    out = np.array(values[0])
    for value in values[1:]:
        out = np.where(np.isnan(out), value, out)
    return out
