"""The partial allocation auction: proportionally fair, and truthful as each winner pays with a part of what it won.

Cole, Gkatzelis and Goel, "Mechanism design for fair division", EC 2013, as Themis uses it (Mahajan et al., NSDI 2020,
section 4.2): choose bundles a_i that maximise prod_i V_i(a_i); bidder i keeps the part

    c_i = prod_{j != i} V_j(a_j) / max prod_{j != i} V_j without i

of its bundle. A bundle is a number of GPUs, so the best bundles are those of a knapsack over the GPUs on offer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from apportion.engine.jit import entry
from apportion.engine.layout import F8, I8


class Bids(NamedTuple):
    """What bundles are worth, bidder after bidder: of nothing first, then of each size.

    Parameters
    ----------
    options: i8[bidders], how many each has, nothing included. size: i8, GPUs of each option. value: f8, its worth,
    above 0.
    """

    options: I8
    size: I8
    value: F8


def auction(bids: Bids, offer: int) -> tuple[I8, F8]:
    """Return (GPUs each bidder wins, the part it keeps): i8 and f8, both of as many as there are bidders.

    offer: GPUs.
    """
    ends = np.cumsum(bids.options)
    won, got, without = _auction(ends - bids.options, ends, bids.size, np.log(bids.value), offer)
    return won, np.minimum(np.exp(got.sum() - got - without), 1.0)


@entry
def _auction(begins: I8, ends: I8, size: I8, log: F8, offer: int) -> tuple[I8, F8, F8]:
    n = begins.size
    # the best sums for 0, 1, ... GPUs of the bidders before each, and of it and those after it
    before, after = np.zeros((n + 1, offer + 1)), np.zeros((n + 1, offer + 1))
    choice = np.zeros((n, offer + 1), np.int64)
    unused = np.zeros(offer + 1, np.int64)
    for i in range(n):
        _with_one_more(before[i], begins[i], ends[i], size, log, before[i + 1], choice[i])
    for i in range(n - 1, -1, -1):
        _with_one_more(after[i + 1], begins[i], ends[i], size, log, after[i], unused)
    won, got, without, left = np.zeros(n, np.int64), np.zeros(n), np.zeros(n), offer
    for i in range(n - 1, -1, -1):
        option = begins[i] + choice[i, left]
        got[i], won[i] = log[option], size[option]
        left -= won[i]
    for i in range(n):
        without[i] = -np.inf
        for g in range(offer + 1):
            without[i] = max(without[i], before[i, g] + after[i + 1, offer - g])
    return won, got, without


@entry
def _with_one_more(best: F8, begin: int, end: int, size: I8, log: F8, out: F8, chosen: I8) -> None:
    """Set the best sums when one more bids, and which option it then takes."""
    for g in range(best.size):
        out[g], chosen[g] = best[g] + log[begin], 0
        for option in range(begin + 1, end):
            if size[option] <= g and best[g - size[option]] + log[option] > out[g]:
                out[g], chosen[g] = best[g - size[option]] + log[option], option - begin
