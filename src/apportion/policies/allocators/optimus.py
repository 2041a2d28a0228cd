"""Optimus: one worker each, then every further GPU to the job whose time to the end it shortens the most.

Peng, Bao, Chen, Wu and Guo, "Optimus: an efficient dynamic resource scheduler for deep learning clusters", EuroSys
2018, section 4.1. In the order of submission each job gets its fewest GPUs while they last; then again and again

    argmax_j  R_j / f_j(g_j) - R_j / f_j(g_j + 1)

gets one more, while that is above 0. R_j is what is left (the truth, where the paper fits a loss curve), f_j the speed
with g GPUs: what was measured at several widths, or Amdahl's law (`apportion.engine.scaling`). Only jobs with
`min_gpus` below `max_gpus` can grow; on several GPU models each job goes where it is fastest and there is room.

Example: `apportion simulate synthetic:philly?jobs=300&elastic=yes --policy optimus --cluster pool:64`
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from apportion.engine.layout import F8
from apportion.engine.view import Decision, View
from apportion.policies.allocators.sizes import at, placed, speeds, steps
from apportion.policies.parameters import at_least


@dataclass
class Optimus:
    """Greedy by marginal gain; see the module's text.

    Parameters
    ----------
    round_s: seconds between two allocations (at least 1).
    """

    round_s: float = 600.0
    every_round = True

    def __post_init__(self) -> None:
        at_least("optimus", "round", self.round_s, 1)

    def decide(self, view: View) -> Decision:
        """Return the GPUs of each job."""
        gpus, model = placed(view, greedy(view), steps(view)[0])
        return Decision(gpus, None, model)


def greedy(view: View) -> F8:
    """Return the GPUs of each job: f8[jobs]."""
    least, most = steps(view)
    speed = speeds(view, most)
    gpus, free = np.zeros(view.jobs.size), view.capacity_gpus
    for i in np.flatnonzero(least > 0).tolist():
        if least[i] <= free:
            gpus[i] = least[i]
            free -= least[i]
    time_s = np.divide(view.remaining_s[:, None], speed, out=np.full(speed.shape, np.inf), where=speed > 0)
    now_s = view.remaining_s / np.maximum(at(speed, gpus, view.gpus), 1e-300)
    growing = np.flatnonzero((gpus > 0) & (gpus < most))
    heap = [(float(time_s[i, int(gpus[i]) + 1] - now_s[i]), i) for i in growing.tolist()]
    heapq.heapify(heap)
    while heap and free >= 1:
        change, i = heapq.heappop(heap)
        if change >= 0:
            break
        gpus[i] += 1
        free -= 1
        if gpus[i] < most[i]:
            g = int(gpus[i])
            heapq.heappush(heap, (float(time_s[i, g + 1] - time_s[i, g]), i))
    return gpus
