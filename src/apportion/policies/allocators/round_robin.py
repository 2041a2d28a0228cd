"""Round robin: jobs take turns on the GPUs, a quantum each, in the order in which they last ran.

The time slicing of Gandiva (Xiao et al., OSDI 2018) without its packing. At every round the waiting jobs, longest
unserved first, and then the running ones, in the order of their last start, are given the GPUs they ask for while
these last; the others are suspended.

Example: `apportion simulate synthetic:philly?jobs=500 --policy round-robin[quantum=10m] --checkpoint-cost 10`
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apportion.engine.view import Decision, View
from apportion.policies.allocators.carried import Carried
from apportion.policies.allocators.sizes import fitting
from apportion.policies.parameters import at_least


@dataclass
class RoundRobin:
    """Jobs take turns; see the module's text.

    Parameters
    ----------
    quantum_s: seconds of a turn (at least 1).
    """

    quantum_s: float = 300.0
    remembers = ("_served",)
    _served: Carried = field(default_factory=lambda: Carried(-np.inf), init=False, repr=False)

    def __post_init__(self) -> None:
        at_least("round-robin", "quantum", self.quantum_s, 1)

    @property
    def round_s(self) -> float:
        """Return the seconds between two rounds."""
        return self.quantum_s

    def decide(self, view: View) -> Decision:
        """Give GPUs to the jobs that ran longest ago."""
        last = self._served.of(view.number)
        order = np.lexsort((view.submit_s, last))
        fits = fitting(order, view.gpus, view.capacity_gpus)
        last[fits] = view.now_s
        self._served.keep(view.number, last)
        return Decision(np.where(fits, view.gpus, 0.0), order)
