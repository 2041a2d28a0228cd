"""The controller: observe, decide, tell the difference; again and again.

Every cycle starts from what is so, never from what the last one told. So it can be killed at any point and started
again, and a command that was lost, or half done, is told again or taken back by the next cycle.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from apportion.live import backend as seen
from apportion.live.backend import Backend, BackendError, Launch, Observation, Refusal
from apportion.live.decide import Decisions, SituationError, decide
from apportion.live.memory import Memory
from apportion.live.situation import ENDED, PENDING, RUNNING, Situation
from apportion.model.cluster import Cluster
from apportion.policies.protocol import Allocator, Policy
from apportion.predict.run_time import RunTimes

LAUNCH_TIMEOUT_S = 120.0
"""A job that was told to start and does not run after so long is parked and decided anew."""


@dataclass(frozen=True)
class Cycle:
    """What one cycle saw and did.

    Parameters
    ----------
    number, time_s: of the cycle. waiting, running: jobs seen. started, stopped, parked: jobs told.
    deferred: starts that wait for a stopped job to be gone. refused: what the cluster did not do.
    observe_s, decide_s, act_s: seconds each step took. wake_s: when the policy wants to be asked again.
    """

    number: int
    time_s: float
    waiting: int
    running: int
    started: tuple[Launch, ...] = ()
    stopped: tuple[str, ...] = ()
    parked: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    observe_s: float = 0.0
    decide_s: float = 0.0
    act_s: float = 0.0
    wake_s: float = np.inf


@dataclass
class Controller:
    """Puts a policy in charge of a backend.

    Parameters
    ----------
    backend, policy, memory: what to run, how, and where to remember. backfill, seed: as in a simulation.
    run_times: predicts run times from the history; default: a look-up by user and size.
    """

    backend: Backend
    policy: Policy
    memory: Memory
    backfill: int = 0
    seed: int = 0
    run_times: RunTimes = field(default_factory=RunTimes)
    cycles: int = 0
    _told: dict[str, float] = field(default_factory=dict)
    """When each job now launching was first seen so."""
    _round_at: float = -np.inf
    """When an allocator is asked again."""

    def cycle(self) -> Cycle:
        """Observe, decide and act once.

        Raises
        ------
        BackendError: the cluster did not answer; nothing is lost, try again.
        """
        began = time.perf_counter()
        observation = self.backend.observe()
        observed = time.perf_counter()
        self._learn(observation)
        situation = self.situation(observation)
        decisions = self._decide(situation)
        decided = time.perf_counter()
        return self._act(observation, situation, decisions, (observed - began, decided - observed))

    def _learn(self, observation: Observation) -> None:
        """Bring the memory up to what is so."""
        jobs, now = observation.jobs, observation.time_s
        memory = self.memory
        memory.base.execute("begin")
        try:
            known = memory.open
            fresh = jobs.filter(~pl.col("job_id").is_in(list(known)) & (pl.col("state") != seen.ENDED))
            memory.admit(fresh.iter_rows(named=True))
            holding = jobs.filter(pl.col("state").is_in([seen.RUNNING, seen.STOPPING]))
            for job, started in holding.select("job_id", "started_s").iter_rows():
                if known[job].started_s != started and started is not None:
                    if known[job].started_s is not None:
                        memory.suspend(job, started)
                    memory.begin(job, started)
            back = jobs.filter(pl.col("state").is_in([seen.WAITING, seen.BLOCKED, seen.STRAY, seen.LAUNCHING]))
            for job, ended in back.select("job_id", "ended_s").iter_rows():
                if known[job].started_s is not None:
                    memory.suspend(job, now if ended is None else ended)
            over = jobs.filter(pl.col("state") == seen.ENDED)
            for job, started, ended in over.select("job_id", "started_s", "ended_s").iter_rows():
                if job in known:
                    if known[job].started_s is None and started is not None:
                        memory.begin(job, started)
                    memory.end(job, now if ended is None else ended)
            gone = set(known) - set(jobs["job_id"])
            for job in sorted(gone):
                memory.end(job, now)
            memory.base.execute("commit")
        except BaseException:
            memory.base.execute("rollback")
            raise

    def situation(self, observation: Observation) -> Situation:
        """Return what the policy is shown: jobs that we may start or stop, and all that hold nodes."""
        nodes, jobs = observation.nodes, observation.jobs
        cluster = Cluster.of(nodes.drop("open", "reason"), name=self.backend.name)
        closed = set(nodes.filter(~pl.col("open"))["node"])
        shown = jobs.filter(pl.col("state").is_in([seen.WAITING, seen.LAUNCHING, seen.RUNNING, seen.STOPPING]))
        held = shown["state"].is_in([seen.LAUNCHING, seen.RUNNING])
        known = [self.memory.open[job] for job in shown["job_id"]]
        now = observation.time_s
        started = shown["started_s"].fill_null(now).clip(upper_bound=now)
        attained = pl.Series([k.attained_s for k in known], dtype=pl.Float64)
        history = self.memory.history()
        predicted = self.run_times.predict(history, shown)
        ran = attained + pl.select(pl.when(held).then(now - started).otherwise(0.0)).to_series()
        table = shown.drop("state", "started_s", "ended_s", "nodes", "devices", "why", "limit_s").with_columns(
            duration_s=pl.max_horizontal(predicted, ran),
            estimate_s=pl.max_horizontal(predicted, ran),
            number=pl.Series([k.number for k in known], dtype=pl.Int64),
            state=pl.select(pl.when(held).then(pl.lit(RUNNING)).otherwise(pl.lit(PENDING))).to_series(),
            started_s=pl.select(pl.when(held).then(started)).to_series(),
            attained_s=attained,
            preemptions=pl.Series([k.preemptions for k in known], dtype=pl.Int32),
        )
        past = history.with_columns(state=pl.lit(ENDED), attained_s=pl.lit(0.0), preemptions=pl.lit(0, pl.Int32))
        places = (
            shown.filter(held)
            .with_columns(
                devices=pl.when(pl.col("devices").list.len() == pl.col("nodes").list.len())
                .then("devices")
                .otherwise(pl.col("nodes").list.eval(pl.lit(-1, pl.Int64)))
            )
            .select("job_id", node="nodes", devices="devices")
            .explode("node", "devices")
        )
        everything = pl.concat([past, table], how="diagonal_relaxed")
        return Situation.of(now, cluster, everything, places, frozenset(closed), self.memory.served())

    def _decide(self, situation: Situation) -> Decisions:
        """Ask the policy; a node that gives more than it has takes nothing new until that is over."""
        if situation.now_s < self._round_at:
            return Decisions((), (), self._round_at)
        for _ in range(len(situation.cluster) + 1):
            try:
                decisions = decide(situation, self.policy, backfill=self.backfill, seed=self.seed)
                if isinstance(self.policy.order, Allocator):
                    self._round_at = decisions.wake_s
                return decisions
            except SituationError as error:
                situation = _without(situation, error.job_id)
        raise BackendError("no node is as it should be")

    def _act(
        self, observation: Observation, situation: Situation, decisions: Decisions, took: tuple[float, float]
    ) -> Cycle:
        jobs, now = observation.jobs, observation.time_s
        by_state = {key[0]: frame for key, frame in jobs.group_by("state")}
        leaving = by_state.get(seen.STOPPING)
        stopping = set(leaving["job_id"]) if leaving is not None else set()
        busy = set(leaving["nodes"].explode().drop_nulls()) if leaving is not None else set()
        stops = tuple(job for job in decisions.stops if job not in stopping)
        at = dict(jobs.filter(pl.col("job_id").is_in(list(stops))).select("job_id", "nodes").iter_rows())
        busy.update(node for nodes in at.values() for node in nodes or [])
        launches: list[Launch] = []
        deferred: list[str] = []
        for start in decisions.starts:
            if start.job_id in stopping or start.job_id in stops or busy & set(start.nodes):
                deferred.append(start.job_id)
            else:
                launches.append(Launch(start.job_id, start.nodes, start.devices, len(launches)))
        parked = self._to_park(jobs, now)
        began = time.perf_counter()
        refused: list[Refusal] = []
        entries = []
        for action, names, call in (
            ("park", parked, lambda: self.backend.park(parked)),
            ("stop", stops, lambda: self.backend.stop(stops)),
            ("start", tuple(launch.job_id for launch in launches), lambda: self.backend.launch(launches)),
        ):
            if not names:
                continue
            answers, lost = _told(call)
            refused += answers
            messages = {answer.job_id: answer.message for answer in answers}
            where = {launch.job_id: launch.nodes for launch in launches} if action == "start" else {}
            for job in names:
                outcome = "unknown" if lost else "refused" if job in messages else "told"
                entries.append(
                    (now, self.cycles, action, job, where.get(job, ()), outcome, lost or messages.get(job, ""))
                )
        self.memory.log(entries)
        cycle = Cycle(
            self.cycles,
            now,
            by_state[seen.WAITING].height if seen.WAITING in by_state else 0,
            by_state[seen.RUNNING].height if seen.RUNNING in by_state else 0,
            tuple(launches),
            stops,
            parked,
            tuple(deferred),
            tuple(refused),
            *took,
            time.perf_counter() - began,
            now if deferred else decisions.wake_s,
        )
        self.cycles += 1
        return cycle

    def _to_park(self, jobs: pl.DataFrame, now: float) -> tuple[str, ...]:
        launching = jobs.filter(pl.col("state") == seen.LAUNCHING)["job_id"].to_list()
        self._told = {job: self._told.get(job, now) for job in launching}
        late = [job for job, since in self._told.items() if now - since > LAUNCH_TIMEOUT_S]
        return (*jobs.filter(pl.col("state") == seen.STRAY)["job_id"], *late)


def _told(call: Callable[[], list[Refusal]]) -> tuple[list[Refusal], str]:
    """Return what the cluster refused, and why its answer is not known, if it is not."""
    try:
        return call(), ""
    except BackendError as error:
        return [], str(error)


def _without(situation: Situation, job: str) -> Situation:
    """Return the situation without a running job whose places cannot be, its nodes closed."""
    nodes = set(situation.places.filter(pl.col("job_id") == job)["node"])
    return Situation(
        situation.now_s,
        situation.cluster,
        situation.jobs.filter(pl.col("job_id") != job),
        situation.places.filter(pl.col("job_id") != job),
        situation.closed | nodes,
        situation.served,
    )


def keep_going(
    controller: Controller,
    poll_s: float,
    stop: Callable[[], bool],
    report: Callable[[Cycle], None],
    trouble: Callable[[BackendError], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Run cycles every `poll_s` seconds until `stop()`; after an error wait longer, up to a minute."""
    failures = 0
    while not stop():
        began = time.monotonic()
        try:
            report(controller.cycle())
            failures = 0
        except BackendError as error:
            failures += 1
            trouble(error)
        wait = poll_s if failures == 0 else min(poll_s * 2**failures, 60.0)
        sleep(max(0.0, wait - (time.monotonic() - began)))
