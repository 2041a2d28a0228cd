"""Smallest first: jobs that ask for fewer GPUs go first.

Known without any prediction; large jobs starve under load. Key(j) = tasks x gpus x milli, ties by row.

Example: `apportion compare synthetic:philly?jobs=2000 fifo smallest`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.policies.protocol import Jobs


@dataclass(frozen=True)
class SmallestFirst:
    """The smallest GPU demand first; see the module's text."""

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return OrderPlan(KEY_STATIC, jobs.encoded.milli.astype(float))
