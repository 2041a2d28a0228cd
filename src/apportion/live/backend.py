"""What a cluster has to offer to be run by a policy: it can be observed, and told to start, stop and park jobs.

A backend has no memory and no opinion: it says what is so, and does what it is told or says why not. The controller
asks again and again, compares what is so with what the policy wants, and tells the difference; a command that was lost
is told again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import polars as pl

from apportion.model.errors import ApportionError

WAITING, BLOCKED, LAUNCHING, RUNNING, STOPPING, STRAY, ENDED = (
    "waiting", "blocked", "launching", "running", "stopping", "stray", "ended",
)  # fmt: skip
"""States of an observed job. `waiting`: ours to start. `blocked`: not to be started yet (held, a dependency, a begin
time). `launching`: told to start, not running yet. `stopping`: on its way out, still holds its nodes. `stray`: it waits
where the cluster itself could start it, and has to be parked. `ended`: over."""

NODE_COLUMNS: dict[str, pl.DataType] = {
    "node": pl.String(),
    "gpu_model": pl.String(),
    "gpus": pl.Int32(),
    "cpu_milli": pl.Int64(),
    "memory_mib": pl.Int64(),
    "group": pl.String(),
    "open": pl.Boolean(),  # takes new jobs
    "reason": pl.String(),  # why not
}
JOB_COLUMNS: dict[str, pl.DataType] = {
    "job_id": pl.String(),
    "user": pl.String(),
    "group": pl.String(),
    "name": pl.String(),
    "submit_s": pl.Float64(),
    "tasks": pl.Int32(),
    "gpus": pl.Int32(),  # of one task
    "gpu_milli": pl.Int32(),
    "cpu_milli": pl.Int64(),
    "memory_mib": pl.Int64(),
    "gpu_models": pl.List(pl.String()),
    "apart": pl.Boolean(),
    "priority": pl.Int32(),
    "limit_s": pl.Float64(),  # time limit, null = none
    "preemptible": pl.Boolean(),
    "state": pl.String(),
    "why": pl.String(),  # what the cluster says of a job that waits or is blocked
    "started_s": pl.Float64(),  # of the current or last run
    "ended_s": pl.Float64(),
    "nodes": pl.List(pl.String()),  # of its tasks, while it holds any
    "devices": pl.List(pl.Int64()),  # bit sets of its tasks' devices, null = not known
}


@dataclass(frozen=True)
class Observation:
    """What is so, as far as the cluster says.

    Parameters
    ----------
    time_s: seconds since the epoch (or of a simulated clock). nodes: `NODE_COLUMNS`. jobs: `JOB_COLUMNS`, those that
    wait or run and those that ended lately.
    """

    time_s: float
    nodes: pl.DataFrame
    jobs: pl.DataFrame


@dataclass(frozen=True)
class Launch:
    """Start this job on these nodes; `rank` orders launches of one cycle (0 first)."""

    job_id: str
    nodes: tuple[str, ...]
    devices: tuple[int, ...]
    rank: int = 0


@dataclass(frozen=True)
class Refusal:
    """What the cluster did not do, in its words."""

    job_id: str
    message: str


class BackendError(ApportionError):
    """The cluster cannot be reached or does not answer as it should; worth trying again."""


@runtime_checkable
class Backend(Protocol):
    """A cluster; see the module's text. Every call may raise `BackendError`, and may have done part of the work.

    One whose stopped jobs are gone when `stop` returns says so with an attribute `stops_at_once = True`; the controller
    then starts others in their place in the same cycle.
    """

    @property
    def name(self) -> str:
        """Return the name of the cluster."""
        ...

    def observe(self) -> Observation:
        """Return what is so."""
        ...

    def launch(self, launches: Sequence[Launch]) -> list[Refusal]:
        """Start waiting jobs, each on just these nodes, all of it or nothing."""
        ...

    def stop(self, jobs: Sequence[str]) -> list[Refusal]:
        """Suspend running jobs: let them save their work, take their devices, and let them wait again."""
        ...

    def park(self, jobs: Sequence[str]) -> list[Refusal]:
        """Let stray or launching jobs wait where only we start them."""
        ...


@dataclass
class Recorder:
    """A backend that only watches: it passes on what is so and keeps what it was told to do in `told`.

    Parameters
    ----------
    inner: what is watched. theirs: jobs that wait where the cluster starts them itself are ours to think about
    (shadow mode), instead of having to be parked first.
    """

    inner: Backend
    theirs: bool = False
    told: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    stops_at_once: bool = True

    @property
    def name(self) -> str:
        """Return the name of the cluster."""
        return self.inner.name

    def observe(self) -> Observation:
        """Return what is so."""
        seen = self.inner.observe()
        if not self.theirs:
            return seen
        return replace(seen, jobs=seen.jobs.with_columns(pl.col("state").replace({STRAY: WAITING})))

    def launch(self, launches: Sequence[Launch]) -> list[Refusal]:
        """Keep the launches."""
        self.told += [("start", launch.job_id, launch.nodes) for launch in launches]
        return []

    def stop(self, jobs: Sequence[str]) -> list[Refusal]:
        """Keep the stops."""
        self.told += [("stop", job, ()) for job in jobs]
        return []

    def park(self, jobs: Sequence[str]) -> list[Refusal]:
        """Keep the parkings."""
        self.told += [("park", job, ()) for job in jobs]
        return []


def conform(frame: pl.DataFrame, columns: dict[str, pl.DataType]) -> pl.DataFrame:
    """Return the frame with just these columns and types; missing ones are null, but for obvious defaults."""
    defaults = {"gpu_milli": 1000, "tasks": 1, "priority": 0, "apart": False, "preemptible": True, "open": True}
    out = []
    for name, kind in columns.items():
        value = pl.col(name) if name in frame.columns else pl.lit(None)
        if name in defaults:
            value = value.fill_null(defaults[name])
        if name in ("user", "group", "name", "why", "reason") and columns is JOB_COLUMNS:
            value = value.fill_null("")
        if name == "gpu_models":
            value = value.cast(kind).fill_null([])
        out.append(value.cast(kind).alias(name))
    return frame.select(out)
