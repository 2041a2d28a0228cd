"""Set up the arrays of a run, drive the compiled loop slice by slice, and hand back its log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from apportion.engine import bits, index, loop
from apportion.engine.encode import Encoded
from apportion.engine.index import Index
from apportion.engine.layout import (
    DONE,
    EASY,
    F8,
    GROW,
    I4,
    JOB,
    KEY_JOB,
    KEY_NONE,
    KEY_PREEMPTIVE,
    KEY_SHARE,
    REJECTED,
    ROUND,
    SHARE,
    SKIP,
    Records,
)
from apportion.engine.plan import OrderPlan, PlacementPlan, Settings, by_service, by_submission
from apportion.engine.world import (
    C_ARRIVED,
    C_EVENTS,
    C_PUTS,
    C_RUNS,
    EXTRA,
    G_BACKFILL,
    G_CONSERVE,
    G_KEY,
    G_QUANTUM_WHEN_STUCK,
    G_QUEUED_FIRST,
    G_REFRESH,
    G_SLICE,
    G_TIES,
    G_WAKE,
    PUT,
    RUN,
    S_CHECKPOINT_INTERVAL,
    S_GRANULARITY,
    S_QUANTUM,
    S_UNTIL,
    T_NOW,
    T_ROUND,
    T_WAKE,
    TABLE,
    Heap,
    Outside,
    Queue,
    Running,
    Scratch,
    Waiting,
    World,
)

SLICE = 200_000
"""Events between two looks at the outside (progress, Ctrl-C)."""


@dataclass(frozen=True)
class Log:
    """What happened: `RUN` records in the order of their starts, `PUT` records of their pieces, and the jobs' table."""

    runs: Records
    puts: Records
    jobs: Records
    events: int
    end_s: float
    wall_s: float


@dataclass(frozen=True)
class Times:
    """Of each job, f8[jobs], in seconds: submission, work, the estimate the scheduler sees, deadline (inf = none);
    priority; preemptible."""

    submit: F8
    work: F8
    estimate: F8
    deadline: F8
    priority: F8
    preemptible: Any


