"""Optimus: one worker each, then every further GPU to the job whose time to the end it shortens the most.

Peng, Bao, Chen, Wu and Guo, "Optimus: an efficient dynamic resource scheduler for deep learning clusters", EuroSys
2018, section 4.1. In the order of submission each job gets its fewest GPUs while they last; then again and again

    argmax_j  R_j / f_j(g_j) - R_j / f_j(g_j + 1)

gets one more, while that is above 0. R_j is what is left (the truth, where the paper fits a loss curve), f_j the speed
with g GPUs: what was measured at several widths, or Amdahl's law (`apportion.engine.scaling`). Only jobs with
`min_gpus` below `max_gpus` can grow. On several GPU models each job has GPUs of one of them (`settling`), R_j / f_j is
the time on that, and who grows next is found among all.

Example: `apportion simulate synthetic:philly?jobs=300&elastic=yes --policy optimus --cluster pool:64`
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.engine.view import Decision, View
from apportion.policies.allocators.settling import rest, settled
from apportion.policies.allocators.sizes import at, fitting, speeds, steps
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
        least, most = steps(view)
        model, left_s = settled(view, least)
        gpus, model = rest(view, _greedy(view, least, most, model, left_s), least, model)
        return Decision(gpus, None, model)


def _greedy(view: View, least: F8, most: F8, model: I8, left_s: F8) -> F8:
    speed = speeds(view, most)
    gpus, free = np.zeros(least.size), view.capacity.copy()
    for k in range(free.size):
        there = np.flatnonzero(model == k)
        gpus[there] = np.where(fitting(np.arange(there.size), least[there], free[k]), least[there], 0.0)
        free[k] -= gpus[there].sum()
    time_s = np.divide(left_s[:, None], speed, out=np.full(speed.shape, np.inf), where=speed > 0)
    now_s = left_s / np.maximum(at(speed, gpus, view.gpus), 1e-300)
    growing = np.flatnonzero((gpus > 0) & (gpus < most))
    heap = [(float(time_s[i, int(gpus[i]) + 1] - now_s[i]), i) for i in growing.tolist()]
    heapq.heapify(heap)
    while heap:
        change, i = heapq.heappop(heap)
        if change >= 0:
            break
        if free[model[i]] < 1:
            continue
        gpus[i] += 1
        free[model[i]] -= 1
        if gpus[i] < most[i]:
            g = int(gpus[i])
            heapq.heappush(heap, (float(time_s[i, g + 1] - time_s[i, g]), i))
    return gpus
