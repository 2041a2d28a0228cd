"""Run a live situation on into its possible futures, under the policy that decides there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import polars as pl
from numba import njit

from apportion.engine.encode import Encoded, encode
from apportion.engine.jit import Kernel
from apportion.engine.layout import DONE, F8, I8, JOB_KEY_SIGNATURE, KEY_JOB, KEY_PREEMPTIVE, KEY_STATIC, PENDING, ROUND
from apportion.engine.plan import OrderPlan
from apportion.engine.run import Engine
from apportion.live.decide import held_of, order_of, rounds_of, stand
from apportion.live.futures import Futures
from apportion.live.situation import PENDING as WAITS
from apportion.live.situation import Situation
from apportion.model.workload import Workload
from apportion.policies.protocol import Allocator, Policy

FIRST_S = 6 * 3600.0
"""How far a draw is run at first."""
BATCH = 8
"""Draws that are run side by side and know alike how far the ones before had to be run."""
LOOK = 256
"""At most so many events between two looks at whether the answer is known."""
LOOK_S = 0.001
"""Where that many take longer than this, in seconds, it is looked after fewer."""


@dataclass(frozen=True)
class Ran:
    """What came of one draw.

    Parameters
    ----------
    start_s: f8[rows], the first start of each job asked about, seconds on the situation's clock (of one that runs: its
    start), inf = beyond the horizon. busy_gpu_s: GPU-seconds used from now for as long as was asked about.
    """

    start_s: F8
    busy_gpu_s: float


class Forward:
    """A situation under a policy, ready to be run on into every draw of its futures.

    Parameters
    ----------
    situation, policy, backfill, seed: as the controller has them. futures: what may come.

    The policy sees run times as predicted, never those drawn, just as the controller's does.
    """

    def __init__(
        self, situation: Situation, policy: Policy, futures: Futures, *, backfill: int = 0, seed: int = 0
    ) -> None:
        self.situation, self.policy, self.futures = situation, policy, futures
        self.backfill, self.seed = backfill, seed
        tables = [situation.jobs, futures.stream] if futures.stream.height else [situation.jobs]
        self._base = pl.concat(tables, how="diagonal_relaxed")
        self._encoded = encode(Workload(self._base, None, "situation"), situation.cluster)
        self._held = held_of(situation, self._encoded)
        self._jobs = situation.jobs.height

    def can_run(self, row: int) -> bool:
        """Say whether a job fits the idle cluster."""
        return not bool(self._encoded.rejected[row])

    def runs(self, rows: I8, horizon_s: float, watch_s: float = 0.0) -> Iterator[Ran]:
        """Run every draw, in their order, until the jobs of these rows have started and `watch_s` seconds have passed.

        Draws of a batch run side by side, a thread a core: the engine lets go of the interpreter. What comes out does
        not depend on how many there are.

        Parameters
        ----------
        horizon_s: seconds from now after which no start is waited for. watch_s: how long the use of GPUs is measured.
        """
        reach = FIRST_S
        # an allocator may remember what it decided: its draws take turns
        threads = 1 if isinstance(self.policy.order, Allocator) else min(os.cpu_count() or 1, BATCH)
        with ThreadPoolExecutor(threads) as pool:
            for first in range(0, self.futures.draws, BATCH):
                draws = range(first, min(first + BATCH, self.futures.draws))
                batch = list(pool.map(partial(self._ran, rows, horizon_s, watch_s, reach), draws))
                found = np.concatenate([ran.start_s for ran in batch])
                latest = found[np.isfinite(found)].max(initial=self.situation.now_s) - self.situation.now_s
                # most draws take about as long as the ones before
                reach = max(FIRST_S, min(1.25 * latest, horizon_s))
                yield from batch

    def _ran(self, rows: I8, horizon_s: float, watch_s: float, reach_s: float, draw: int) -> Ran:
        """Run a draw, at first only `reach_s` far."""
        able = rows[~self._encoded.rejected[rows]]
        now = self.situation.now_s
        length = max(min(reach_s, horizon_s), watch_s)
        while True:
            engine, encoded = self._engine(draw, now + length)
            state = engine.arrays["jobs"]["state"]

            def over(engine: Engine = engine, state: Any = state) -> bool:
                return engine.number("now") >= now + watch_s and bool((state[able] > PENDING).all())

            if self._run(engine, encoded, over) or length >= horizon_s or not able.size:
                break
            length = min(length * 4, horizon_s)
        start = self._first_starts(engine, encoded)[rows]
        runs = engine.arrays["runs"][: int(engine.number("run_count"))]
        inside = np.minimum(runs["end"], now + watch_s) - np.maximum(runs["start"], now)
        busy = np.maximum(inside, 0.0) @ (encoded.milli[runs["job"]] / 1000)
        return Ran(np.where(start > now + horizon_s, np.inf, start), float(busy))

    def _first_starts(self, engine: Engine, encoded: Encoded) -> F8:
        runs = engine.arrays["runs"][: int(engine.number("run_count"))]
        start = np.full(encoded.kind.size, np.inf)
        start[runs["job"][::-1]] = runs["start"][::-1]
        return start

    def _engine(self, draw: int, until_s: float) -> tuple[Engine, Encoded]:
        later = self.futures.later(draw, until_s)
        rows = np.concatenate([np.arange(self._jobs), self._jobs + later.rows])
        encoded = self._part(rows, later.submit_s)
        work = np.concatenate([self.futures.work_s(draw, self.situation), later.work_s])
        engine = stand(
            self.situation,
            encoded,
            self.policy,
            backfill=self.backfill,
            seed=self.seed,
            until_s=until_s,
            durations=work,
            order=by_estimate(order_of(self.policy, encoded, self.seed)),
            held=self._held,
        )
        engine.root["slice"] = 1
        return engine, encoded

    def _part(self, rows: I8, later_s: F8) -> Encoded:
        """Return what was encoded of these rows, the later ones submitted at these times."""
        table = self._base[rows]
        submit = table["submit_s"].to_numpy().copy()
        submit[self._jobs :] = later_s
        table = table.with_columns(submit_s=pl.Series(submit))
        enc = self._encoded
        return replace(
            enc,
            kind=enc.kind[rows],
            part=enc.part[rows],
            user=enc.user[rows],
            group=enc.group[rows],
            milli=enc.milli[rows],
            rejected=enc.rejected[rows],
            workload=Workload(table, None, "situation"),
        )

    def _run(self, engine: Engine, encoded: Encoded, over: Callable[[], bool]) -> bool:
        """Run to the end, or until `over()`; return whether that came first."""
        # what an allocator remembers of the real cluster must not hear of an imagined one
        allocator = deepcopy(self.policy.order) if isinstance(self.policy.order, Allocator) else None
        rounds = None
        if allocator is not None:
            rounds = rounds_of(encoded, replace(self.policy, order=allocator), self.situation)
        while True:
            began = time.perf_counter()
            status = engine.step()
            # events differ in weight: a pass over a long preemptive queue takes longer than a hundred starts
            faster = LOOK_S / max(time.perf_counter() - began, 1e-9)
            engine.root["slice"] = int(min(max(engine.root["slice"][0] * min(faster, 4.0), 1), LOOK))
            if over():
                return True
            if status == DONE:
                return False
            if status == ROUND and rounds is not None and allocator is not None:
                rounds.round(engine, allocator)


def by_estimate(order: OrderPlan) -> OrderPlan:
    """Return the order with keys that see the work left as predicted, not as drawn."""
    if order.kernel is None or order.mode not in (KEY_JOB, KEY_PREEMPTIVE):
        return order
    return replace(order, kernel=_estimating(order.kernel))


@cache
def _estimating(kernel: Kernel) -> Kernel:
    inner: Any = njit(kernel.function)

    def key(job: Any, now: float) -> Any:
        job.remaining = max(job.duration - job.attained, 0.0)
        return inner(job, now)

    return _Fresh(JOB_KEY_SIGNATURE, key)


class _Fresh(Kernel):
    """A kernel made at run time: its compiled form is not kept."""

    def __init__(self, signature: Any, function: Callable[..., Any]) -> None:
        from numba import cfunc

        super().__init__(signature, function)
        self.__dict__["_compiled"] = cfunc(signature)(function)


def is_static(situation: Situation, policy: Policy, seed: int = 0) -> bool:
    """Say whether the policy's order gives every job a key that stays, so that a pass looks at few jobs."""
    none = encode(Workload(situation.jobs.clear(), None, "situation"), situation.cluster)
    return order_of(policy, none, seed).mode == KEY_STATIC


def waiting_rows(situation: Situation) -> I8:
    """Return the rows of the pending jobs."""
    return np.flatnonzero((situation.jobs["state"] == WAITS).to_numpy())
