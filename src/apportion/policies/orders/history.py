"""SJU, SJG, SJGG: shortest job first on what earlier jobs of the same user (and group, and size) took.

Weng et al., "MLaaS in the wild", NSDI 2022 (simulator). Key(j) = mean duration of the jobs submitted before j with the
same key, 0 when there is none (unknown goes first): SJU by user; SJG by group and user; SJGG by group, user and GPUs.
Where the trace carries the simulator's own columns (`user_dur`, `group_dur`, `group_gpu_dur`) these are used as they
are.

Example: `apportion compare synthetic:philly?jobs=2000 fifo sju sjg sjgg sjf`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.policies.protocol import Jobs
from apportion.predict.history import mean_of_earlier


def _plan(jobs: Jobs, column: str, keys: tuple[str, ...]) -> OrderPlan:
    table = jobs.workload.table
    given = table[column] if column in table.columns else mean_of_earlier(table, keys)
    return OrderPlan(KEY_STATIC, given.fill_null(0.0).cast(float).to_numpy())


@dataclass(frozen=True)
class ShortestByUser:
    """SJU: by the user's earlier jobs."""

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return _plan(jobs, "user_dur", ("user",))


@dataclass(frozen=True)
class ShortestByGroup:
    """SJG: by earlier jobs of the user in the group."""

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return _plan(jobs, "group_dur", ("group", "user"))


@dataclass(frozen=True)
class ShortestByGroupAndGpus:
    """SJGG: by earlier jobs of the user in the group with the same GPU demand."""

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return _plan(jobs, "group_gpu_dur", ("group", "user", "tasks", "gpus", "gpu_milli"))
