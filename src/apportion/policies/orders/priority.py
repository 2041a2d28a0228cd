"""Priority: the column `priority` of the trace, larger first.

Key(j) = -priority, ties by row.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy priority`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.policies.protocol import Jobs


@dataclass(frozen=True)
class Priority:
    """The largest priority first; see the module's text."""

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return OrderPlan(KEY_STATIC, -jobs.workload.table["priority"].to_numpy().astype(float))
