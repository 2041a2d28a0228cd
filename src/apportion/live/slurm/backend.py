"""A Slurm cluster: jobs are submitted to a partition that is down, and started by moving them to the main one.

One change of a job names the nodes and the number of nodes (so that Slurm adds none), moves the job and marks it as
ours, all at once. A job is suspended by requeueing it: Slurm sends SIGTERM, then SIGKILL `KillWait` seconds later, so a
job that saves its work on SIGTERM, or now and then, goes on where it was. A job that wants another signal earlier says
so: `--comment=checkpoint:USR1`. Slurm's own `suspend` is of no use here: it does not free the GPUs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl

from apportion.live.backend import RUNNING, STOPPING, BackendError, Launch, Observation, Refusal
from apportion.live.slurm import nodes as node_rows
from apportion.live.slurm.access import Access, Change, Command, Requeue, Row
from apportion.live.slurm.client import Slurm
from apportion.live.slurm.demand import Site
from apportion.live.slurm.jobs import MARK, PENDING, View, job_frame, may_begin_s, refused, signal_of
from apportion.live.slurm.names import JOB_ID, SIGNALS, checked

TOP_PRIORITY = 4_294_960_000
"""Priority of the first job launched in a cycle: above all that Slurm gives by itself."""

COOL_S = 60.0
"""A job that Slurm would not start is not tried again for so long."""

SHORT_COOL_S = 5.0
"""The same for one that only waits for another task of its array: Slurm says so itself a moment later."""


@dataclass
class SlurmBackend:
    """A Slurm cluster as a backend.

    What it keeps between calls may be lost without harm: after a restart a job whose grace was running out keeps
    running until the policy decides again, and a job that Slurm would not start is tried once more.

    Parameters
    ----------
    name: of the cluster. main: partition where jobs run. wait: partition that is down, where they wait.
    slurm: how to reach it, `Slurm` or `Rest`. grace_s: seconds between the signal a job asked for and its requeueing.
    signal: sent before a requeue to jobs that asked for none; a script that does not handle it dies of it.

    Raises
    ------
    BackendError: a name of a partition or of a signal is none.
    """

    name: str = "slurm"
    main: str = "main"
    wait: str = "wait"
    slurm: Access = field(default_factory=Slurm)
    grace_s: float = 30.0
    signal: str | None = None
    clock: Callable[[], float] = time.time
    _stopping: dict[str, float] = field(default_factory=dict, init=False)
    """When each job that was sent a signal is requeued."""
    _cooling: dict[str, tuple[float, str]] = field(default_factory=dict, init=False)
    """Jobs that Slurm would not start: until when they are left alone, and why."""
    _rows: dict[str, Row] = field(default_factory=dict, init=False)
    """The jobs when they were last looked at."""

    def __post_init__(self) -> None:
        checked(self.main)
        checked(self.wait)
        if self.main == self.wait:
            raise BackendError(f"found {self.main!r} for both partitions, expected two")
        if self.signal is not None and self.signal not in SIGNALS:
            raise BackendError(f"found signal {self.signal!r}, expected one of {', '.join(SIGNALS)}")

    def observe(self) -> Observation:
        """Return what is so; jobs whose grace is over are requeued first.

        Raises
        ------
        BackendError: Slurm does not answer.
        """
        self._requeue_due()
        nodes = self.slurm.node_rows(self.main)
        frame = node_rows.node_frame(nodes)
        if frame.is_empty():
            raise BackendError(f"partition {self.main} has no nodes, or there is no such partition")
        rows, excluded = self.slurm.job_rows(self.wait)
        now = self.clock()
        self._rows = {row["JobArrayID"]: row for row in rows}
        self._forget(now)
        site = Site(
            dict(frame.select("node", "gpu_model").iter_rows()),
            node_rows.features_of(nodes),
            int(frame["cpu_milli"].max() or 0) // 1000,  # type: ignore[arg-type]
            node_rows.threads_of(nodes),
            int(frame["gpus"].max() or 0),  # type: ignore[arg-type]
        )
        cooling = {job: why for job, (_, why) in self._cooling.items()}
        jobs = job_frame(rows, View(self.main, self.wait, now, site, excluded, cooling))
        leaving = pl.col("job_id").is_in(list(self._stopping)) & (pl.col("state") == RUNNING)
        jobs = jobs.with_columns(state=pl.when(leaving).then(pl.lit(STOPPING)).otherwise("state"))
        return Observation(now, frame, jobs)

    def launch(self, launches: Sequence[Launch]) -> list[Refusal]:
        """Start waiting jobs, each on just these nodes; Slurm chooses the devices.

        Raises
        ------
        BackendError: Slurm does not answer; some may have been started.
        """
        now = self.clock()
        changes, refusals = [], []
        for launch in launches:
            nodes = tuple(dict.fromkeys(launch.nodes))
            priority = TOP_PRIORITY - min(launch.rank, 50_000)
            try:
                change = Change(launch.job_id, self.main, nodes, priority, MARK, self._may_begin_s(launch.job_id, now))
            except BackendError as error:
                refusals.append(Refusal(launch.job_id, str(error)))
                continue
            if nodes:
                changes.append(change)
            else:
                refusals.append(Refusal(launch.job_id, "found no nodes"))
        return refusals + self._tell(changes)

    def stop(self, jobs: Sequence[str]) -> list[Refusal]:
        """Suspend running jobs: those that asked for a signal get it and `grace_s` seconds, the others go at once.

        Raises
        ------
        BackendError: Slurm does not answer; some may have been told.
        """
        due = self.clock() + self.grace_s
        signals: dict[str, list[str]] = {}
        at_once = []
        pending = []
        for job in jobs:
            row = self._rows.get(job)
            if row is not None and row["StateCompact"] in PENDING:
                pending.append(job)
                continue
            wanted = (row and signal_of(row)) or self.signal
            if wanted is not None and self.grace_s > 0:
                signals.setdefault(wanted, []).append(job)
            else:
                at_once.append(job)
        for name, told in signals.items():
            self.slurm.send_signal(told, name)
            self._stopping.update(dict.fromkeys(told, due))
        return self.park(pending) + self._requeue(at_once)

    def park(self, jobs: Sequence[str]) -> list[Refusal]:
        """Move pending jobs back to the waiting partition.

        Raises
        ------
        BackendError: Slurm does not answer; some may have been moved.
        """
        now = self.clock()
        for job in jobs:
            row = self._rows.get(job)
            if row is not None and refused(row):
                cool = SHORT_COOL_S if row["Reason"] == "JobArrayTaskLimit" else COOL_S
                self._cooling[job] = (now + cool, row["Reason"])
        sound = [job for job in jobs if JOB_ID.fullmatch(job)]
        return self._tell([Change(job, self.wait, begin_s=self._may_begin_s(job, now)) for job in sound])

    def _may_begin_s(self, job: str, now: float) -> int | None:
        row = self._rows.get(job)
        return None if row is None else may_begin_s(row, now)

    def _requeue(self, jobs: Sequence[str]) -> list[Refusal]:
        """Requeue running jobs and move them to the waiting partition in the same breath."""
        sound = [job for job in jobs if JOB_ID.fullmatch(job)]
        commands: list[Command] = [one for job in sound for one in (Requeue(job), Change(job, self.wait))]
        answers = self.slurm.carry_out(commands)
        # where only the move was refused, the job shows up as a stray and is parked later
        return [Refusal(job, answer) for job, answer in zip(sound, answers[::2], strict=True) if answer]

    def _requeue_due(self) -> None:
        now = self.clock()
        due = [job for job, at in self._stopping.items() if at <= now]
        if due:
            self._requeue(due)
            for job in due:
                self._stopping.pop(job, None)

    def _forget(self, now: float) -> None:
        """Forget jobs that are gone, and grace that is over."""
        running = {job for job, row in self._rows.items() if row["StateCompact"] in ("R", "CG", "CF", "S", "ST")}
        self._stopping = {job: at for job, at in self._stopping.items() if job in running}
        self._cooling = {
            job: kept for job, kept in self._cooling.items() if kept[0] > now and job in self._rows
        }  # fmt: skip

    def _tell(self, changes: Sequence[Change]) -> list[Refusal]:
        answers = self.slurm.carry_out(changes)
        return [Refusal(one.job, answer) for one, answer in zip(changes, answers, strict=True) if answer]
