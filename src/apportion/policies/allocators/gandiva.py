"""Gandiva: when there are more jobs than GPUs, jobs share them in pairs drawn at random, as long as that pays.

Xiao et al., "Gandiva: introspective cluster scheduling for deep learning", OSDI 2018, in the form in which Gavel
(Narayanan et al., OSDI 2020, section 7.1) compares with it. Time is split equally over what runs: over the jobs while
they fit on the cluster together, else over pairs of equal width and the jobs that found no partner. A pair lasts until
one of the two ends, or their speeds beside each other, over those alone and summed over the GPU models, fall below 1.

Example: `apportion simulate synthetic:philly?jobs=300 --policy gandiva --cluster pool:64`
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from apportion.engine.view import Shares, View
from apportion.policies.parameters import at_least

ROUND_S = 360.0


@dataclass
class Gandiva:
    """Time shared equally, in pairs where demand exceeds the GPUs.

    Parameters
    ----------
    pays: a pair is kept while its summed speeds are at least this. round_s: seconds of a round (at least 1). seed: of
    the pairs drawn.

    Where the workload has no speeds of pairs nobody shares.
    """

    pays: float = 1.0
    round_s: float = ROUND_S
    seed: int = 0
    packs = True
    _partner: dict[int, int] = field(default_factory=dict, init=False, repr=False)
    """By number of the job."""
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        at_least("gandiva", "pays", self.pays, 0)
        at_least("gandiva", "round", self.round_s, 1)
        self._random = random.Random(self.seed)

    def decide(self, view: View) -> Shares:
        """Return an equal part of every GPU model for each job or pair."""
        at = {int(n): i for i, n in enumerate(view.number)}
        for n, other in list(self._partner.items()):
            if n not in at or other not in at or self._gain(view, at[n], at[other]) < self.pays:
                self._partner.pop(n, None)
                self._partner.pop(other, None)
        crowded = view.gpus.sum() > view.capacity.sum()
        if crowded and view.beside is not None:
            self._draw(view)
        pairs = [(at[n], at[other]) for n, other in sorted(self._partner.items()) if n < other] if crowded else []
        together = np.array(pairs, np.int64).reshape(-1, 2)
        alone = np.setdiff1d(np.arange(view.jobs.size), together)
        # summed by name of the model, as in the released code: the last digit can decide who is next
        by_name = np.argsort([str(model) for model in view.models], kind="stable")
        each = view.capacity[by_name] / max(alone.size + len(pairs), 1)
        share, packed = np.zeros(view.speed.shape), np.zeros((len(pairs), len(view.models)))
        share[np.ix_(alone, by_name)] = _part(each, view.gpus[alone])
        packed[:, by_name] = _part(each, view.gpus[together[:, 0]])
        return Shares(share, pairs=together, together=packed)

    def _draw(self, view: View) -> None:
        """Pair jobs that have no partner; a draw of two of different widths is lost."""
        free = [int(n) for n in view.number if int(n) not in self._partner]
        width = dict(zip(view.number.tolist(), view.gpus.tolist(), strict=True))
        for _ in range(len(free)):
            if len(free) < 2:
                break
            one, other = self._random.sample(free, 2)
            if width[one] == width[other]:
                free = [n for n in free if n not in (one, other)]
                self._partner[one], self._partner[other] = other, one

    def _gain(self, view: View, i: int, k: int) -> float:
        """Return two jobs' speeds beside each other over those alone, summed over models; 0 if one stands still."""
        if view.kind is None or view.beside is None:
            return 0.0
        beside = view.beside[view.kind[i], view.kind[k]]
        if not (beside > 0).all():
            return 0.0
        return float((beside[:, 0] / view.speed[i] + beside[:, 1] / view.speed[k]).sum())


def _part(each: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Return equal parts by width, f8[jobs, models], at most all of the time in all."""
    x = each[None, :] / width[:, None]
    found: np.ndarray = x / np.maximum(x.sum(axis=1), 1.0)[:, None]
    return found
