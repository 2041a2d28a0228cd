"""Shares of time become turns: who runs in the next round, so that over time everyone gets the share it was given.

Narayanan et al., OSDI 2020 (Gavel), section 5 and the released code. Priority of a job on a GPU model = its share
there over the part that it got of all the time that jobs ran there since the shares were last computed. In each round
jobs are taken in the order of (priority, deficit, share), model by model, while they fit.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from apportion.engine.layout import F8, I8

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
    """

    jobs: int
    models: int
    round_s: float
    reset_s: float = 1000.0
    order: tuple[int, ...] = ()
    seed: int | None = None
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
        self._total = np.zeros(self.models)
        self.order = self.order or tuple(range(self.models))
        self._random = random.Random(self.seed) if self.seed is not None else None

    def wants_shares(self, now: float) -> bool:
        """Say whether shares have to be computed now."""
        return self.due and (now - self._since >= self.reset_s or self._since == 0.0)

    def forget(self) -> None:
        """Let the next shares be computed at once, as if none had been yet."""
        self._since = 0.0

    def reset(self, now: float, active: I8, share: F8, only: bool = False) -> None:
        """Take new shares, f8[active, models]; what was owed under the old ones is kept as deficit."""
        self.only = only
        owed = np.nan_to_num(self.share[active]) * (now - self._since)
        self.deficit[active] += owed - (self.received[active] - self.round_s / 2)
        self.received[active] = self.round_s / 2
        self._total[:] = active.size * self.round_s / 2
        self._since = now
        self.share[active] = share
        self.due = False

    def credit(self, job: int, model: int, seconds: float) -> None:
        """Note that a job ran so long."""
        self.received[job, model] += seconds
        self._total[model] += seconds

    def pick(self, active: I8, width: F8, speed: F8, capacity: F8) -> list[tuple[int, int]]:
        """Return who runs next: positions in `active` and GPU models, in the order in which they were taken.

        width: f8[active], GPUs. speed: f8[active, models], 0 where a job cannot run. capacity: f8[models], GPUs.
        """
        order = list(self.order)
        if self._random is not None:
            self._random.shuffle(order)
        share = self.share[active]
        known = ~np.isnan(share[:, 0])
        share = np.nan_to_num(share)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = self.received[active] / self._total
            priority = np.where(part > 0, share / part, share * UNSERVED)
        priority = np.where((share > 0) & (speed > 0), priority, 0.0)
        deficit = self.deficit[active]
        taken = np.zeros(active.size, bool)
        picked: list[tuple[int, int]] = []
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
                    picked.append((i, model))
        return picked
