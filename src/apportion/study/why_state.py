"""What a finished run says about the time a job waited: when, beside whom, and what its nodes held step by step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.engine.encode import Encoded, encode
from apportion.engine.layout import F8, I8, KEY_NONE, Records
from apportion.engine.plan import OrderPlan
from apportion.engine.replay import CHANGE, CLOSED, OPEN, OTHERS, Demand, Steps, paint, replay
from apportion.engine.state import State
from apportion.model.errors import InputError, PolicyError
from apportion.model.signal import NodeEvents
from apportion.policies.protocol import Allocator, Jobs, Policy
from apportion.policies.registry import parse_policy
from apportion.study.changes import node_changes, takes
from apportion.study.result import Result

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Spells:
    """Stretches of waiting: of `job` (row number) from `start` to `end` (inf = to the end of the run), in seconds."""

    job: I8
    start: F8
    end: F8

    def where(self, keep: Any) -> Spells:
        """Return those of `keep`, a mask or positions."""
        return Spells(self.job[keep], self.start[keep], self.end[keep])


@dataclass(frozen=True)
class Wait:
    """The steps between two changes while the job waited.

    Parameters
    ----------
    start, end: f8, seconds. steps: what the replay says of each. head: i8, the job (row number) that stood first in its
    partition before it, -1 = none or not known.
    """

    start: F8
    end: F8
    steps: Steps
    head: I8


class Finished:
    """A finished run and how it was run.

    Parameters
    ----------
    result: the run. policy, backfill, granularity, seed, failures: as given to `simulate`; None = what the result says.

    Raises
    ------
    InputError: the policy is not known by the name in the result.
    """

    def __init__(
        self,
        result: Result,
        policy: str | Policy | None = None,
        backfill: str | None = None,
        granularity: float | None = None,
        seed: int | None = None,
        failures: NodeEvents | None = None,
    ) -> None:
        facts = result.facts
        self.result = result
        try:
            self.policy = policy if isinstance(policy, Policy) else parse_policy(policy or result.policy)
        except PolicyError:
            raise InputError(
                f"found policy {policy or result.policy!r}, which has no file here: give the Policy it ran with"
            ) from None
        self.backfill: str = facts.get("backfill", "skip") if backfill is None else backfill
        self.granularity = float(facts.get("granularity_s", 0.0) if granularity is None else granularity)
        self.seed = int(facts.get("seed", 0) if seed is None else seed)
        self.failures: NodeEvents | None = facts.get("failures") if failures is None else failures
        self.encoded: Encoded = encode(result.workload, result.cluster)
        placed = result.placements
        self.job: I8 = placed["job"].to_numpy().astype(np.int64)
        self.start: F8 = placed["start_s"].to_numpy()
        self.end: F8 = placed["end_s"].fill_null(np.inf).to_numpy()
        self.released = self.ticks(self.end)
        self.node: I8 = placed["node"].to_numpy().astype(np.int64)
        self.gpus: F8 = placed["gpus"].to_numpy()
        self.first: Bools = placed["first"].to_numpy()
        last = max(self.start.max(initial=0.0), self.end[np.isfinite(self.end)].max(initial=0.0))
        self.end_s = float(facts.get("end_s", last))

    def ticks(self, time: F8) -> F8:
        """Return when the scheduler learns of what happens at `time`: at once, or at the next multiple of a tick."""
        return np.ceil(time / self.granularity) * self.granularity if self.granularity > 0 else time

    @cached_property
    def order(self) -> OrderPlan:
        """The order's plan; that of an allocator has no keys."""
        if isinstance(self.policy.order, Allocator):
            return OrderPlan(KEY_NONE)
        return self.policy.order.plan(Jobs(self.result.workload, self.encoded, self.seed))

    @cached_property
    def spells(self) -> Spells:
        """Every stretch of waiting of every job that was not rejected."""
        submit = self.result.workload.table["submit_s"].to_numpy()
        job, start, end = (a[self.first] for a in (self.job, self.start, self.end))
        by_job = np.argsort(job, kind="stable")
        job, start, end = job[by_job], start[by_job], end[by_job]
        again = np.zeros(job.size, bool)
        again[1:] = job[1:] == job[:-1]
        since = np.where(again, np.concatenate([[0.0], end[:-1]])[: job.size], submit[job])
        # those whose last run was cut short, and those that never ran, wait to the end
        left = np.isfinite(end) & ~np.append(again[1:], False)[: job.size]
        left &= self.result.jobs["end_s"].is_null().to_numpy()[job]
        never = ~self.encoded.rejected
        never[job] = False
        forever = np.concatenate([job[left], np.flatnonzero(never)])
        from_ = np.concatenate([end[left], submit[never]])
        return Spells(
            np.concatenate([job, forever]),
            np.concatenate([since, from_]),
            np.concatenate([start, np.full(forever.size, np.inf)]),
        )

    def spells_of(self, job: int) -> Spells:
        """Return the stretches of waiting of one job in the order of time, cut off at the end of the run."""
        mine = self.spells.where(self.spells.job == job)
        mine = Spells(mine.job, mine.start, np.minimum(mine.end, self.end_s))
        return mine.where(mine.end > mine.start)

    def down(self) -> tuple[F8, Records]:
        """Return the failures and repairs: when the scheduler learns of them and `CHANGE` records."""
        time, changes = node_changes(self.result, self.failures)
        return self.ticks(time), changes

    def access(self, job: int) -> I8:
        """Return `OPEN`, `OTHERS` or `CLOSED` for each node: whose it is, to this job."""
        enc = self.encoded
        task = enc.tasks[enc.kinds["shape"][enc.kind[job]]]
        model = enc.nodes["model"]
        allowed = (model >= 0) & ((int(task["models"]) >> np.maximum(model, 0)) & 1 == 1)
        if task["models"] == 0:
            allowed = np.ones(model.size, bool)
        group = enc.nodes["group"]
        own = (task["group"] == -1) | (group == -1) | (group == task["group"])
        out: I8 = np.where(allowed, np.where(own, OPEN, OTHERS), CLOSED).astype(np.int64)
        return out

    def demand(self, job: int) -> Demand:
        """Return what the job asks for."""
        enc = self.encoded
        state = State(enc, self.policy.placement.plan(), self.seed)
        return Demand.of(enc.nodes, enc.tasks, enc.kinds[enc.kind[job]], state)

    def on_empty(self, job: int, demand: Demand | None = None) -> Steps:
        """Say what the job lacks on the idle cluster."""
        return replay(
            self.encoded.nodes,
            self.access(job),
            demand or self.demand(job),
            np.zeros(0, CHANGE),
            np.zeros(1, np.int64),
            np.ones(1, bool),
        )

    def wait(self, job: int, mine: Spells, ranked: bool) -> Wait:
        """Replay the time from the first of the job's spells to the end of the last.

        Parameters
        ----------
        mine: its spells, not empty. ranked: whether to find who stood first before it, by a static order.
        """
        begin, end = self.ticks(mine.start), mine.end
        access = self.access(job)
        held = (access[self.node] != CLOSED) & (self.released > self.start) & (self.start < end[-1])
        rows = np.flatnonzero(held & (self.released > begin[0]))
        taken = takes(self.result, self.encoded, rows)
        gives = taken.copy()
        gives["sign"] = -1
        outside_at, outside = self.down()
        time = np.concatenate([self.released[rows], outside_at, self.start[rows]])
        changes: Any = np.concatenate([gives, outside, taken])
        keep = (time < end[-1]) & (access[changes["node"]] != CLOSED)
        time, changes = np.maximum(time[keep], begin[0]), changes[keep]
        by_time = np.argsort(time, kind="stable")
        time, changes = time[by_time], changes[by_time]
        before = self._before(job, begin[0], end[-1]) if ranked else None
        bounds = [time, begin, end] + ([before.start, before.end] if before is not None else [])
        grid = np.unique(np.concatenate(bounds))
        grid = grid[(grid >= begin[0]) & (grid <= end[-1])]
        at = grid[:-1]
        spell = np.maximum(np.searchsorted(begin, at, side="right") - 1, 0)
        wanted = (at >= begin[spell]) & (at < end[spell])
        upto = np.searchsorted(time, at, side="right")
        steps = replay(self.encoded.nodes, access, self.demand(job), changes, upto, wanted)
        head = np.full(at.size, -1, np.int64)
        if before is not None and before.job.size:
            first, last = np.searchsorted(at, before.start), np.searchsorted(at, before.end)
            owner = paint(first, last, at.size)
            head = np.where(owner >= 0, before.job[owner], -1)
        kept = Steps(*(values[wanted] for values in (steps.code, steps.free, steps.places, steps.best)))
        return Wait(at[wanted], grid[1:][wanted], kept, head[wanted])

    def _before(self, job: int, start: float, end: float) -> Spells:
        """Return the waiting of the jobs before this one in its partition between two times, best rank first."""
        keys = self.order.keys
        assert keys is not None
        spells = self.spells
        other = spells.job
        ahead = (keys[other] < keys[job]) | ((keys[other] == keys[job]) & (other < job))
        begin = self.ticks(spells.start)
        ahead &= (self.encoded.part[other] == self.encoded.part[job]) & (begin < end) & (spells.end > start)
        found = spells.where(ahead & (begin < spells.end))
        order = np.lexsort((found.job, keys[found.job]))
        found = found.where(order)
        return Spells(found.job, np.maximum(self.ticks(found.start), start), np.minimum(found.end, end))

    def served(self, at: float) -> F8:
        """Return the GPU-seconds per unit of weight that every user or group of a sharing order had received."""
        order = self.order
        share = order.share
        ran = np.clip(np.minimum(self.released, at) - self.start, 0, None) * self.gpus
        total = np.bincount(share[self.job], ran, minlength=int(share.max(initial=0)) + 1)
        return np.asarray(total if order.weights is None else total / order.weights, np.float64)

    def waiting(self, at: float) -> I8:
        """Return the jobs that wait at a time, row numbers."""
        spells = self.spells
        return spells.job[(self.ticks(spells.start) <= at) & (spells.end > at)]

    def holders(self, job: int, start: float, end: float) -> pl.DataFrame:
        """Return the runs that held GPUs the job could have used, most GPU-seconds in the interval first.

        Columns: `job` (row number), `start`, `end` (inf = beyond the end of the run), `gpus`.
        """
        keep = (self.access(job)[self.node] == OPEN) & (self.start < end) & (self.released > start)
        keep &= (self.gpus > 0) & (self.job != job)
        frame = pl.DataFrame(
            {"job": self.job[keep], "start": self.start[keep], "end": self.released[keep], "gpus": self.gpus[keep]}
        )
        inside = pl.min_horizontal("end", pl.lit(end)) - pl.max_horizontal("start", pl.lit(start))
        return (
            frame.with_columns(held=inside * pl.col("gpus"))
            .group_by("job", "start", "end", maintain_order=True)
            .agg(pl.col("gpus", "held").sum())
            .sort("held", "job", descending=[True, False], maintain_order=True)
        )

    def passed_by(self, job: int, mine: Spells) -> int:
        """Count the jobs behind it in submission that started on its nodes while it waited."""
        if not mine.job.size:
            return 0
        spell = np.maximum(np.searchsorted(mine.start, self.start, side="right") - 1, 0)
        keep = (self.start >= mine.start[spell]) & (self.start < mine.end[spell]) & (self.job > job)
        return int(np.unique(self.job[keep & (self.access(job)[self.node] == OPEN)]).size)
