"""Make predicted quantiles honest: what share of the truth fell below them before decides what they are called.

The share of a prediction's draws that lie below the truth is uniform between 0 and 1 if the prediction is right (the
probability integral transform: Dawid, "Statistical theory: the prequential approach", JRSS A 147, 1984). Where it is
not, its empirical distribution over past predictions says which level to read off to get the one that is asked for
(Kuleshov et al., "Accurate uncertainties for deep learning using calibrated regression", ICML 2018). Truths outside all
draws count by how far outside they are, so that intervals can also be stretched beyond the draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from apportion.engine.layout import F8
from apportion.model.errors import InputError

FLOOR_S = 60.0
"""Waits that differ by much less than this are alike; beyond the draws, (wait + this) is stretched."""
CLASSES = (3600.0, 8 * 3600.0)
"""Predictions are calibrated by the median that they predict: below an hour, below eight hours, and longer."""
LEAST = 40
"""Past predictions that a class needs; with fewer it shares the map of all."""


def level_of(waits: F8, actual_s: float) -> float:
    """Return where the truth lies among the draws: 0 to 1 inside, below 0 or above 1 outside, by the log of how far.

    waits: f8[draws], ascending, seconds, inf = not within the horizon.
    """
    finite = waits[np.isfinite(waits)]
    n = waits.size
    if not finite.size:
        return 0.0
    low, high = (int(np.searchsorted(waits, actual_s, side=side)) for side in ("left", "right"))
    if high == 0:
        return float(np.log((actual_s + FLOOR_S) / (finite[0] + FLOOR_S)))
    if low == n:
        return float(1 + np.log((actual_s + FLOOR_S) / (waits[-1] + FLOOR_S)))
    if high > low:
        return (low + high) / 2 / n
    return float(np.interp(actual_s, finite, (np.arange(finite.size) + 0.5) / n))


def read_off(waits: F8, levels: npt.ArrayLike) -> F8:
    """Return the waits at these levels, the inverse of `level_of`: f8[levels], seconds."""
    level = np.asarray(levels, np.float64)
    n = waits.size
    finite = waits[np.isfinite(waits)]
    if not finite.size:
        return np.full(level.shape, np.inf)
    inside = np.interp(level, (np.arange(finite.size) + 0.5) / n, finite)
    inside = np.where(level > (finite.size + 0.5) / n, np.inf if finite.size < n else inside, inside)
    below = np.maximum((finite[0] + FLOOR_S) * np.exp(np.minimum(level, 0.0)) - FLOOR_S, 0.0)
    above = (finite[-1] + FLOOR_S) * np.exp(np.maximum(level - 1, 0.0)) - FLOOR_S
    out = np.where(level < 0, below, np.where(level > 1, above if finite.size == n else np.inf, inside))
    return np.asarray(out, np.float64)


@dataclass(frozen=True)
class Calibration:
    """Which level of the draws to read off for the level that is asked for.

    Parameters
    ----------
    maps: for each of `CLASSES`, then for all together, ascending levels at which past truths were found; empty = as
    drawn.
    """

    maps: tuple[tuple[float, ...], ...] = ((),) * (len(CLASSES) + 2)

    @classmethod
    def fit(cls, pairs: Iterable[tuple[npt.ArrayLike, float]]) -> Calibration:
        """Learn from past predictions: (draws of the wait in seconds, the wait that came).

        Raises
        ------
        InputError: a wait is negative or not a number, or a prediction has no draws.
        """
        found: list[list[float]] = [[] for _ in range(len(CLASSES) + 2)]
        for draws, actual in pairs:
            waits = np.sort(np.asarray(draws, np.float64))
            if not waits.size or np.isnan(waits).any() or not 0 <= actual < np.inf:
                raise InputError(f"found a wait of {actual!r} s predicted by {waits.size} draws, expected both known")
            level = level_of(waits, float(actual))
            if np.isfinite(level):
                found[_class_of(waits)].append(level)
                found[-1].append(level)
        return cls(tuple(tuple(sorted(levels)) for levels in found))

    @property
    def size(self) -> int:
        """How many past predictions it is fitted on."""
        return len(self.maps[-1])

    def levels(self, waits: F8, quantiles: Sequence[float]) -> F8:
        """Return the levels to read off for these quantiles of a prediction with such draws."""
        levels = self.maps[_class_of(waits)]
        levels = levels if len(levels) >= LEAST else self.maps[-1]
        if not levels:
            return np.asarray(quantiles, np.float64)
        # the n past truths cut the line into n + 1 parts of equal chance
        n = len(levels)
        return np.interp(quantiles, (np.arange(n) + 1) / (n + 1), levels)

    def quantiles(self, waits: npt.ArrayLike, quantiles: Sequence[float]) -> F8:
        """Return calibrated quantiles of a prediction with these draws, in seconds."""
        ordered = np.sort(np.asarray(waits, np.float64))
        return read_off(ordered, self.levels(ordered, quantiles))

    def to_dict(self, most: int = 200) -> dict[str, Any]:
        """Return it for JSON; maps of more than `most` levels are thinned evenly."""
        return {"classes_s": list(CLASSES), "size": self.size, "maps": [_thin(levels, most) for levels in self.maps]}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Calibration:
        """Return what `to_dict` gave.

        Raises
        ------
        InputError: it is not such a dictionary.
        """
        try:
            maps = tuple(tuple(float(level) for level in levels) for levels in value["maps"])
        except (KeyError, TypeError, ValueError):
            raise InputError("found a calibration without `maps`, expected one written by `Calibration`") from None
        if len(maps) != len(CLASSES) + 2 or any(list(levels) != sorted(levels) for levels in maps):
            raise InputError(f"found {len(maps)} maps in a calibration, expected {len(CLASSES) + 2}, each ascending")
        return cls(maps)


def _class_of(waits: F8) -> int:
    return int(np.searchsorted(CLASSES, waits[waits.size // 2], side="right"))


def _thin(levels: tuple[float, ...], most: int) -> list[float]:
    if len(levels) <= most:
        return list(levels)
    # the ends stay where they are: between them every level keeps its share
    share = np.linspace(0, len(levels) - 1, most)
    return [float(v) for v in np.interp(share, np.arange(len(levels)), levels)]
