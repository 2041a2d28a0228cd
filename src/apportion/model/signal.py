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

    def between(self, first_s: float | None, last_s: float | None) -> Signal:
        """Return the steps from `first_s`, which becomes second 0, up to but without `last_s`; None = no bound.

        Raises
        ------
        InputError: there is no step between them.
        """
        keep = _between(self.times_s, first_s, last_s)
        if not keep.any():
            raise InputError(f"signal {self.name}: found nothing between from= and to=")
        return Signal(self.times_s[keep] - (first_s or 0.0), self.values[keep], self.unit, self.name)


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

    def between(self, first_s: float | None, last_s: float | None) -> NodeEvents:
        """Return the events from `first_s`, which becomes second 0, up to but without `last_s`; None = no bound."""
        keep = _between(self.times_s, first_s, last_s)
        nodes = tuple(node for node, kept in zip(self.nodes, keep.tolist(), strict=True) if kept)
        return NodeEvents(self.times_s[keep] - (first_s or 0.0), nodes, self.up[keep])


def _between(times_s: npt.NDArray[np.float64], first_s: float | None, last_s: float | None) -> npt.NDArray[np.bool_]:
    low = -np.inf if first_s is None else first_s
    high = np.inf if last_s is None else last_s
    return np.asarray((times_s >= low) & (times_s < high), np.bool_)
