"""Gandiva-fair: everyone gets the same part of the time, however many GPUs the job asks for.

Chaudhary et al., "Balancing efficiency and fairness in heterogeneous GPU clusters for deep learning", EuroSys 2020.

With `by=job` in the form in which Shockwave (Zheng et al., NSDI 2023) compares with it: one job one ticket,
x_j = min(1, G / n) for n jobs on G GPUs, without trading between GPU models.

With `by=user` users hold equal tickets, that is equal numbers of GPUs of every model, as far as their jobs can use
them; a user's GPUs are divided evenly among its jobs, x_j = GPUs of j / GPUs it asks for. With `trade` users exchange
fast GPUs for slow ones first, so that all gain (`tickets`); their jobs' speeds on each model are known from profiles.

Example: `apportion simulate synthetic:philly?jobs=300 --policy gandiva-fair --cluster pool:64`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.layout import F8
from apportion.engine.view import Shares, View
from apportion.model.errors import PolicyError
from apportion.policies.allocators.tickets import entitled, fill, trade
from apportion.policies.parameters import at_least, one_of


@dataclass
class GandivaFair:
    """Equal parts of the time; see the module's text.

    Parameters
    ----------
    round_s: seconds of a round (at least 1). by: who holds equal tickets, `job` or `user`. trade: users trade.
    """

    round_s: float = 360.0
    by: str = "job"
    trade: bool = False

    def __post_init__(self) -> None:
        at_least("gandiva-fair", "round", self.round_s, 1)
        one_of("gandiva-fair", "by", self.by, ("job", "user"))
        if self.trade and self.by != "user":
            raise PolicyError("gandiva-fair: found trade=yes with by=job, expected by=user")

    def decide(self, view: View) -> Shares:
        """Return the part of the time on each GPU model, in proportion to how many GPUs of it there are."""
        if self.by == "user":
            return Shares(by_user(view, self.trade))
        part = min(1.0, view.capacity_gpus / max(view.jobs.size, 1))
        return Shares(part * _even(view, view.capacity))


def _even(view: View, weight: F8) -> F8:
    """Return how a job's time is divided among the models it runs on: in proportion to `weight`, f8[jobs, models]."""
    runs = (view.speed > 0) * weight
    total = runs.sum(axis=1, keepdims=True)
    out: F8 = np.divide(runs, total, out=np.zeros_like(runs), where=total > 0)
    return out


def by_user(view: View, trades: bool) -> F8:
    """Return the part of the time of each job on each model when users hold equal tickets: f8[jobs, models]."""
    users, user = np.unique(view.user, return_inverse=True)
    held = entitled(np.bincount(user, view.gpus, users.size).astype(np.float64), view.capacity)
    if trades:
        best = view.speed.max(axis=1, keepdims=True)
        relative = np.divide(view.speed, best, out=np.zeros_like(view.speed), where=best > 0)
        # of a user as a whole: by the GPUs its jobs ask for
        weight = np.maximum(view.gpus, 1e-9)
        speed = np.stack([np.bincount(user, relative[:, k] * weight, users.size) for k in range(len(view.models))], 1)
        held = trade(held, speed / np.bincount(user, weight, users.size)[:, None])
    share = np.zeros(view.speed.shape)
    for u in range(users.size):
        mine = np.flatnonzero(user == u)
        gpus = fill(view.gpus[mine], float(held[u].sum()))
        part = np.divide(gpus, view.gpus[mine], out=np.ones(mine.size), where=view.gpus[mine] > 0)
        share[mine] = part[:, None]
    return share * _even(view, held[user])
