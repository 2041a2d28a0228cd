"""Numbers of the packing experiment over seeds: means, spreads, quartiles, and where to look."""

from __future__ import annotations

import warnings

import numpy as np

from apportion.engine.layout import F8
from apportion.study.fill_compare import FillStudy

FULL_PCT = 100
"""Arrived demand, in % of the GPUs, at which published packings are compared: it equals what there is."""


def full_pct(study: FillStudy) -> int:
    """Return the percent at which placements are compared: 100, or the last where fewer arrive."""
    return min(FULL_PCT, study.last_pct)


def mean_and_sd(values: F8) -> tuple[F8, F8]:
    """Return mean and standard deviation (n - 1) over the last axis, NaN left out; NaN where there is nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=-1), np.nanstd(values, axis=-1, ddof=1)


def quartiles(values: F8) -> tuple[F8, F8, F8]:
    """Return the 25 %, 50 % and 75 % quantiles of f8[seeds, percents] over the seeds, NaN left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
    return low, middle, high
