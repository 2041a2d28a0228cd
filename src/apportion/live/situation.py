"""What a controller sees: the nodes, the queue, and what runs where, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.workload import Workload

PENDING, RUNNING, ENDED = "pending", "running", "ended"

STATE_COLUMNS: dict[str, pl.DataType] = {
    "number": pl.Int64(),  # of the job, the same in every situation
    "state": pl.String(),  # pending, running or ended
    "started_s": pl.Float64(),  # of the current run, null while pending
    "attained_s": pl.Float64(),  # seconds it ran in earlier runs
    "preemptions": pl.Int32(),
    "sequence": pl.Int64(),  # the order in which jobs of equal times came to be as they are
}
"""Of `Situation.jobs`, beside the columns of a workload."""

PLACE_COLUMNS: dict[str, pl.DataType] = {
    "job_id": pl.String(),
    "node": pl.String(),
    "devices": pl.Int64(),  # bit set, -1 = not known
}
"""Of `Situation.places`: a row for every piece of every running job, in the order of its pieces."""


@dataclass(frozen=True)
class Situation:
    """A cluster and its queue at one moment.

    Parameters
    ----------
    now_s: seconds, on the clock that all times of the situation are on.
    cluster: all nodes. closed: names of nodes that take nothing new (down, drained, reserved for others).
    jobs: jobs that ended lately (from which typical tasks and run times are known), running and pending ones: the
        columns of a workload, `duration_s` being the run time as predicted, and those of `STATE_COLUMNS`.
    places: see `PLACE_COLUMNS`.
    served: by user and by group, GPU-seconds received before the current runs, for orders that share.
    state: what the policy in charge remembers, see `live.recall`; {} = nothing.
    """

    now_s: float
    cluster: Cluster
    jobs: pl.DataFrame
    places: pl.DataFrame
    closed: frozenset[str] = frozenset()
    served: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        now_s: float,
        cluster: Cluster,
        jobs: pl.DataFrame,
        places: pl.DataFrame,
        closed: frozenset[str] = frozenset(),
        served: Mapping[str, Mapping[str, float]] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> Situation:
        """Conform the tables; ended jobs come first, then running ones by start, then pending ones by submission
        (by `sequence`, where it is given: a suspended job waits behind those that came before it was).

        Raises
        ------
        InputError: a value is missing, of the wrong type or out of range.
        """
        defaults = {
            "number": pl.int_range(pl.len(), dtype=pl.Int64),
            "state": pl.lit(PENDING),
            "started_s": pl.lit(None, pl.Float64),
            "attained_s": pl.lit(0.0),
            "preemptions": pl.lit(0, pl.Int32),
            "sequence": pl.lit(0, pl.Int64),
        }
        jobs = jobs.with_columns(**{name: value for name, value in defaults.items() if name not in jobs.columns})
        jobs = jobs.with_columns(
            pl.col(name).cast(kind).fill_null(defaults[name]) for name, kind in STATE_COLUMNS.items()
        )
        workload = Workload.of(jobs)
        table = workload.table.sort(
            pl.col("state").replace_strict({ENDED: 0, RUNNING: 1, PENDING: 2}),
            "started_s",
            "sequence",
            "submit_s",
            "number",
            nulls_last=True,
            maintain_order=True,
        )
        known = places.select(pl.col(name).cast(kind) for name, kind in PLACE_COLUMNS.items())
        return cls(now_s, cluster, table, known, closed, served or {}, state or {})

    def count(self, state: str) -> int:
        """Return how many jobs are in a state."""
        return int((self.jobs["state"] == state).sum())

    @property
    def workload(self) -> Workload:
        """The jobs as a workload, in the order of the table."""
        return Workload(self.jobs, None, "situation")
