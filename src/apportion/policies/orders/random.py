"""Random order: a baseline that knows nothing.

Key(j) is drawn uniformly from the run's seed, once.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy random --seed 7`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.policies.protocol import Jobs


@dataclass(frozen=True)
class RandomOrder:
    """Jobs in a random order; see the module's text."""

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return OrderPlan(KEY_STATIC, np.random.default_rng(jobs.seed).random(len(jobs.workload)))
