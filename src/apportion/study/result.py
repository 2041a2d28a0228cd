"""The outcome of one run: per-job results, the timeline, where every piece ran, and the summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.workload import Workload


@dataclass(frozen=True)
class Result:
    """One policy on one workload and cluster.

    Parameters
    ----------
    policy, trace: names as the user wrote them. workload, cluster: what was run.
    jobs: a row a job, in the order of the workload's table: `job_id, user, group, submit_s, start_s, end_s, wait_s,
        jct_s, duration_s, gpus, preemptions, restarts, status, nodes` (status: completed, rejected or unfinished);
        under an allocator also `ftf, ftf_contention`.
    placements: a row for every piece of every run: `job i32` (row number), `start_s, end_s f64`, `node i32` (row
    number),
        `gpus f64` (devices, 0.5 = half of one), `devices i64` (bit set; 0 in a pool).
    facts: the numbers of the summary that come from the engine.
    """

    policy: str
    trace: str
    workload: Workload
    cluster: Cluster
    jobs: pl.DataFrame
    placements: pl.DataFrame
    facts: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def timeline(self) -> pl.DataFrame:
        """A row a change: `time_s, pending_jobs, running_jobs, allocated_gpus, fragmented_gpus`."""
        from apportion.study.metrics import timeline

        return timeline(self)

    def summary(self) -> dict[str, Any]:
        """Return the dictionary of `summary.json`; a key that does not apply is absent."""
        from apportion.study.metrics import summary

        return summary(self)
