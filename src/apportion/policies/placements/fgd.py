"""Fragmentation gradient descent: the node whose fragmentation grows least.

Weng et al., "Beware of fragmentation: scheduling GPU-sharing workloads with fragmentation gradient descent", ATC 2023,
Algorithm 1. With F_n(M) the milli-GPU of node n that the typical tasks M cannot use and d = F_n(M) before - after
placing the task, points(n) = floor(100 / (1 + exp(-d / 1000))); a task that shares a device gets the device, and the
node the points, of the best one. `score=exact` keeps d itself. The points are coarse (near d = 0 one is worth 40
milli-GPU), so that ties decide much: see `ties`.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+fgd`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.fit import shares_one
from apportion.engine.fragment import fragment, fragment_with
from apportion.engine.jit import inner
from apportion.engine.plan import PlacementPlan, device_kernel, score_kernel
from apportion.engine.target import POPULARITY
from apportion.policies.parameters import between, one_of
from apportion.policies.ties import NAME, TIES, tied


@inner
def _best(w, node, task, exact):
    """Return the best device and its points (-1 and the node's where there is no choice)."""
    before = fragment(w, node)
    if not shares_one(node, task):
        return -1, _points(before - fragment_with(w, node, task, -1), exact)
    best = -1
    most = 0.0
    for d in range(node.gpus):
        if node.free[d] < task.milli or _same_before(node, d):
            continue
        points = _points(before - fragment_with(w, node, task, d), exact)
        if best < 0 or points > most:
            best, most = d, points
    return best, most


@inner
def _same_before(node, d):
    same = False
    for earlier in range(d):
        same = same or node.free[earlier] == node.free[d]
    return same


@inner
def _points(shrinks, exact):
    if exact:
        shrinks = np.rint(shrinks * 1e6) / 1e6  # else the noise of the sums decides between equal nodes
    points = 100 / (1 + np.exp(-shrinks / 1000))
    return points if exact else np.floor(points)


@score_kernel
def fgd(w, node, task):
    """Return minus the points of the best device."""
    return -_best(w, node, task, False)[1]


@device_kernel
def fgd_device(w, node, task):
    """Return the device with the most points."""
    return _best(w, node, task, False)[0]


@score_kernel
def exact_fgd(w, node, task):
    """Return minus the points of the best device, not rounded."""
    return -_best(w, node, task, True)[1]


@device_kernel
def exact_fgd_device(w, node, task):
    """Return the device with the most points, not rounded."""
    return _best(w, node, task, True)[0]


@dataclass(frozen=True)
class FragmentationGradientDescent:
    """The node whose fragmentation grows least; see the module's text.

    Parameters
    ----------
    ties: name, random or best-fit. score: points (whole numbers, as published) or exact. popularity: share of all tasks
    that the typical ones make up.
    """

    ties: str = NAME
    score: str = "points"
    popularity: float = POPULARITY

    def __post_init__(self) -> None:
        one_of("fgd", "ties", self.ties, TIES)
        one_of("fgd", "score", self.score, ("points", "exact"))
        between("fgd", "popularity", self.popularity, 0, 1)

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        score, device = (exact_fgd, exact_fgd_device) if self.score == "exact" else (fgd, fgd_device)
        return tied(PlacementPlan(score, device, points=True, popularity=self.popularity), self.ties)
