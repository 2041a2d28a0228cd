"""The controller: observe, decide, tell the difference; again and again.

Every cycle starts from what is so, never from what the last one told. So it can be killed at any point and started
again, and a command that was lost, or half done, is told again or taken back by the next cycle.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from apportion.live import backend as seen
from apportion.live.aside import Aside
from apportion.live.asked import Asked, last_order, who
from apportion.live.assemble import assemble
from apportion.live.backend import Backend, BackendError, Launch, Observation, Refusal
from apportion.live.decide import Decisions, SituationError, decide
from apportion.live.learn import Marks, learn
from apportion.live.memory import Memory
from apportion.live.situation import ENDED, Situation
from apportion.live.store import Entry
from apportion.policies.protocol import Allocator, Policy
from apportion.predict.run_time import RunTimes

TOLD, REFUSED, UNKNOWN, WOULD = "told", "refused", "unknown", "would"
"""Outcomes of a command: done or on its way, not done, no answer came, and not told because we only watch."""
LAUNCH_TIMEOUT_S = 120.0
"""A job that was told to start and does not run after so long is parked and decided anew; a start that waits so long
for a stopped job to be gone is given up."""


@dataclass(frozen=True)
class Cycle:
    """What one cycle saw and did.

    Parameters
    ----------
    number, time_s: of the cycle. waiting, running: jobs seen. started, stopped, parked: jobs told.
    deferred: starts that wait for a stopped job to be gone. refused: what the cluster did not do.
    unknown: jobs that something was told of, and no answer came.
    observe_s, decide_s, act_s: seconds each step took. wake_s: when the policy wants to be asked again.
    observation: what was seen.
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
    unknown: tuple[str, ...] = ()
    observe_s: float = 0.0
    decide_s: float = 0.0
    act_s: float = 0.0
    wake_s: float = np.inf
    observation: Observation | None = field(default=None, repr=False)

    def commands(self) -> list[tuple[str, str, tuple[str, ...], str, str]]:
        """Return what was told, in order: action, job, nodes, outcome, message."""
        messages = {answer.job_id: answer.message for answer in self.refused}
        unknown = set(self.unknown)
        told = [("park", job, ()) for job in self.parked] + [("stop", job, ()) for job in self.stopped]
        told += [("start", launch.job_id, launch.nodes) for launch in self.started]  # type: ignore[misc]
        return [
            (action, job, nodes, UNKNOWN if job in unknown else REFUSED if job in messages else TOLD,
             messages.get(job, ""))
            for action, job, nodes in told
        ]  # fmt: skip


