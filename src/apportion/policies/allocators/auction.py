"""The partial allocation auction: proportionally fair, and truthful as each winner pays with a part of what it won.

Cole, Gkatzelis and Goel, "Mechanism design for fair division", EC 2013, as Themis uses it (Mahajan et al., NSDI 2020,
section 4.2): choose bundles a_i that maximise prod_i V_i(a_i); bidder i keeps the part

    c_i = prod_{j != i} V_j(a_j) / max prod_{j != i} V_j without i

of its bundle. A bundle is a number of GPUs, so the best bundles are those of a knapsack over the GPUs on offer.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.layout import F8, I8


def auction(values: list[F8], sizes: list[I8], offer: int) -> tuple[I8, F8]:
    """Return (GPUs each bidder wins, the part it keeps): i8 and f8, both of as many as there are bidders.

    Parameters
    ----------
    values: of each bidder, f8, above 0: of nothing, then of each of its sizes. sizes: of each bidder, i8, GPUs of the
    first size and so on. offer: GPUs.
    """
    n = len(values)
    logs = [np.log(value) for value in values]
    before, choice = [np.zeros(offer + 1)], []
    for log, size in zip(logs, sizes, strict=True):
        best, chosen = _with_one_more(before[-1], log, size)
        before.append(best)
        choice.append(chosen)
    after = [np.zeros(offer + 1)]
    for log, size in zip(reversed(logs), reversed(sizes), strict=True):
        after.append(_with_one_more(after[-1], log, size)[0])
    after.reverse()
    won, got, left = np.zeros(n, np.int64), np.zeros(n), offer
    for i in range(n - 1, -1, -1):
        option = int(choice[i][left])
        got[i] = logs[i][option]
        won[i] = sizes[i][option - 1] if option else 0
        left -= won[i]
    without = np.array([np.max(before[i] + after[i + 1][::-1]) for i in range(n)])
    return won, np.minimum(np.exp(got.sum() - got - without), 1.0)


def _with_one_more(best: F8, log: F8, sizes: I8) -> tuple[F8, I8]:
    """Return the best sums for 0, 1, ... GPUs when one more bids, and what it then gets (0 = nothing)."""
    out, chosen = best + log[0], np.zeros(best.size, np.int64)
    for option, size in enumerate(sizes.tolist(), 1):
        if size >= best.size:
            continue
        with_it = best[: best.size - size] + log[option]
        better = with_it > out[size:]
        out[size:][better] = with_it[better]
        chosen[size:][better] = option
    return out, chosen
