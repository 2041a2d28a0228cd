"""The queue as the policy sees it: who goes before a job, by what, and the shares behind it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from apportion.engine.encode import Encoded
from apportion.engine.layout import F8, I8, KEY_NONE, KEY_SHARE
from apportion.engine.plan import OrderPlan
from apportion.live.decide import order_of
from apportion.live.situation import PENDING, RUNNING, Situation
from apportion.policies.protocol import Policy

WHY = {
    "fifo": "they were submitted earlier",
    "sjf": "they are expected to take less time",
    "ljf": "they are expected to take more time",
    "smallest": "they ask for fewer GPUs",
    "sju": "earlier jobs of their users took less time",
    "sjg": "earlier jobs of their users and groups took less time",
    "sjgg": "earlier jobs of their users and groups of that size took less time",
    "qssf": "they are expected to need fewer GPU-hours",
    "srtf": "they are expected to have less work left",
    "las": "they have received fewer GPU-hours",
    "priority": "their priority is higher",
    "random": "they were drawn before it",
}
"""Why an order puts jobs before another; the rest is said by its name."""


@dataclass(frozen=True)
class Share:
    """What a user or group has received.

    Parameters
    ----------
    name: who. before_gpu_s: GPU-seconds of runs that are over. running_gpu_s: of the current runs so far.
    gpus: held now. waiting: jobs that wait.
    """

    name: str
    before_gpu_s: float
    running_gpu_s: float
    gpus: float
    waiting: int

    @property
    def total_gpu_s(self) -> float:
        """All of it, by which shares are compared."""
        return self.before_gpu_s + self.running_gpu_s


@dataclass(frozen=True)
class Queue:
    """The pending jobs in the order of the policy.

    Parameters
    ----------
    rows: i8, rows of the situation, the first to go first; jobs of other partitions included. part: i4[jobs].
    by: `user` or `group` where shares count, else "". shares: by name, of those with waiting or running jobs.
    """

    rows: I8
    part: I8
    by: str
    shares: dict[str, Share]

    def before(self, row: int) -> I8:
        """Return the rows of the jobs that go before one and compete for the same nodes, the first first."""
        at = int(np.flatnonzero(self.rows == row)[0])
        earlier = self.rows[:at]
        same: I8 = earlier[self.part[earlier] == self.part[row]]
        return same


def queue_of(situation: Situation, encoded: Encoded, policy: Policy, seed: int = 0) -> Queue:
    """Return the queue at this moment; an allocator has none, its jobs stand in the order of submission."""
    table = situation.jobs
    waiting = np.flatnonzero((table["state"] == PENDING).to_numpy())
    order = order_of(policy, encoded, seed)
    by, shares = "", {}
    first = np.zeros(waiting.size)
    then = np.arange(waiting.size, dtype=np.float64)
    if order.keys is not None:
        then = order.keys[waiting]
    if order.mode == KEY_SHARE:
        by = "user" if order.share is encoded.user else "group"
        shares = _shares(situation, encoded, by)
        first = np.array([_share_key(order, shares, table[by][int(row)], situation.now_s) for row in waiting])
    elif order.kernel is not None and order.mode != KEY_NONE:
        first = _job_keys(situation, encoded, order, waiting)
    # ties go by row, which is the order of submission
    return Queue(waiting[np.lexsort((waiting, then, first))], encoded.part.astype(np.int64), by, shares)


def _shares(situation: Situation, encoded: Encoded, by: str) -> dict[str, Share]:
    table = situation.jobs
    alive = np.flatnonzero((table["state"] != "ended").to_numpy())
    served = situation.served.get(by, {})
    running = (table["state"] == RUNNING).to_numpy()
    since = situation.now_s - table["started_s"].fill_null(situation.now_s).to_numpy()
    gpus = encoded.milli / 1000
    out = {}
    for name in dict.fromkeys(table[by][alive]):
        mine = np.flatnonzero((table[by] == name).to_numpy())
        runs = mine[running[mine]]
        out[name] = Share(
            name,
            served.get(name, 0.0),
            float(since[runs] @ gpus[runs]),
            float(gpus[runs].sum()),
            int((table["state"].gather(mine) == PENDING).sum()),
        )
    return out


def _share_key(order: OrderPlan, shares: dict[str, Share], name: str, now_s: float) -> float:
    share = shares[name]
    seen = SimpleNamespace(
        served=share.total_gpu_s, weight=1.0, allocated=share.gpus, running=0, pending=share.waiting, since=now_s
    )
    assert order.kernel is not None
    return float(order.kernel(seen, now_s))


def _job_keys(situation: Situation, encoded: Encoded, order: OrderPlan, rows: I8) -> F8:
    table = situation.jobs
    assert order.kernel is not None
    out = np.zeros(rows.size)
    for i, row in enumerate(rows):
        job = table.row(int(row), named=True)
        view = SimpleNamespace(
            submit=job["submit_s"],
            duration=job["duration_s"] if job["estimate_s"] is None else job["estimate_s"],
            gpus=encoded.milli[row] / 1000,
            priority=float(job["priority"]),
            deadline=np.inf if job["deadline_s"] is None else job["deadline_s"],
            attained=job["attained_s"],
            remaining=max(job["duration_s"] - job["attained_s"], 0.0),
            running=0,
            preemptions=job["preemptions"],
            user=int(encoded.user[row]),
            group=int(encoded.group[row]),
        )
        out[i] = order.kernel(view, situation.now_s)
    return out
