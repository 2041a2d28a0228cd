"""Ask the placement of a run: the score of a node, what decides between equal scores, the device of a shared task."""

from __future__ import annotations

import numpy as np

from apportion.engine.fit import fits, shares_one
from apportion.engine.jit import inner
from apportion.engine.layout import TIES_SECOND
from apportion.engine.world import (
    call_device,
    call_score,
    call_wide_device,
    call_wide_score,
    terms,
)


@inner
def score_of(w, node, task):
    """Return the score of a node for a task: the weighted sum of the placement's scores; the smallest wins."""
    total = 0.0
    for i in range(w.terms_n):
        term = terms(w)[i]
        if term.wide:
            total += term.weight * call_wide_score(term.kernel, w, node, task)
        else:
            total += term.weight * call_score(term.kernel, node, task)
    # sums that are equal on paper are equal here
    return total if w.terms_n == 1 else np.rint(total * 1e9) / 1e9


@inner
def second_of(w, node, task):
    """Return what decides between nodes of equal score, 0 where nothing does; the smallest wins."""
    if w.ties != TIES_SECOND:
        return 0.0
    if w.second_wide:
        return call_wide_score(w.second_kernel, w, node, task)
    return call_score(w.second_kernel, node, task)


@inner
def device_of(w, node, task):
    """Return the device that a task which shares one gets on a node, -1 where there is no choice."""
    if not shares_one(node, task):
        return -1
    if w.device_wide:
        return call_wide_device(w.device_kernel, w, node, task)
    return call_device(w.device_kernel, node, task)


@inner
def best_of(w, some, task):
    """Return the best of `some` nodes for a task by looking at each, -1 = it fits none; of equal nodes the first."""
    best = -1
    low = lower = np.inf
    for n in range(some.size):
        if fits(some[n], task) > 0:
            s, second = score_of(w, some[n], task), second_of(w, some[n], task)
            if best < 0 or s < low or (s == low and second < lower):
                best, low, lower = n, s, second
    return best