@dataclass
class Controller:
    """Puts a policy in charge of a backend.

    Parameters
    ----------
    backend, policy, memory: what to run, how, and where to remember. backfill, seed: as in a simulation.
    run_times: predicts run times from the history; default: a look-up by user and size.
    watching: the backend carries nothing out (`Recorder`): what would be told is remembered once, not in every cycle.
    """

    backend: Backend
    policy: Policy
    memory: Memory
    backfill: int = 0
    seed: int = 0
    run_times: RunTimes = field(default_factory=RunTimes)
    watching: bool = False
    cycles: int = 0
    _would: frozenset[tuple[str, str, tuple[str, ...]]] = frozenset()
    """What was not told in the last cycle, because we only watch."""
    _launching: dict[str, float] = field(default_factory=dict)
    """When each job now launching was first seen so."""
    _promised: dict[str, tuple[Launch, float]] = field(default_factory=dict)
    """Starts that were decided, and when, and wait for a stopped job to be gone."""
    _order: dict[str, int] = field(default_factory=dict)
    """The order of the last commands."""
    _learnt: Marks | None = None
    """The last observation that was learnt."""
    _aside: Aside = field(default_factory=Aside)
    _asked: Asked = field(init=False)
    _quiet: tuple[tuple[Any, ...], float, float] | None = None
    """What was so when the policy last wanted nothing, from when on, and until when that holds."""

    def __post_init__(self) -> None:
        self._asked = Asked.of(self.memory.state(), self.policy)
        self._order = last_order(self.memory)

    def cycle(self) -> Cycle:
        """Observe, decide and act once.

        Raises
        ------
        BackendError: the cluster did not answer; nothing is lost, try again.
        """
        began = time.perf_counter()
        observation = self.backend.observe()
        observed = time.perf_counter()
        before, self._learnt = self._learnt, None
        self._learnt = learn(self.memory, observation, self._order, before)
        self._keep_promises(observation)
        decisions = self._decisions(observation)
        decided = time.perf_counter()
        return self._act(observation, decisions, (observed - began, decided - observed))

    def _decisions(self, observation: Observation) -> Decisions:
        """Ask the policy if anything has changed since it was asked last, or it wants to be asked now.

        As in a simulation nothing is decided between events: a policy that weighs jobs by how long they ran would
        otherwise change its mind with every look.
        """
        now = observation.time_s
        picture = (_changing(observation), self._aside.until(now), tuple(self._promised))
        if self._quiet is not None and self._quiet[0] == picture and self._quiet[1] <= now < self._quiet[2]:
            return Decisions((), (), self._quiet[2])
        decisions = self._decide(self.situation(observation))
        told = decisions.stops or decisions.starts or self._promised
        # what was told may be lost: then nothing changes, and the policy must be asked again
        self._quiet = None if told else (picture, now, decisions.wake_s)
        return decisions

    def situation(self, observation: Observation) -> Situation:
        """Return what the policy is shown."""
        return assemble(
            observation,
            self.memory,
            self.run_times,
            promised={job: launch for job, (launch, _) in self._promised.items()},
            aside=self._aside.until(observation.time_s),
            name=self.backend.name,
        )

    def _keep_promises(self, observation: Observation) -> None:
        """Forget promised starts whose job no longer waits or whose nodes are closed, and those that took too long."""
        if not self._promised:
            return
        now = observation.time_s
        state = _states(observation.jobs, pl.col("job_id").is_in(list(self._promised)))
        closed = set(observation.nodes.filter(~pl.col("open"))["node"])
        self._promised = {
            job: (launch, since)
            for job, (launch, since) in self._promised.items()
            # a job may have been stopped to be started elsewhere, and be on its way out
            if state.get(job) in (seen.WAITING, seen.STOPPING)
            and not closed & set(launch.nodes)
            and 0 <= now - since <= LAUNCH_TIMEOUT_S
        }

    def _decide(self, situation: Situation) -> Decisions:
        """Ask the policy; a node that gives more than it has takes nothing new until that is over."""
        if isinstance(self.policy.order, Allocator):
            if situation.jobs.height == situation.count(ENDED):
                return Decisions((), ())  # its next round follows the next arrival
            if self._asked.holds(situation, self.policy.order):
                return Decisions((), (), self._asked.until_s)
        for _ in range(len(situation.cluster) + len(self._promised) + 1):
            try:
                decisions = decide(situation, self.policy, backfill=self.backfill, seed=self.seed)
            except SituationError as error:
                situation = _without(situation, error.job_id, promised=error.job_id in self._promised)
                self._promised.pop(error.job_id, None)
                continue
            if isinstance(self.policy.order, Allocator):
                self._asked = Asked(situation.now_s, decisions.wake_s, who(situation))
            return decisions
        raise BackendError("no node is as it should be")

    def _act(self, observation: Observation, decisions: Decisions, took: tuple[float, float]) -> Cycle:
        jobs, now = observation.jobs, observation.time_s
        began = time.perf_counter()
        counts = Counter(dict(jobs["state"].value_counts().iter_rows()))
        # what is only promised has not started: to stop it is to forget it
        stops = tuple(job for job in decisions.stops if job not in self._promised)
        for job in set(decisions.stops) - set(stops):
            del self._promised[job]
        # most jobs wait or run: what is rare is looked for once
        rare = _states(jobs, pl.col("state").is_in([seen.LAUNCHING, seen.STOPPING, seen.STRAY]))
        parked = self._to_park(rare, now)
        telling = _Telling(now, self.cycles)
        telling.tell("park", parked, self.backend.park)
        telling.tell("stop", stops, self.backend.stop)
        launches, deferred = self._sort(jobs, rare, stops, telling, decisions, now)
        telling.launch(launches, self.backend.launch)
        self._order = {job: i for i, job in enumerate((*stops, *(launch.job_id for launch in launches)))}
        if self._aside.jobs:
            self._aside.forget(_states(jobs, pl.col("job_id").is_in(self._aside.jobs)))
        self._aside.note(telling.refused, [launch.job_id for launch in launches], now)
        self.memory.log(self._only_watched(telling.entries) if self.watching else telling.entries)
        # after it was told: killed in between, the policy is asked again and not taken to have got what it wanted
        if decisions.state:
            self.memory.keep(decisions.state | {"asked": astuple(self._asked)})
        cycle = Cycle(
            self.cycles,
            now,
            counts[seen.WAITING],
            counts[seen.RUNNING],
            tuple(launches),
            stops,
            parked,
            tuple(deferred),
            tuple(telling.refused),
            tuple(telling.unknown),
            *took,
            time.perf_counter() - began,
            decisions.wake_s,
            observation,
        )
        self.cycles += 1
        return cycle

    def _sort(
        self,
        jobs: pl.DataFrame,
        states: dict[str, str],
        stops: tuple[str, ...],
        telling: _Telling,
        decisions: Decisions,
        now: float,
    ) -> tuple[list[Launch], list[str]]:
        """Return what can be launched now, and what has to wait until a stopped job is gone (promised)."""
        on_their_way = {job for job, state in states.items() if state == seen.STOPPING}
        at_once = getattr(self.backend, "stops_at_once", False)
        done = set(stops) - telling.failed if at_once else set()
        leaving = (on_their_way | set(stops)) - done
        at = jobs.filter(pl.col("job_id").is_in(list(leaving))).select("nodes").explode("nodes") if leaving else None
        busy = set(at["nodes"].drop_nulls()) if at is not None else set()
        wanted = [(launch, since) for launch, since in self._promised.values()]
        wanted += [(Launch(start.job_id, start.nodes, start.devices), now) for start in decisions.starts]
        launches: list[Launch] = []
        self._promised = {}
        for launch, since in wanted:
            if launch.job_id in leaving or (busy and not busy.isdisjoint(launch.nodes)):
                self._promised[launch.job_id] = (launch, since)
            else:
                launches.append(replace(launch, rank=len(launches)))
        return launches, list(self._promised)

    def _only_watched(self, entries: list[Entry]) -> list[Entry]:
        """Return what would be told now and would not have been in the last cycle."""
        before, self._would = self._would, frozenset((entry[2], entry[3], entry[4]) for entry in entries)
        return [(*entry[:5], WOULD, "") for entry in entries if (entry[2], entry[3], entry[4]) not in before]

    def _to_park(self, states: dict[str, str], now: float) -> tuple[str, ...]:
        launching = [job for job, state in states.items() if state == seen.LAUNCHING]
        self._launching = {job: min(self._launching.get(job, now), now) for job in launching}
        late = [job for job, since in self._launching.items() if now - since > LAUNCH_TIMEOUT_S]
        for job in late:
            self._aside.refused(job, now)
        return (*(job for job, state in states.items() if state == seen.STRAY), *late)


