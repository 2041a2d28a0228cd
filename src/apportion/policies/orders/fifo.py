"""First in, first out: jobs in the order of their submission.

Under `--backfill skip` (the default) a job that does not fit is passed over, which is the FIFO of the PAI simulator;
under `strict` it holds up those behind it, which is the FIFO of the Helios simulator. Key(j) = submit time, ties by
row.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo --backfill strict`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.policies.protocol import Jobs


@dataclass(frozen=True)
class Fifo:
    """Jobs in the order of their submission; see the module's text."""

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return OrderPlan(KEY_STATIC, jobs.workload.table["submit_s"].to_numpy())
