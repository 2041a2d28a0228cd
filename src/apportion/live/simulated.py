"""The simulated cluster as a backend: the same protocol as a real one, on a clock of its own.

Jobs are submitted and run as a workload says. It keeps its own books: a start that its devices cannot carry is refused.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl

from apportion.live.backend import (
    ENDED,
    JOB_COLUMNS,
    LAUNCHING,
    NODE_COLUMNS,
    RUNNING,
    STOPPING,
    WAITING,
    Launch,
    Observation,
    Refusal,
    conform,
)
from apportion.live.ledger import Ledger
from apportion.model.cluster import Cluster
from apportion.model.workload import Workload

MEMORY_S = 600.0
"""How long ended jobs are shown."""


@dataclass
class _Job:
    row: int
    state: str = WAITING
    work: float = 0.0  # seconds still to run
    started: float | None = None
    ended: float | None = None
    run: int = 0  # counts changes of state, so that an event meant for an earlier one is known as such
    nodes: tuple[str, ...] = ()
    devices: tuple[int, ...] = ()


@dataclass
class SimulatedCluster:
    """A cluster that runs `workload`.

    Parameters
    ----------
    launch_s: seconds between being told to start and running. stop_s: seconds a stopped job holds its devices.
    closed: nodes that take nothing new. hidden: jobs that are not shown (as a cluster that lost its state would).
    starts: every start of a run so far: time, job, nodes.
    """

    workload: Workload
    cluster: Cluster
    launch_s: float = 0.0
    stop_s: float = 0.0
    name: str = "simulated"
    now_s: float = 0.0
    starts: list[tuple[float, str, tuple[str, ...]]] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    _jobs: dict[str, _Job] = field(default_factory=dict, init=False)
    _shown: dict[str, _Job] = field(default_factory=dict, init=False)
    _events: list[tuple[float, int, str, int]] = field(default_factory=list, init=False)
    _arrived: int = 0

    def __post_init__(self) -> None:
        table = self.workload.table
        self._ids: list[str] = table["job_id"].to_list()
        self._submit: list[float] = table["submit_s"].to_list()
        self._work: list[float] = table["duration_s"].to_list()
        self._ledger = Ledger(self.workload, self.cluster)
        self._nodes = conform(self.cluster.table, NODE_COLUMNS)
        rows = self.workload.table.drop("status", strict=False).with_columns(limit_s=pl.col("estimate_s"))
        self._table = conform(rows, JOB_COLUMNS)

    @property
    def stops_at_once(self) -> bool:
        """Return whether a stopped job is gone when `stop` returns."""
        return self.stop_s == 0

    def next_event_s(self) -> float:
        """Return when something happens next by itself (inf = never)."""
        while self._events and self._jobs[self._events[0][2]].run != self._events[0][3]:
            heapq.heappop(self._events)
        end = self._events[0][0] if self._events else float("inf")
        submit = self._submit[self._arrived] if self._arrived < len(self._submit) else float("inf")
        return min(end, submit)

    def advance(self, to_s: float) -> None:
        """Let everything happen that happens up to and at `to_s`."""
        while (at := self.next_event_s()) <= to_s:
            self.now_s = max(at, self.now_s)
            while self._events and self._events[0][0] <= at:
                _, _, job_id, run = heapq.heappop(self._events)
                job = self._jobs[job_id]
                if job.run == run:
                    self._turn(job, job_id)
            while self._arrived < len(self._submit) and self._submit[self._arrived] <= at:
                job = _Job(self._arrived, work=self._work[self._arrived])
                self._jobs[self._ids[self._arrived]] = self._shown[self._ids[self._arrived]] = job
                self._arrived += 1
        self.now_s = max(to_s, self.now_s)

    def _turn(self, job: _Job, job_id: str) -> None:
        """Do what was due to happen to a job in the state it is in."""
        if job.state == LAUNCHING:
            self._run(job, job_id)
        elif job.state == STOPPING:
            self._leave(job, WAITING)
        else:
            job.work = 0.0
            self._leave(job, ENDED)

    def _run(self, job: _Job, job_id: str) -> None:
        job.state, job.started = RUNNING, self.now_s
        self.starts.append((self.now_s, job_id, job.nodes))
        self._due(job, job_id, self.now_s + job.work)

    def _due(self, job: _Job, job_id: str, at_s: float) -> None:
        heapq.heappush(self._events, (at_s, job.row, job_id, job.run))

    def _leave(self, job: _Job, state: str) -> None:
        self._ledger.give(job.row, job.nodes, job.devices)
        job.state, job.ended, job.nodes, job.devices = state, self.now_s, (), ()
        job.run += 1

    def fail(self, node: str) -> None:
        """Close a node and put the jobs on it back into the queue, as if they had never run."""
        self.closed.add(node)
        for job in self._jobs.values():
            if node in job.nodes:
                self._leave(job, WAITING)
                job.work = self._work[job.row]

    def ended(self) -> dict[str, float]:
        """Return when each job that is over ended."""
        return {name: job.ended for name, job in self._jobs.items() if job.state == ENDED and job.ended is not None}

    @property
    def done(self) -> bool:
        """Return whether every job has ended."""
        return self._arrived == len(self._ids) and all(job.state == ENDED for job in self._shown.values())

    def observe(self) -> Observation:
        """Return what is so."""
        for name, job in list(self._shown.items()):
            if job.state == ENDED and job.ended is not None and self.now_s - job.ended > MEMORY_S:
                del self._shown[name]
        shown = [job for name, job in self._shown.items() if name not in self.hidden]
        rows = self._table[[job.row for job in shown]]
        jobs = rows.with_columns(
            pl.Series("state", [job.state for job in shown], dtype=pl.String),
            pl.Series("started_s", [job.started for job in shown], dtype=pl.Float64),
            pl.Series("ended_s", [job.ended for job in shown], dtype=pl.Float64),
            _lists("nodes", [job.nodes for job in shown]),
            _lists("devices", [job.devices for job in shown]).cast(pl.List(pl.Int64)),
        )
        nodes = self._nodes
        if self.closed:
            shut = pl.col("node").is_in(list(self.closed))
            nodes = nodes.with_columns(
                open=~shut, reason=pl.when(shut).then(pl.lit("closed")).otherwise(pl.lit(None, pl.String))
            )
        return Observation(self.now_s, nodes, jobs)

    def launch(self, launches: Sequence[Launch]) -> list[Refusal]:
        """Start waiting jobs, in the order of their ranks."""
        refused = []
        for launch in sorted(launches, key=lambda one: one.rank):
            job = self._jobs.get(launch.job_id)
            wrong = self._launch(launch, job)
            if wrong is not None:
                refused.append(Refusal(launch.job_id, wrong))
        return refused

    def _launch(self, launch: Launch, job: _Job | None) -> str | None:
        if job is None:
            return "there is no such job"
        if job.state != WAITING:
            return f"it does not wait ({job.state})"
        shut = self.closed & set(launch.nodes)
        if shut:
            return f"node {min(shut)} is closed"
        wrong = self._ledger.take(job.row, launch.nodes, launch.devices)
        if wrong is not None:
            return wrong
        job.run += 1
        job.nodes, job.devices = launch.nodes, launch.devices
        if self.launch_s > 0:
            job.state = LAUNCHING
            self._due(job, launch.job_id, self.now_s + self.launch_s)
        else:
            self._run(job, launch.job_id)
        return None

    def stop(self, jobs: Sequence[str]) -> list[Refusal]:
        """Suspend running jobs; their progress is kept."""
        return self._take_back(jobs, (RUNNING, LAUNCHING), "it does not run")

    def park(self, jobs: Sequence[str]) -> list[Refusal]:
        """Take back launches."""
        return self._take_back(jobs, (LAUNCHING,), "it is not being launched")

    def _take_back(self, names: Sequence[str], states: tuple[str, ...], wrong: str) -> list[Refusal]:
        refused = []
        for name in names:
            job = self._jobs.get(name)
            if job is None or job.state not in states:
                refused.append(Refusal(name, "there is no such job" if job is None else f"{wrong} ({job.state})"))
                continue
            if job.state == RUNNING and job.started is not None:
                job.work = max(job.work - (self.now_s - job.started), 0.0)
                if self.stop_s > 0:
                    job.state = STOPPING
                    job.run += 1
                    self._due(job, name, self.now_s + self.stop_s)
                    continue
            self._leave(job, WAITING)
        return refused


def _lists(name: str, rows: Sequence[tuple[object, ...]]) -> pl.Series:
    """Return a column of lists of texts; ten times as fast as building it from lists of Python objects."""
    text = pl.Series(name, [",".join(map(str, row)) if row else None for row in rows], dtype=pl.String)
    return text.str.split(",").fill_null(pl.lit([], dtype=pl.List(pl.String)))


def drive(cluster: SimulatedCluster, cycle: Callable[[], float], limit: int = 1_000_000) -> int:
    """Let a controller run a simulated cluster to its end: it looks whenever something happened, and when it wants to.

    Return the number of cycles.

    Parameters
    ----------
    cycle: runs one and returns when the policy wants to be asked again.
    """
    wake = float("inf")
    for number in range(limit):
        if cluster.done:
            return number
        at = min(max(cluster.next_event_s(), cluster.now_s), wake)
        if at == float("inf"):
            return number
        cluster.advance(at)
        wake = max(cycle(), cluster.now_s)
    return limit
