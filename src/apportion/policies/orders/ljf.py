"""Longest job first: a baseline that packs well and makes everybody wait.

Key(j) = -duration, ties by row.

Example: `apportion compare synthetic:philly?jobs=2000 sjf ljf`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.policies.protocol import Jobs


@dataclass(frozen=True)
class LongestJobFirst:
    """Longest job first; see the module's text."""

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return OrderPlan(KEY_STATIC, -jobs.workload.table["duration_s"].to_numpy())
