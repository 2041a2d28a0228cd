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
    order: GPU models in the order in which they are given. seed: shuffles that order in every round, None = it stays.
    packs: jobs may run in pairs on the same GPUs.
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
        self.order = self.order or tuple(range(self.models))
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
        order = list(self.order)
        if self._random is not None:
            self._random.shuffle(order)
        if self.packs and kind is not None and beside is not None:
            return self._pick_packed(active, width, speed, capacity, kind, beside, order)
        share = self.share[active]
        known = ~np.isnan(share[:, 0])
        share = np.nan_to_num(share)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = self.received[active] / self._total
            priority = np.where(part > 0, share / part, share * UNSERVED)
        priority = np.where((share > 0) & (speed > 0), priority, 0.0)
        deficit = self.deficit[active]
        taken = np.zeros(active.size, bool)
        picked: list[tuple[int, int, int]] = []
        for model in order:
            left = capacity[model]
            ranked = np.lexsort((-share[:, model], -deficit[:, model], -priority[:, model]))
            runs = (priority if self.only else speed)[ranked, model] > 0
            for i in ranked[runs & ~taken[ranked]].tolist():
                if left <= 0:
                    break
                if width[i] > left:
                    continue
                left -= width[i]
                taken[i] = True
                # a job without a share yet is counted, and waits: as in the released code
                if known[i]:
                    picked.append((i, -1, model))
        return picked

    def _pick_packed(
        self, active: I8, width: F8, speed: F8, capacity: F8, kind: I8, beside: F8, order: list[int]
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
        for model in order:
            left = capacity[model]
            # those with a share come first; the others are looked at only while GPUs are left
            for some in (priority[:, model] > 0, (priority[:, model] <= 0) & runs[:, model] & (not self.only)):
                rows = np.flatnonzero(some & ~taken[own] & ~taken[other]) if left > 0 else alone[:0]
                ranked = rows[
                    np.lexsort((age[rows], -share[rows, model], -deficit[rows, model], -priority[rows, model]))
                ]
                for r in ranked.tolist():
                    if left <= 0:
                        break
                    i, k = int(own[r]), int(other[r])
                    if taken[i] or (k >= 0 and taken[k]) or width[i] > left:
                        continue
                    left -= width[i]
                    taken[i] = True
                    if k >= 0:
                        taken[k] = True
                    if known[r]:
                        picked.append((i, k, model))
        return picked
