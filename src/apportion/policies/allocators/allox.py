"""AlloX: jobs are matched to machines and positions so that the sum of completion times is least.

Le, Sun, Chowdhury and Liu, "AlloX: compute allocation in hybrid clusters", EuroSys 2020. Of the jobs that wait the
alpha-part that waited longest is looked at (for fairness; at least as many as there are free GPUs). Job i that is run
l-th from the end on a GPU of model k delays l jobs by p_ik, so

    cost of (i, k, l) = l p_ik + waited_i,    p_ik = what is left of i over its speed on k

and each job gets one (k, l) at the least total cost. The GPUs of a model are alike, so on each model the jobs matched
to it go shortest first. What runs keeps its GPUs. A gang takes its GPUs together, shortest first while they last.

With `compat` shares of time are answered as in Shockwave's simulator (Zheng et al., NSDI 2023): each GPU's first job
gets the share 1 / GPUs from then on, and one that has less than a whole share is matched again every time.

Example: `apportion simulate synthetic:philly?jobs=300 --policy allox[alpha=0.5] --cluster pool:64`
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.engine.view import Decision, Shares, View
from apportion.policies.allocators.matching import match
from apportion.policies.parameters import at_least, between

NEVER = 1e-10
"""Speed where a job does not run: never chosen unless there is nothing else."""


@dataclass
class AlloX:
    """The least sum of completion times; see the module's text.

    Parameters
    ----------
    alpha: part of the waiting jobs that is looked at, above 0 to 1. round_s: seconds of a round (at least 1).
    compat: shares of time, as in the published comparison.
    """

    alpha: float = 1.0
    round_s: float = 360.0
    compat: bool = False
    remembers = ("_share",)
    _share: dict[int, F8] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        between("allox", "alpha", self.alpha, 0, 1)
        at_least("allox", "round", self.round_s, 1)

    @property
    def every_round(self) -> bool:
        """Say that jobs that end free GPUs for others in any round; shares are computed when jobs came or went."""
        return not self.compat

    def decide(self, view: View) -> Decision | Shares:
        """Return who runs where."""
        return self._shares(view) if self.compat else self._jobs(view)

    def _jobs(self, view: View) -> Decision:
        on = np.full(view.jobs.size, -1, np.int64) if view.on is None else view.on
        model = np.where(view.running, on, -1)
        free = view.capacity.copy()
        np.subtract.at(free, model[model >= 0], view.held[model >= 0])
        waiting = np.flatnonzero(~view.running & (view.gpus > 0))
        some = waiting[: max(int(self.alpha * waiting.size), int(free.sum()))]
        some = some[(view.speed[some] > 0).any(axis=1)]
        for i in self._first(view, some, np.maximum(np.floor(free), 0), model):
            if view.gpus[i] > free[model[i]]:
                model[i] = -1
                continue
            free[model[i]] -= view.gpus[i]
        return Decision(np.where(model >= 0, np.where(view.running, view.held, view.gpus), 0.0), None, model)

    def _first(self, view: View, some: I8, free: F8, model: I8) -> I8:
        """Set the model of those among `some` that are matched to a free GPU; return them, shortest first."""
        taken, p_s = matched(view, some, free)
        model[some] = taken
        matchable = some[taken >= 0]
        first: I8 = matchable[np.argsort(p_s[taken >= 0], kind="stable")]
        return first

    def _shares(self, view: View) -> Shares:
        numbers = view.number.tolist()
        nothing = np.zeros(len(view.models))
        share = np.array([self._share.get(j, nothing) for j in numbers]).reshape(len(numbers), len(view.models))
        whole = share.sum(axis=1) == 1.0
        free = view.capacity - (share[whole] == 1.0).sum(axis=0)
        waiting = np.flatnonzero(~whole)
        some = waiting[: max(int(self.alpha * waiting.size), int(free.sum()))]
        taken, p_s = matched(view, some, free)
        for k in range(free.size):
            mine = np.flatnonzero(taken == k)
            for at in mine[np.argsort(p_s[mine], kind="stable")][: int(free[k])]:
                share[some[at], k] = 1.0 / view.gpus[some[at]]
        self._share = dict(zip(numbers, share.copy(), strict=True))
        return Shares(share)


def matched(view: View, some: I8, free: F8) -> tuple[I8, F8]:
    """Return the model each of some jobs is matched to, -1 = none is free, and how long it would take there, seconds.

    free: f8[models], GPUs.
    """
    p_s = view.left[some][:, None] / np.maximum(view.speed[some], NEVER)
    models = np.flatnonzero(free > 0)
    if not some.size or not models.size:
        return np.full(some.size, -1, np.int64), np.zeros(some.size)
    if models.size == 1:
        k = np.full(some.size, models[0])
    else:
        # on a model with n GPUs no more than ceil(jobs / n) positions are taken: earlier ones are cheaper
        model = np.concatenate([np.repeat(m, -(-some.size // int(free[m])) * int(free[m])) for m in models])
        position = np.concatenate([np.arange((model == m).sum()) // int(free[m]) + 1 for m in models])
        k = model[match(position * p_s[:, model])]
    return np.where(view.speed[some, k] > 0, k, -1), p_s[np.arange(some.size), k]
