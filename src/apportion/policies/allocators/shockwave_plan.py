"""Shockwave's plan: which job runs in which round of the window, and on which GPUs.

In each round come first the jobs that have as many rounds to go as the window has left (they have no laxity: the long
jobs, which bound the makespan), the widest of them first, as that packs best; then the others by their priority for
each round that they were given; then whatever still fits, longest remainder first, so that no GPU idles. A job runs on
one GPU model, the fastest for it that is free.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.jit import entry, inner
from apportion.engine.layout import F8, I8


def place(counts: I8, width: I8, priority: F8, left_s: F8, rounds: int, ahead: int, free: F8, speed: F8, on: I8) -> I8:
    """Return the GPU model of each job in the first rounds of the window, -1 = waits: i8[ahead, jobs].

    Parameters
    ----------
    counts: i8, rounds of each job. width: i8, GPUs. priority, left_s: f8. rounds: of the window. ahead: how many of
    them are planned. free: f8[models], GPUs. speed: f8[jobs, models], 0 = cannot run there. on: i8, where each ran
    last, which it keeps among equals.

    Examples
    --------
    >>> ones, two = np.ones(2, int), np.array([2, 1])
    >>> place(two, ones, np.ones(2), np.array([9.0, 8.0]), 3, 3, np.ones(1), np.ones((2, 1)), -ones).tolist()
    [[-1, 0], [0, -1], [0, -1]]
    """
    worth = -priority / np.maximum(counts, 1)
    orders = np.stack(
        [
            np.lexsort((-left_s, worth, -width)),
            np.lexsort((-left_s, -width, worth)),
            np.argsort(-left_s, kind="stable"),
        ]
    )
    return np.asarray(_place(counts.copy(), width, orders, rounds, ahead, free, speed, on))


def place_rounds(granted: I8, width: I8, left_s: F8, free: F8, speed: F8, on: I8) -> I8:
    """Return the same for a plan that says who runs in which round: granted, i8[rounds, jobs], 1 = runs."""
    longest = np.argsort(-left_s, kind="stable")
    out = np.full(granted.shape, -1, np.int64)
    for t, who in enumerate(granted):
        orders = np.stack([np.arange(width.size), np.arange(width.size), longest])
        out[t] = _place(who.copy(), width, orders, 1, 1, free, speed, on)[0]
    return out


@inner
def _model(idle: F8, width: int, speed: F8, on: int) -> int:
    """Return the fastest GPU model with room, -1 = there is none."""
    best = -1
    for m in range(idle.size):
        if idle[m] >= width and speed[m] > 0:
            faster = best < 0 or speed[m] > speed[best]
            if faster or (speed[m] == speed[best] and m == on):
                best = m
    return best


@entry
def _place(to_go: I8, width: I8, orders: I8, rounds: int, ahead: int, free: F8, speed: F8, on: I8) -> I8:
    """orders: i8[3, jobs], in which those without laxity, the others and those that fill up are looked at."""
    out = np.full((ahead, width.size), -1, np.int64)
    for t in range(ahead):
        idle = free.copy()
        for step in range(3):
            for j in orders[step]:
                due = to_go[j] >= rounds - t if step == 0 else step == 2 or to_go[j] > 0
                if out[t, j] < 0 and due:
                    out[t, j] = _model(idle, width[j], speed[j], on[j])
                    if out[t, j] >= 0:
                        idle[out[t, j]] -= width[j]
                        to_go[j] -= step < 2
    return out
