"""Gandiva-fair: everyone gets the same part of the time, however many GPUs the job asks for.

Chaudhary et al., "Balancing efficiency and fairness in heterogeneous GPU clusters for deep learning", EuroSys 2020, in
the form in which Shockwave (Zheng et al., NSDI 2023) compares with it: one job one ticket, x_j = min(1, G / n) for n
jobs on G GPUs, without trading between GPU models.

Example: `apportion simulate synthetic:philly?jobs=300 --policy gandiva-fair --cluster pool:64`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.view import Shares, View
from apportion.policies.parameters import at_least


@dataclass
class GandivaFair:
    """Equal parts of the time; see the module's text.

    Parameters
    ----------
    round_s: seconds of a round (at least 1).
    """

    round_s: float = 360.0

    def __post_init__(self) -> None:
        at_least("gandiva-fair", "round", self.round_s, 1)

    def decide(self, view: View) -> Shares:
        """Return the part of the time on each GPU model, in proportion to how many GPUs of it there are."""
        part = min(1.0, view.capacity_gpus / max(view.jobs.size, 1))
        runs = (view.speed > 0) * view.capacity
        total = runs.sum(axis=1, keepdims=True)
        return Shares(part * np.divide(runs, total, out=np.zeros_like(runs), where=total > 0))
