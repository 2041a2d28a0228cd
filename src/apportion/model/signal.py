"""A signal: a step function of time from outside (carbon intensity, price, solar power, node failures)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from apportion.model.errors import InputError


@dataclass(frozen=True)
class Signal:
    """`values[i]` holds from `times_s[i]` until `times_s[i + 1]`.

    Parameters
    ----------
    times_s: f64[n], ascending, seconds from the workload's origin.
    values: f64[n], in `unit`.
    unit: for example `gCO2eq/kWh`, `USD/h`, `W`.
    """

    times_s: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    unit: str
    name: str = "signal"

    def __post_init__(self) -> None:
        if self.times_s.shape != self.values.shape or self.times_s.ndim != 1 or not self.times_s.size:
            raise InputError(f"signal {self.name}: expected as many times as values, at least one")
        if np.any(np.diff(self.times_s) < 0):
            row = int(np.argmax(np.diff(self.times_s) < 0)) + 2
            raise InputError(f"signal {self.name}: times go backwards", row=row)

    def at(self, time_s: float) -> float:
        """Return the value in force at `time_s` (before the first step: the first value)."""
        return float(self.values[max(int(np.searchsorted(self.times_s, time_s, side="right")) - 1, 0)])


@dataclass(frozen=True)
class NodeEvents:
    """Failures and repairs of nodes: the signal that takes capacity away and gives it back.

    Parameters
    ----------
    times_s: f64[n], ascending. nodes: names. up: True = repaired, False = failed.
    """

    times_s: npt.NDArray[np.float64]
    nodes: tuple[str, ...]
    up: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not (self.times_s.size == len(self.nodes) == self.up.size):
            raise InputError("node events: expected as many times as nodes and states")
        if np.any(np.diff(self.times_s) < 0):
            row = int(np.argmax(np.diff(self.times_s) < 0)) + 2
            raise InputError("node events: times go backwards", row=row)
