"""Tickets of users for GPUs of several models, and how users trade them.

Chaudhary et al., EuroSys 2020 (Gandiva-fair), section 4.3. Every user starts with an equal part of every model, no
more than its jobs can use. A user whose jobs gain the least from a fast model sells its GPUs there, against GPUs of a
slow model, to the user whose jobs gain the most, at the second-highest gain as the price: the buyer pays less than it
gains, the seller gets at least what it loses.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.layout import F8

LEAST = 1e-9
"""GPUs that are not worth a trade."""


def entitled(demand: F8, capacity: F8) -> F8:
    """Return the GPUs of each model that each user is entitled to: f8[users, models].

    Parameters
    ----------
    demand: f8[users], GPUs that its jobs ask for. capacity: f8[models].
    """
    total = capacity.sum()
    if total <= 0:
        return np.zeros((demand.size, capacity.size))
    held: F8 = fill(demand, total)[:, None] * (capacity / total)
    return held


def fill(most: F8, total: float) -> F8:
    """Return equal parts of `total`, none above its `most`; what one cannot use goes to the others."""
    out = np.zeros(most.size)
    left, open_to = total, most.size
    for i in np.argsort(most, kind="stable"):
        out[i] = min(most[i], left / open_to)
        left -= out[i]
        open_to -= 1
    return out


def trade(held: F8, speed: F8) -> F8:
    """Return what users hold after trading: f8[users, models].

    Parameters
    ----------
    held: f8[users, models], GPUs. speed: f8[users, models], of its jobs on a GPU of the model, 0 = cannot use it.
    """
    held = held.copy()
    models = np.argsort(speed.mean(axis=0), kind="stable")
    for high in range(models.size - 1, 0, -1):
        for low in range(high):
            _trade_pair(held, speed, int(models[low]), int(models[high]))
    return held


def _trade_pair(held: F8, speed: F8, slow: int, fast: int) -> None:
    able = np.flatnonzero((speed[:, slow] > 0) & (speed[:, fast] > 0))
    gain = np.divide(speed[:, fast], speed[:, slow], out=np.zeros(len(speed)), where=speed[:, slow] > 0)
    ranked = able[np.argsort(gain[able], kind="stable")]
    first, last = 0, ranked.size - 1
    while first < last:
        seller, buyer = ranked[first], ranked[last]
        if held[seller, fast] <= LEAST:
            first += 1
            continue
        # the next bidder's gain; with two users it is the seller's own
        price = gain[ranked[last - 1]]
        if held[buyer, slow] <= LEAST or price >= gain[buyer] or price < gain[seller]:
            last -= 1
            continue
        amount = min(held[seller, fast], held[buyer, slow] / price)
        held[seller, fast] -= amount
        held[buyer, fast] += amount
        held[buyer, slow] -= amount * price
        held[seller, slow] += amount * price
