"""The simulated cluster as a backend: the same protocol as a real one, on a clock of its own.

Jobs are submitted and run as a workload says. Starting takes `launch_s`; what is told can be lost or refused by a fault
that the tests inject.
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
    WAITING,
    Launch,
    Observation,
    Refusal,
    conform,
)
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
    run: int = 0  # counts launches, so that the end of an earlier one is known as such
    nodes: tuple[str, ...] = ()
    devices: tuple[int, ...] = ()


@dataclass
class SimulatedCluster:
    """A cluster that runs `workload`.

    Parameters
    ----------
    launch_s: seconds between being told to start and running. fault: called before every command with its name and job;
    may raise `BackendError` (nothing was done), or return a message (refused).
    """

    workload: Workload
    cluster: Cluster
    launch_s: float = 0.0
    fault: Callable[[str, str], str | None] | None = None
    name: str = "simulated"
    now_s: float = 0.0
    starts: list[tuple[float, str, tuple[str, ...]]] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    _jobs: dict[str, _Job] = field(default_factory=dict, init=False)
    _events: list[tuple[float, int, str, int]] = field(default_factory=list, init=False)
    _arrived: int = 0

    def __post_init__(self) -> None:
        table = self.workload.table
        self._ids: list[str] = table["job_id"].to_list()
        self._submit: list[float] = table["submit_s"].to_list()
        self._work: list[float] = table["duration_s"].to_list()

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
            self.now_s = at
            while self._events and self._events[0][0] <= at:
                _, _, job_id, run = heapq.heappop(self._events)
                job = self._jobs[job_id]
                if job.run == run:
                    self._turn(job, job_id)
            while self._arrived < len(self._submit) and self._submit[self._arrived] <= at:
                self._jobs[self._ids[self._arrived]] = _Job(self._arrived, work=self._work[self._arrived])
                self._arrived += 1
        self.now_s = to_s

    def _turn(self, job: _Job, job_id: str) -> None:
        if job.state == LAUNCHING:
            self._run(job, job_id)
        else:
            job.state, job.ended, job.work = ENDED, self.now_s, 0.0
            job.nodes = job.devices = ()

    def _run(self, job: _Job, job_id: str) -> None:
        job.state, job.started = RUNNING, self.now_s
        self.starts.append((self.now_s, job_id, job.nodes))
        heapq.heappush(self._events, (self.now_s + job.work, job.row, job_id, job.run))

    @property
    def done(self) -> bool:
        """Return whether every job has ended."""
        return self._arrived == len(self._ids) and all(job.state == ENDED for job in self._jobs.values())

    def observe(self) -> Observation:
        """Return what is so."""
        table = self.cluster.table.with_columns(open=~pl.col("node").is_in(list(self.closed)))
        shown = [
            (name, job) for name, job in self._jobs.items()
            if job.state != ENDED or (job.ended is not None and self.now_s - job.ended <= MEMORY_S)
        ]  # fmt: skip
        state = pl.DataFrame(
            {
                "state": [job.state for _, job in shown],
                "started_s": pl.Series([job.started for _, job in shown], dtype=pl.Float64),
                "ended_s": pl.Series([job.ended for _, job in shown], dtype=pl.Float64),
                "nodes": pl.Series([list(job.nodes) for _, job in shown], dtype=pl.List(pl.String)),
                "devices": pl.Series([list(job.devices) for _, job in shown], dtype=pl.List(pl.Int64)),
            }
        )
        rows = self.workload.table[[job.row for _, job in shown]].drop("status", strict=False)
        jobs = pl.concat([rows, state], how="horizontal").with_columns(limit_s=pl.col("estimate_s"))
        return Observation(self.now_s, conform(table, NODE_COLUMNS), conform(jobs, JOB_COLUMNS))

    def launch(self, launches: Sequence[Launch]) -> list[Refusal]:
        """Start waiting jobs."""
        refused = []
        for launch in launches:
            message = self.fault("start", launch.job_id) if self.fault else None
            job = self._jobs.get(launch.job_id)
            if message is None and (job is None or job.state != WAITING):
                message = "it does not wait"
            if message is not None or job is None:
                refused.append(Refusal(launch.job_id, message or ""))
                continue
            job.run += 1
            job.nodes, job.devices = launch.nodes, launch.devices
            if self.launch_s > 0:
                job.state = LAUNCHING
                heapq.heappush(self._events, (self.now_s + self.launch_s, job.row, launch.job_id, job.run))
            else:
                self._run(job, launch.job_id)
        return refused

    def stop(self, jobs: Sequence[str]) -> list[Refusal]:
        """Suspend running jobs; their progress is kept."""
        refused = []
        for name in jobs:
            message = self.fault("stop", name) if self.fault else None
            job = self._jobs[name]
            if message is None and job.state not in (RUNNING, LAUNCHING):
                message = "it does not run"
            if message is not None:
                refused.append(Refusal(name, message))
                continue
            if job.state == RUNNING and job.started is not None:
                job.work = max(job.work - (self.now_s - job.started), 0.0)
            job.run += 1
            job.state, job.nodes, job.devices = WAITING, (), ()
            job.ended = self.now_s
        return refused

    def park(self, jobs: Sequence[str]) -> list[Refusal]:
        """Take back launches."""
        return self.stop([name for name in jobs if self._jobs[name].state == LAUNCHING])


def drive(cluster: SimulatedCluster, cycle: Callable[[], float], limit: int = 1_000_000) -> None:
    """Let a controller run a simulated cluster to its end: it looks whenever something happened, and when it wants to.

    cycle: runs one and returns when the policy wants to be asked again.
    """
    wake = float("inf")
    for _ in range(limit):
        at = min(max(cluster.next_event_s(), cluster.now_s), wake)
        if at == float("inf"):
            return
        cluster.advance(at)
        wake = max(cycle(), cluster.now_s)
