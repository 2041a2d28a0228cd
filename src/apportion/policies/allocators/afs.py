"""AFS: each GPU goes to the winner of a tournament between short jobs and jobs that make good use of it.

Hwang, Kim, Kim, Shin and Park, "Elastic resource sharing for distributed deep learning", NSDI 2021 (AFS-L). All start
with none; for each free GPU two jobs at a time are compared. If both have none, the one with less left wins; otherwise
let l be the one that would end earlier with what it has, h the other: h wins if

    (p_h(g_h + 1) - p_h(g_h)) / p_h(g_h + 1)  >  (p_l(g_l + 1) - p_l(g_l)) / p_l(g_l)

with p(g) the speed with g GPUs (`apportion.engine.scaling`), else l. Jobs at `max_gpus` drop out; one that needs
several GPUs to start gets them at once, and the gain is taken per GPU. It is done anew when a job came or went, and
every `round`. On several GPU models each job takes part in the tournament for one of them (`settling`).

Example: `apportion simulate synthetic:philly?jobs=300&elastic=yes --policy afs --cluster pool:64`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.jit import entry, inner
from apportion.engine.layout import F8, I8
from apportion.engine.view import Decision, View
from apportion.policies.allocators.settling import rest, settled
from apportion.policies.allocators.sizes import speeds, steps
from apportion.policies.parameters import at_least


@dataclass
class Afs:
    """Tournaments for GPUs; see the module's text.

    Parameters
    ----------
    round_s: seconds after which it is done anew even if no job came or went (at least 1).
    """

    round_s: float = 3600.0
    every_round = True
    on_change = True

    def __post_init__(self) -> None:
        at_least("afs", "round", self.round_s, 1)

    def decide(self, view: View) -> Decision:
        """Return the GPUs of each job."""
        least, most = steps(view)
        model, left_s = settled(view, least)
        speed, free = speeds(view, most), view.capacity.copy()
        gpus = np.asarray(_share_out(least, most, view.gpus, left_s, speed, model, free))
        gpus, model = rest(view, gpus, least, model)
        return Decision(gpus, None, model)


@entry
def _share_out(least: F8, most: F8, asked: F8, left_s: F8, speed: F8, model: I8, free: F8) -> F8:
    n = least.size
    gpus = np.zeros(n)
    # of each job: GPUs that it would get at once, time left with the fewest GPUs, time to the end with what it has, and
    # its gain by more over the speed it has, and over the speed it then has
    step, short, end, gain, worth = least.copy(), np.empty(n), np.full(n, np.inf), np.zeros(n), np.empty(n)
    growing = False
    for j in range(n):
        short[j] = left_s[j] / _p(j, least[j], asked, speed)
        worth[j] = 1.0 / least[j] if least[j] > 0 else 0.0
        growing = growing or most[j] > least[j]
    if not growing:
        # only those with none meet: the shortest wins, again and again
        for j in np.argsort(short, kind="mergesort"):
            if model[j] >= 0 and least[j] <= free[model[j]]:
                gpus[j] = least[j]
                free[model[j]] -= least[j]
        return gpus
    left = np.flatnonzero((most > 0) & (model >= 0))
    count = left.size
    while True:
        winner, stay = -1, 0
        for at in range(count):
            j = left[at]
            if gpus[j] >= most[j] or step[j] > free[model[j]]:
                # GPUs on offer only get fewer
                continue
            left[stay] = j
            stay += 1
            if winner < 0 or _beats(j, winner, gpus, short, end, gain, worth):
                winner = j
        count = stay
        if winner < 0:
            return gpus
        gpus[winner] += step[winner]
        free[model[winner]] -= step[winner]
        step[winner] = 1.0
        now = _p(winner, gpus[winner], asked, speed)
        end[winner] = left_s[winner] / now
        if gpus[winner] < most[winner]:
            more = _p(winner, gpus[winner] + 1.0, asked, speed)
            gain[winner], worth[winner] = (more - now) / now, (more - now) / more


@inner
def _p(j: int, gpus: float, asked: F8, speed: F8) -> float:
    return 1.0 if gpus == asked[j] else speed[j, int(gpus)]


@inner
def _beats(a: int, b: int, gpus: F8, short: F8, end: F8, gain: F8, worth: F8) -> bool:
    """Say whether a wins against b, which stands before it where nothing else decides."""
    if gpus[a] == 0 and gpus[b] == 0:
        return bool(short[a] < short[b])
    if end[a] < end[b]:
        return not worth[b] > gain[a]
    return bool(worth[a] > gain[b])
