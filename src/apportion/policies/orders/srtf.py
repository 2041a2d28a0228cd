"""Shortest remaining time first, preemptive, with a checkpoint cost at every preemption.

Hu et al., "Characterization and prediction of deep learning workloads in large-scale GPU datacenters", SC 2021
(simulator). Key(j) = work left in seconds, checkpoint costs included. At every change all jobs are planned anew by key
against the GPUs of their partition, see `apportion.engine.preempt`. The truth is used: an oracle.

Example: `apportion compare synthetic:philly?jobs=2000 sjf srtf --checkpoint-cost 30`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import KEY_PREEMPTIVE, OrderPlan, job_key_kernel
from apportion.policies.parameters import at_least, one_of
from apportion.policies.protocol import Jobs


@job_key_kernel
def remaining(job, now):
    """Return the work left in seconds."""
    return job.remaining


@dataclass(frozen=True)
class ShortestRemainingTimeFirst:
    """Shortest remaining time first; see the module's text.

    Parameters
    ----------
    conserve: start jobs outside the plan on what the plan leaves free.
    ties: whether of equal keys the `running` or the `queued` job goes first.
    quantum_s: look again so many seconds later while a planned job finds no place (0 = at the next event).
    """

    conserve: bool = True
    ties: str = "running"
    quantum_s: float = 0.0

    def __post_init__(self) -> None:
        one_of("srtf", "ties", self.ties, ("running", "queued"))
        at_least("srtf", "quantum", self.quantum_s, 0)

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return OrderPlan(
            KEY_PREEMPTIVE,
            kernel=remaining,
            conserve=self.conserve,
            queued_first=self.ties == "queued",
            quantum_s=self.quantum_s,
            quantum_when_stuck=True,
        )