class Engine:
    """One run of a workload on a cluster under an order (or an allocator) and a placement.

    Parameters
    ----------
    encoded, times: what runs where. order, placement, settings: how.
    outside: failures and repairs (time f8, node number i4, up i4), ascending.
    """

    def __init__(
        self,
        encoded: Encoded,
        times: Times,
        order: OrderPlan,
        placement: PlacementPlan,
        settings: Settings,
        outside: Outside | None = None,
    ) -> None:
        self.encoded, self.settings, self.order, self.placement = encoded, settings, order, placement
        self.world = _build(encoded, times, order, placement, settings, outside)
        self.index: Index = index.build(encoded.nodes.copy(), encoded.tasks, settings.seed)
        preemptive = order.mode in (KEY_PREEMPTIVE, KEY_JOB)
        self._job_key = order.kernel if preemptive and order.kernel is not None else by_submission
        self._share_key = order.kernel if order.mode == KEY_SHARE and order.kernel is not None else by_service

    def step(self) -> int:
        """Go on until something needs an answer; return `DONE`, `ROUND` or `PAUSE`."""
        while True:
            status = loop.run(
                self.world,
                self.index,
                self.placement.score,
                self.placement.device,
                self._job_key,
                self._share_key,
            )
            if status != GROW:
                return int(status)
            self.grow()

    def grow(self, runs: int = 0, puts: int = 0) -> None:
        """Make the log larger: by half, or by so many runs and places more."""
        w = self.world
        more_runs = w.runs.size + max(w.runs.size // 2, runs, 1024)
        more_puts = w.puts.size + max(w.puts.size // 2, puts, int(w.kinds["pieces"].max()) + 1024)
        self.world = w._replace(
            runs=np.resize(w.runs, more_runs),
            puts=np.resize(w.puts, more_puts),
            heap=Heap(np.resize(w.heap.time, more_runs), np.resize(w.heap.run, more_runs)),
        )

    def run(
        self,
        decide: Callable[[Engine], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Log:
        """Run to the end.

        Parameters
        ----------
        decide: called at every round of an allocator, with the engine. progress: called with (jobs arrived, jobs).
        """
        began = time.perf_counter()
        while True:
            status = self.step()
            if progress is not None:
                progress(int(self.world.count[C_ARRIVED]), self.world.jobs.size)
            if status == DONE:
                break
            if status == ROUND and decide is not None:
                decide(self)
        w = self.world
        return Log(
            w.runs[: w.count[C_RUNS]],
            w.puts[: w.count[C_PUTS]],
            w.jobs,
            int(w.count[C_EVENTS]),
            float(w.clock[T_NOW]),
            time.perf_counter() - began,
        )


def _build(
    encoded: Encoded,
    times: Times,
    order: OrderPlan,
    placement: PlacementPlan,
    settings: Settings,
    outside: Outside | None,
) -> World:
    n = len(encoded.kind)
    jobs = np.zeros(n, TABLE)
    jobs["submit"], jobs["work"], jobs["estimate"] = times.submit, times.work, times.estimate
    jobs["remaining"] = times.work
    jobs["rate"] = 1.0
    jobs["checkpoint_cost"] = settings.checkpoint_cost_s
    jobs["kind"], jobs["part"] = encoded.kind, encoded.part
    jobs["run"] = -1
    jobs["preemptible"] = times.preemptible
    jobs["state"][encoded.rejected] = REJECTED
    if order.share is not None:
        jobs["share"] = order.share
    extra = np.zeros(n, EXTRA)
    extra["priority"], extra["deadline"] = times.priority, times.deadline
    extra["user"], extra["group"] = encoded.user, encoded.group
    kinds = encoded.kinds.copy()
    by_rank = _rank(order.keys if order.keys is not None else times.submit)
    jobs["rank"][by_rank] = np.arange(n, dtype=np.int32)
    parts = encoded.quota.size
    queue = _queues(jobs, by_rank, order, settings)
    jobs_in_part = np.bincount(encoded.part, minlength=parts)
    runs = n + 1024 if order.mode in (KEY_PREEMPTIVE, KEY_NONE) else n + 64
    puts = int(kinds["pieces"][encoded.kind].sum()) + 1024 if n else 1024
    shares = np.zeros(int(jobs["share"].max()) + 1 if n else 1, SHARE)
    shares["weight"] = 1.0 if order.weights is None else order.weights
    waiting_size = n if order.mode == KEY_PREEMPTIVE else 0
    work = max(n, queue.head.size, encoded.nodes.size) + 64
    clock = np.full(3, np.inf)
    clock[T_NOW] = min(0.0, float(times.submit.min()) if n else 0.0)
    clock[T_ROUND] = clock[T_NOW] if order.mode == KEY_NONE else np.inf
    clock[T_WAKE] = np.inf
    config = np.zeros(9, np.int64)
    config[G_BACKFILL], config[G_KEY], config[G_TIES] = settings.backfill, order.mode, placement.ties
    config[G_CONSERVE], config[G_QUEUED_FIRST] = order.conserve, order.queued_first
    config[G_REFRESH], config[G_QUANTUM_WHEN_STUCK] = order.refresh, order.quantum_when_stuck
    config[G_WAKE], config[G_SLICE] = 0, SLICE
    setting = np.zeros(4)
    setting[S_UNTIL], setting[S_GRANULARITY] = settings.until_s, settings.granularity_s
    setting[S_CHECKPOINT_INTERVAL], setting[S_QUANTUM] = settings.checkpoint_interval_s, order.quantum_s
    return World(
        jobs=jobs,
        extra=extra,
        kinds=kinds,
        queue=queue,
        waiting=Waiting(
            np.zeros(waiting_size),
            np.zeros(waiting_size, np.int32),
            np.concatenate([[0], np.cumsum(jobs_in_part)]).astype(np.int32),
            np.zeros(parts, np.int32),
        ),
        heap=Heap(np.zeros(runs), np.zeros(runs, np.int32)),
        running=Running(np.zeros(n, np.int32)),
        runs=np.zeros(runs, RUN),
        puts=np.zeros(puts, PUT),
        outside=outside or Outside(np.zeros(0), np.zeros(0, np.int32), np.zeros(0, np.int32)),
        shares=shares,
        quota=encoded.quota.copy(),
        reach=encoded.reach,
        touched=np.zeros(n + 64, np.int32),
        scratch=Scratch(
            np.zeros(work, np.int32),
            np.full(work, -1, np.int32),
            np.zeros(1),
            np.zeros(1, JOB),
            encoded.nodes.copy(),
        ),
        clock=clock,
        count=np.zeros(16, np.int64),
        config=config,
        setting=setting,
    )


def _rank(keys: F8) -> Any:
    """Return the jobs in the order of their keys, ties in the order of submission."""
    if keys.size < 2 or bool(np.all(keys[1:] >= keys[:-1])):
        return np.arange(keys.size)
    return np.argsort(keys, kind="stable")


def _queues(jobs: Records, by_rank: Any, order: OrderPlan, settings: Settings) -> Queue:
    """Divide the jobs into queues whose heads speak for them: by class under `skip`, by partition otherwise."""
    n = jobs.size
    by_class = settings.backfill == SKIP and order.mode != KEY_PREEMPTIVE
    main: I4 = jobs["kind"] if by_class else jobs["part"]
    if order.mode == KEY_SHARE and settings.backfill != EASY:
        pair = main.astype(np.int64) * (int(jobs["share"].max(initial=0)) + 1) + jobs["share"]
        number = np.unique(pair, return_inverse=True)[1].astype(np.int32)
    else:
        number = main
    queues = int(number.max(initial=0)) + 1
    small = number.astype(np.int16) if queues < 1 << 15 else number
    slots = by_rank[np.argsort(small[by_rank], kind="stable")]
    jobs["slot"][slots] = np.arange(n, dtype=np.int32)
    jobs["queue"] = number
    first = np.zeros(queues, np.int64)
    first[number] = np.arange(n)
    one_kind = np.full(queues, -1, np.int32)
    if by_class:
        one_kind[:] = jobs["kind"][first] if n else -1
    return Queue(
        bits.empty(n),
        slots.astype(np.int32),
        np.concatenate([[0], np.cumsum(np.bincount(number, minlength=queues))]).astype(np.int32),
        np.full(queues, -1, np.int32),
        np.zeros(queues, np.int32),
        np.zeros(queues, np.int32),
        one_kind,
        jobs["share"][first] if n else np.zeros(queues, np.int32),
        jobs["part"][first] if n else np.zeros(queues, np.int32),
    )
