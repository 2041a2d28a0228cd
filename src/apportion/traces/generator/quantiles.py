"""Inverse distribution functions of durations: a table of knots, log-linear in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Quantiles:
    """`seconds[i]` is the duration that a share `levels[i]` of jobs does not exceed.

    Parameters
    ----------
    levels: f64[n], ascending from 0 to 1.
    seconds: f64[n], ascending, positive. Between two knots the logarithm of the duration is linear in the
    level.
    """

    levels: Array
    seconds: Array

    def __post_init__(self) -> None:
        if self.levels.shape != self.seconds.shape or self.levels[0] != 0 or self.levels[-1] != 1:
            raise ValueError("expected as many levels as seconds, levels from 0 to 1")
        if np.any(np.diff(self.levels) < 0) or np.any(np.diff(self.seconds) < 0) or self.seconds[0] <= 0:
            raise ValueError("expected ascending levels and ascending positive seconds")

    @classmethod
    def of(cls, percent: tuple[float, ...], seconds: tuple[float, ...]) -> Quantiles:
        """Build from levels in percent, as the papers print them."""
        return cls(np.array(percent, dtype=np.float64) / 100, np.array(seconds, dtype=np.float64))

    def at(self, levels: Array) -> Array:
        """Return durations (s) at `levels` in [0, 1]."""
        return np.exp(np.interp(levels, self.levels, np.log(self.seconds)))

    def mean(self) -> float:
        """Return the mean duration (s): the exact integral of the log-linear pieces."""
        low, high = self.seconds[:-1], self.seconds[1:]
        ratio = np.log(high / low)
        flat = ratio < 1e-12
        piece = np.where(flat, low, (high - low) / np.where(flat, 1.0, ratio))
        return float(np.sum(np.diff(self.levels) * piece))
