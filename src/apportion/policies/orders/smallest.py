"""Smallest first: jobs that ask for fewer GPUs go first.

Known without any prediction; large jobs starve under load. Key(j) = tasks x gpus x milli, ties by row. With `preempt`
also jobs that run give way to smaller ones, and to those of equal size that were submitted before them.

Example: `apportion compare synthetic:philly?jobs=2000 fifo smallest`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import KEY_PREEMPTIVE, KEY_STATIC, OrderPlan, job_key_kernel
from apportion.policies.protocol import Jobs


@job_key_kernel
def gpus_then_submission(job, now):
    """Return the GPUs asked for; of equal demands the earlier has the smaller key."""
    # 1e9 s are longer than any trace, and sums up to 1e12 keep a millisecond
    return job.gpus * 1e9 + job.submit


@dataclass(frozen=True)
class SmallestFirst:
    """The smallest GPU demand first; see the module's text.

    Parameters
    ----------
    preempt: running jobs give way. conserve: start jobs outside the plan on what the plan leaves free.
    """

    preempt: bool = False
    conserve: bool = True

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        if self.preempt:
            return OrderPlan(KEY_PREEMPTIVE, kernel=gpus_then_submission, conserve=self.conserve)
        return OrderPlan(KEY_STATIC, jobs.encoded.milli.astype(float))
