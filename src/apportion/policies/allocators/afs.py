"""AFS: each GPU goes to the winner of a tournament between short jobs and jobs that make good use of it.

Hwang, Kim, Kim, Shin and Park, "Elastic resource sharing for distributed deep learning", NSDI 2021 (AFS-L). All start
with none; for each free GPU two jobs at a time are compared. If both have none, the one with less left wins; otherwise
let l be the one that would end earlier with what it has, h the other: h wins if

    (p_h(g_h + 1) - p_h(g_h)) / p_h(g_h + 1)  >  (p_l(g_l + 1) - p_l(g_l)) / p_l(g_l)

with p(g) the speed with g GPUs (`apportion.engine.scaling`), else l. Jobs at `max_gpus` drop out; one that needs
several GPUs to start gets them at once, and the gain is taken per GPU. It is done anew when a job came or went, and
every `round`.

Example: `apportion simulate synthetic:philly?jobs=300&elastic=yes --policy afs --cluster pool:64`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.jit import entry, inner
from apportion.engine.layout import F8
from apportion.engine.view import Decision, View
from apportion.policies.allocators.sizes import placed, speeds, steps
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
        gpus = np.asarray(_share_out(least, most, view.gpus, view.remaining_s, speeds(view, most), view.capacity_gpus))
        gpus, model = placed(view, gpus, least)
        return Decision(gpus, None, model)


@entry
def _share_out(least: F8, most: F8, asked: F8, left_s: F8, speed: F8, free: float) -> F8:
    n = least.size
    gpus = np.zeros(n)
    while True:
        winner = -1
        for j in range(n):
            step = least[j] if gpus[j] == 0 else 1.0
            if gpus[j] >= most[j] or step > free:
                continue
            if winner < 0 or _beats(j, winner, gpus, least, asked, left_s, speed):
                winner = j
        if winner < 0:
            return gpus
        step = least[winner] if gpus[winner] == 0 else 1.0
        gpus[winner] += step
        free -= step


@inner
def _p(j: int, gpus: float, asked: F8, speed: F8) -> float:
    return 1.0 if gpus == asked[j] else speed[j, int(gpus)]


@inner
def _beats(a: int, b: int, gpus: F8, least: F8, asked: F8, left_s: F8, speed: F8) -> bool:
    """Say whether a wins against b, which stands before it where nothing else decides."""
    if gpus[a] == 0 and gpus[b] == 0:
        return bool(left_s[a] / _p(a, least[a], asked, speed) < left_s[b] / _p(b, least[b], asked, speed))
    end_a = left_s[a] / _p(a, gpus[a], asked, speed) if gpus[a] > 0 else np.inf
    end_b = left_s[b] / _p(b, gpus[b], asked, speed) if gpus[b] > 0 else np.inf
    earlier, later = (a, b) if end_a < end_b else (b, a)
    step_h = least[later] if gpus[later] == 0 else 1.0
    now_h = _p(later, gpus[later], asked, speed) if gpus[later] > 0 else 0.0
    next_h = _p(later, gpus[later] + step_h, asked, speed)
    now_l = _p(earlier, gpus[earlier], asked, speed)
    next_l = _p(earlier, gpus[earlier] + 1.0, asked, speed)
    to_later = (next_h - now_h) / next_h / step_h > (next_l - now_l) / now_l
    return (later if to_later else earlier) == a
