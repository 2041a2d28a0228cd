"""Shares of time become turns: who runs in the next round, so that over time everyone gets the share it was given.

Narayanan et al., OSDI 2020 (Gavel), section 5 and the released code. Priority of a job on a GPU model = its share
there over the part that it got of all the time that jobs ran there since the shares were last computed. In each round
jobs are taken in the order of (priority, deficit, share), model by model, while they fit. Where jobs may share GPUs, so
are pairs, and a job runs once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from apportion.engine.jit import entry
from apportion.engine.layout import F8, I8
from apportion.engine.pairs import Pairs
from apportion.engine.view import Shares

UNSERVED = 1e9
"""Priority of a whole share that nothing was received of."""


@dataclass
class Turns:
    """Keeps who received what, by row of the workload and GPU model.

    Parameters
    ----------
    jobs, models: how many there are. round_s: length of a round; every job is taken to have received half of one, so
    that no priority is infinite. reset_s: shares are computed anew at most so often.
    order: GPU models in the order in which they are given out, () = the fastest first, whatever the order of the nodes.
    seed: shuffles that order in every round, None = it stays. packs: jobs may run in pairs on the same GPUs.
    """

    jobs: int
    models: int
    round_s: float
    reset_s: float = 1000.0
    order: tuple[int, ...] = ()
    seed: int | None = None
    packs: bool = False
    pairs: Pairs = field(init=False)
    share: F8 = field(init=False)
    """f8[jobs, models], nan where none was computed yet."""
    received: F8 = field(init=False)
    deficit: F8 = field(init=False)
    due: bool = False
    """Jobs came or went since the shares were computed."""
    only: bool = False
    """A job does not run where it has no share."""
    _total: F8 = field(init=False)
    _since: float = 0.0
    _random: random.Random | None = None

    def __post_init__(self) -> None:
        self.share = np.full((self.jobs, self.models), np.nan)
        self.received = np.full((self.jobs, self.models), self.round_s / 2)
        self.deficit = np.zeros((self.jobs, self.models))
        self.pairs = Pairs(self.models, self.round_s / 2)
        self._total = np.zeros(self.models)
        self._random = random.Random(self.seed) if self.seed is not None else None

    def wants_shares(self, now: float) -> bool:
        """Say whether shares have to be computed now."""
        return self.due and (now - self._since >= self.reset_s or self._since == 0.0)

    def forget(self) -> None:
        """Let the next shares be computed at once, as if none had been yet."""
        self._since = 0.0

    def reset(self, now: float, active: I8, answer: Shares) -> None:
        """Take new shares; what was owed under the old ones is kept as deficit."""
        self.only = answer.only
        if self.packs:
            given = np.zeros((0, 2), np.int64) if answer.pairs is None else active[answer.pairs]
            self.pairs.reset(now - self._since, given, np.zeros(0) if answer.together is None else answer.together)
        owed = np.nan_to_num(self.share[active]) * (now - self._since)
        self.deficit[active] += owed - (self.received[active] - self.round_s / 2)
        self.received[active] = self.round_s / 2
        self._total[:] = (active.size + self.pairs.older.size) * self.round_s / 2
        self._since = now
        self.share[active] = answer.share
        self.due = False

    def credit(self, job: I8, model: I8, seconds: F8, beside: I8) -> None:
        """Note that jobs ran so long, alone (-1) or beside another one; i8, i8, f8, i8."""
        alone = beside < 0
        self.received[job[alone], model[alone]] += seconds[alone]
        if not alone.all():
            one, other = job[~alone], beside[~alone]
            at = self.pairs.find(np.minimum(one, other), np.maximum(one, other))
            self.pairs.received[at, model[~alone]] += seconds[~alone]
        # one after the other: in this order the sum has the digits of the released code
        np.add.at(self._total, model, seconds)

    def meet(self, active: I8, width: F8) -> None:
        """Let those that are there now be paired; active: i8, ascending rows; width: f8[active], GPUs."""
        if self.packs:
            self.pairs.meet(active, width)

    def pick(
        self, active: I8, width: F8, speed: F8, capacity: F8, kind: I8 | None = None, beside: F8 | None = None
    ) -> list[tuple[int, int, int]]:
        """Return who runs next, in the order in which they were taken: positions in `active` of a job and of the one
        that shares its GPUs (-1 = none), and the GPU model.

        width: f8[active], GPUs. speed: f8[active, models], 0 where a job cannot run. capacity: f8[models], GPUs.
        kind, beside: as in `View`.
        """
        steps = self._steps(speed)
        if self.packs and kind is not None and beside is not None:
            return self._pick_packed(active, width, speed, capacity, kind, beside, steps)
        share = self.share[active]
        known = ~np.isnan(share[:, 0])
        share[~known] = 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            part = self.received[active] / self._total
            priority = np.where(part > 0, share / part, share * UNSERVED)
        priority = np.where((share > 0) & (speed > 0), priority, 0.0)
        deficit, left = self.deficit[active], capacity.copy()
        taken = np.zeros(active.size, bool)
        picked: list[tuple[int, int, int]] = []
        for model, shared in steps:
            if left[model] <= 0:
                continue
            runs = (priority[:, model] > 0) == shared
            if not shared:
                runs &= speed[:, model] > 0
            ranked = np.lexsort((-share[:, model], -deficit[:, model], -priority[:, model]))
            here = _fitting(ranked, runs, width, float(left[model]), taken)
            left[model] -= width[here].sum()
            # a job without a share yet is counted, and waits: as in the released code
            picked += [(i, -1, model) for i in here[known[here]].tolist()]
        return picked

    def _steps(self, speed: F8) -> list[tuple[int, bool]]:
        """Return in which order GPUs are given out: GPU models, and whether to those with a share there or the others.

        speed: f8[jobs, models].
        """
        order = list(self.order)
        if not order and speed.size:
            best = np.maximum(speed.max(axis=1, keepdims=True), 1e-300)
            order = np.argsort(-(speed / best).mean(axis=0), kind="stable").tolist()
        if self._random is not None:
            self._random.shuffle(order)
        return [(model, shared) for model in order for shared in ((True,) if self.only else (True, False))]

    def _pick_packed(
        self,
        active: I8,
        width: F8,
        speed: F8,
        capacity: F8,
        kind: I8,
        beside: F8,
        steps: list[tuple[int, bool]],
    ) -> list[tuple[int, int, int]]:
        pairs = self.pairs
        first, second = np.searchsorted(active, pairs.older), np.searchsorted(active, pairs.younger)
        alone = np.arange(active.size)
        # rows of the queue: jobs alone, then pairs; among equals the younger's first, and it alone before its pairs
        own, other = np.concatenate([alone, first]), np.concatenate([np.full(active.size, -1), second])
        age = np.concatenate([alone, second]) * (active.size + 1) + np.concatenate([np.full(active.size, 0), first + 1])
        runs = np.concatenate([speed > 0, (beside[kind[first], kind[second]] > 0).all(axis=2)])
        share = np.concatenate([self.share[active], pairs.share])
        known = ~np.isnan(share[:, 0])
        share = np.nan_to_num(share)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.concatenate([self.received[active], pairs.received]) / self._total
            priority = np.where(part > 0, share / part, share * UNSERVED)
        priority = np.where((share > 0) & runs, priority, 0.0)
        deficit = np.concatenate([self.deficit[active], pairs.deficit])
        taken = np.zeros(active.size + 1, bool)  # the last stands for no other
        picked: list[tuple[int, int, int]] = []
        left = capacity.copy()
        for model, shared in steps:
            if left[model] <= 0:
                continue
            some = (priority[:, model] > 0) if shared else (priority[:, model] <= 0) & runs[:, model]
            rows = np.flatnonzero(some & ~taken[own] & ~taken[other])
            ranked = rows[np.lexsort((age[rows], -share[rows, model], -deficit[rows, model], -priority[rows, model]))]
            for r in ranked.tolist():
                if left[model] <= 0:
                    break
                i, k = int(own[r]), int(other[r])
                if taken[i] or (k >= 0 and taken[k]) or width[i] > left[model]:
                    continue
                left[model] -= width[i]
                taken[i] = True
                if k >= 0:
                    taken[k] = True
                if known[r]:
                    picked.append((i, k, model))
        return picked


@entry
def _fitting(ranked: I8, runs: npt.NDArray[np.bool_], width: F8, left: float, taken: npt.NDArray[np.bool_]) -> I8:
    """Take jobs in this order while they fit; return them."""
    found = np.empty(ranked.size, np.int64)
    n = 0
    for i in ranked:
        if left <= 0:
            break
        if runs[i] and not taken[i] and width[i] <= left:
            left -= width[i]
            taken[i] = True
            found[n] = i
            n += 1
    return found[:n]
