"""Run times looked up by key, and by less where nothing with the same key has ended: SJGG, SJG, SJU and all together.

Weng et al., "MLaaS in the wild", NSDI 2022: by user, group and GPUs, then user and group, then user, then everybody.
The value is the mean (running jobs counted, see `apportion.predict.past`) or the median of the last ones.

Example: `apportion predict synthetic:philly?jobs=2000 --model sjg --model median`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from apportion.engine.layout import F8
from apportion.predict.past import COUNT, RAN, SIZE, Level, Past, keyed, mean_of

UNKNOWN_S = 3600.0
"""For the very first job."""
BY_USER: tuple[Level, ...] = (("user",), ())
BY_GROUP: tuple[Level, ...] = (("group", "user"), *BY_USER)
BY_GROUP_AND_GPUS: tuple[Level, ...] = (("group", "user", *SIZE), *BY_GROUP)
BY_ALL: tuple[Level, ...] = (
    ("group", "user", "name", *SIZE), ("user", "name"), ("group", "user", *SIZE), ("user", *SIZE), ("user",), SIZE, (),
)  # fmt: skip


@dataclass
class LookUp:
    """Looks run times up; see the module's text.

    Parameters
    ----------
    levels: columns, most particular first; the last one is (). median: of the last ends, instead of the mean.
    """

    levels: tuple[Level, ...]
    median: bool = False
    _past: Past = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._past = Past(self.levels)

    def prepare(self, jobs: pl.DataFrame) -> pl.DataFrame:
        """Return the jobs with their keys."""
        return keyed(jobs, self.levels)

    def fit(self, ended: pl.DataFrame, running: pl.DataFrame) -> None:
        """Forget everything and learn from these."""
        self._past = Past(self.levels)
        self.update(ended)

    def update(self, ended: pl.DataFrame) -> None:
        """Add what ended."""
        self._past.add(ended)

    def predict(self, jobs: pl.DataFrame, running: pl.DataFrame, quantiles: Sequence[float] = ()) -> pl.DataFrame:
        """Return the mean or median of the first level of which something has ended, and quantiles of its last ones."""
        known = self._past.now(jobs, running)
        codes = self._past.codes(jobs)
        value = np.full(jobs.height, UNKNOWN_S)
        if known[-1].size and not known[-1][0, COUNT] and known[-1][0, RAN]:
            value[:] = known[-1][0, RAN]  # nothing has ended: all that is known is what has run
        spread = np.tile(value[:, None], (1, len(quantiles)))
        for now, times, code in reversed(list(zip(known, self._past.times, codes, strict=True))):
            there = np.flatnonzero(now[:, COUNT] > 0)
            wanted = (0.5, *quantiles) if self.median else tuple(quantiles)
            found = _quantiles(times, code[there], wanted) if wanted else np.zeros((there.size, 0))
            value[there] = found[:, 0] if self.median else mean_of(now[there])
            spread[there] = found[:, 1:] if self.median else found
        columns = {str(q): spread[:, i] for i, q in enumerate(quantiles)}
        return pl.DataFrame({"duration_s": value, **columns})


def _quantiles(times: F8, codes: np.ndarray[tuple[int], np.dtype[np.int64]], wanted: Sequence[float]) -> F8:
    """Return quantiles of the last run times of each key: f8[jobs, wanted]."""
    distinct, at = np.unique(codes, return_inverse=True)
    rows = [np.quantile(row[~np.isnan(row)], wanted) for row in times[distinct]]
    return np.array(rows).reshape(distinct.size, len(wanted))[at]


def by_user() -> LookUp:
    """SJU."""
    return LookUp(BY_USER)


def by_group() -> LookUp:
    """SJG."""
    return LookUp(BY_GROUP)


def by_group_and_gpus() -> LookUp:
    """SJGG."""
    return LookUp(BY_GROUP_AND_GPUS)


def by_all() -> LookUp:
    """By the job's name as well, where there is one."""
    return LookUp(BY_ALL)


def median_by_all() -> LookUp:
    """The same with medians."""
    return LookUp(BY_ALL, median=True)