@dataclass
class _Telling:
    """Tells the cluster, and keeps what came of it."""

    now_s: float
    cycle: int
    entries: list[Entry] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def failed(self) -> set[str]:
        """Jobs of which it is not sure that it was done."""
        return {answer.job_id for answer in self.refused} | set(self.unknown)

    def tell(self, action: str, jobs: tuple[str, ...], call: Callable[[Sequence[str]], list[Refusal]]) -> None:
        """Stop or park jobs."""
        if jobs:
            self._note(action, [(job, ()) for job in jobs], lambda: call(jobs))

    def launch(self, launches: list[Launch], call: Callable[[Sequence[Launch]], list[Refusal]]) -> None:
        """Start jobs."""
        if launches:
            self._note("start", [(launch.job_id, launch.nodes) for launch in launches], lambda: call(launches))

    def _note(self, action: str, jobs: list[tuple[str, tuple[str, ...]]], call: Callable[[], list[Refusal]]) -> None:
        lost, answers = "", []
        try:
            answers = call()
        except BackendError as error:
            lost = str(error)
            self.unknown += [job for job, _ in jobs]
        self.refused += answers
        messages = {answer.job_id: answer.message for answer in answers}
        for job, nodes in jobs:
            outcome = UNKNOWN if lost else REFUSED if job in messages else TOLD
            self.entries.append((self.now_s, self.cycle, action, job, nodes, outcome, lost or messages.get(job, "")))


def _states(jobs: pl.DataFrame, wanted: pl.Expr) -> dict[str, str]:
    """Return the states of some jobs."""
    return dict(jobs.select("job_id", "state").filter(wanted).iter_rows())


def _changing(observation: Observation) -> tuple[Any, ...]:
    """Return what decisions depend on: who is in which state where, and which nodes are open."""
    jobs, nodes = observation.jobs, observation.nodes
    now = jobs.select("job_id", "state", "started_s", "nodes").hash_rows(seed=1)
    return (now.to_numpy().tobytes(), nodes.hash_rows(seed=1).to_numpy().tobytes())


def _without(situation: Situation, job: str, promised: bool) -> Situation:
    """Return the situation without a running job whose places cannot be, its nodes closed (if it really runs)."""
    nodes = set(situation.places.filter(pl.col("job_id") == job)["node"])
    return replace(
        situation,
        jobs=situation.jobs.filter(pl.col("job_id") != job),
        places=situation.places.filter(pl.col("job_id") != job),
        closed=situation.closed if promised else situation.closed | nodes,
    )
