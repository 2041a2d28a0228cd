"""How many nodes to keep switched on: the control of Helios' Cluster Energy Saving.

Hu et al., "Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters", SC 2021, section
4.3.3 and the released code. In steps of ten minutes: when more nodes are used than are on, some are lacking; as many as
are used plus a `buffer` are switched on, and none is switched off for `keep` steps. Nodes are switched off, down to
what is used plus the buffer, when use has fallen below its mean of the last `history` steps, is forecast to stay below
what is used now over the next `future` steps and not to rise beyond those, and at least `least` nodes are saved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.model.errors import InputError

STEP_S = 600.0
"""Seconds of a step."""
FIRST_STEPS = 6
"""Steps (an hour) at the beginning in which use plus the buffer is on."""


@dataclass(frozen=True)
class Saving:
    """When nodes are switched off; the defaults are those published for Venus.

    Parameters
    ----------
    history, future: steps looked back on and ahead. fall: by how many nodes use has to be below its recent mean.
    ahead: by how many the forecast has to be below use. least: nodes that have to be saved at least.
    buffer: nodes kept on beyond those used. keep: steps without switching off after nodes were lacking.
    """

    history: int = 3
    future: int = 18
    fall: float = 0.5
    ahead: float = 1.0
    least: int = 2
    buffer: int = 5
    keep: int = 12

    def __post_init__(self) -> None:
        for name, low in (("history", 1), ("future", 1), ("least", 0), ("buffer", 0), ("keep", 0)):
            if getattr(self, name) < low:
                raise InputError(f"power-off: found {name}={getattr(self, name)}, expected at least {low}")


PUBLISHED = {
    "venus": Saving(3, 18, 0.5, 1, 2, 5, 12),
    "earth": Saving(6, 18, 1, 1, 5, 5, 12),
    "saturn": Saving(6, 18, 1, 1, 1, 5, 12),
    "uranus": Saving(3, 18, 1, 1, 1, 7, 12),
    "philly": Saving(2, 30, 0.1, 0, 1, 20, 10),
}
"""Settings of the released code by cluster."""


@dataclass
class Control:
    """Decides step by step.

    Parameters
    ----------
    saving: the settings. on: nodes switched on now. lacking: nodes that were lacking in all. ups, downs: how often
    nodes were switched on and off. woken: nodes switched on in all.
    """

    saving: Saving
    on: int = 0
    lacking: int = 0
    ups: int = 0
    downs: int = 0
    woken: int = 0
    _hold: int = 0
    _step: int = 0

    def step(self, used: int, total: int, recent: float, near: float, far: float) -> int:
        """Return how many nodes to have on.

        Parameters
        ----------
        used, total: nodes in use and there now. recent: mean use of the last `history` steps before this one.
        near, far: mean forecast of the next `future` steps and of twice as many.
        """
        saving, i = self.saving, self._step
        self._step += 1
        if i < FIRST_STEPS:
            self.on = used + saving.buffer
            return self.on
        before = self.on
        if self.on < used:
            self.lacking += used - self.on
            self.on = used + saving.buffer
            self._hold = i + saving.keep
        self.on = min(self.on, total)
        if self.on > before:
            self.ups += 1
            self.woken += self.on - before
        if recent - used < saving.fall or used - near < saving.ahead or i < self._hold:
            return self.on
        self._hold = i
        if near < far:
            return self.on
        lower = min(self.on, used + saving.buffer)
        if self.on - lower >= saving.least:
            self.downs += lower < self.on
            self.on = lower
        return self.on


def follow(saving: Saving, used: I8, total: I8, near: F8, far: F8) -> tuple[I8, Control]:
    """Return how many nodes are on at each step of a series, i8[steps], and the control with its counts.

    used, total: i8[steps]. near, far: f8[steps], mean forecasts as for `Control.step`.
    """
    control = Control(saving)
    on = np.zeros(used.size, np.int64)
    sums = np.concatenate([[0], np.cumsum(used)])
    for i in range(used.size):
        first = max(i - saving.history, 0)
        recent = (sums[i] - sums[first]) / (i - first) if i else float(used[0])
        on[i] = control.step(int(used[i]), int(total[i]), float(recent), float(near[i]), float(far[i]))
    return on, control
