"""A number of each job that an allocator keeps from one look to the next, by the job's lasting name."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apportion.engine.layout import F8, I8


@dataclass
class Carried:
    """The last values of the jobs that were there; a job that is gone is forgotten.

    Parameters
    ----------
    default: the value of a job that is new.
    """

    default: float
    _number: I8 = field(default_factory=lambda: np.zeros(0, np.int64), init=False)
    _value: F8 = field(default_factory=lambda: np.zeros(0), init=False)

    def of(self, number: I8) -> F8:
        """Return the values of jobs by their names (`View.number`): f8[jobs]."""
        if not self._number.size:
            return np.full(number.size, self.default)
        at = np.minimum(np.searchsorted(self._number, number), self._number.size - 1)
        return np.where(self._number[at] == number, self._value[at], self.default)

    def keep(self, number: I8, value: F8) -> None:
        """Keep the values of these jobs, in place of what was known."""
        order = np.argsort(number, kind="stable")
        self._number, self._value = number[order], value[order]
