"""Shortest remaining time first, preemptive, with a checkpoint cost at every preemption.

Hu et al., "Characterization and prediction of deep learning workloads in large-scale GPU datacenters", SC 2021
(simulator). Key(j) = work left in seconds, checkpoint costs included; with `by=service` times GPUs, shortest remaining
service first (Gu et al., NSDI 2019). At every change all jobs are planned anew by key
against the GPUs of their partition, see `apportion.engine.preempt`. The truth is used: an oracle.

Example: `apportion compare synthetic:philly?jobs=2000 sjf srtf --checkpoint-cost 30`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.plan import KEY_PREEMPTIVE, Feedback, OrderPlan, job_key_kernel
from apportion.policies.parameters import at_least, one_of
from apportion.policies.protocol import Jobs


@job_key_kernel
def remaining(job, now):
    """Return the work left in seconds."""
    return job.remaining


@job_key_kernel
def remaining_service(job, now):
    """Return the work left in GPU-seconds."""
    return job.remaining * job.gpus


@dataclass(frozen=True)
class ShortestRemainingTimeFirst:
    """Shortest remaining time first; see the module's text.

    Parameters
    ----------
    conserve: start jobs outside the plan on what the plan leaves free.
    ties: whether of equal keys the `running` or the `queued` job goes first, or that which went first `before`.
    by: what is short, the `time` left or the `service` left (GPUs x time).
    quantum_s: look again so many seconds later while a planned job finds no place (0 = at the next event).
    """

    conserve: bool = True
    ties: str = "running"
    quantum_s: float = 0.0
    by: str = "time"

    def __post_init__(self) -> None:
        one_of("srtf", "ties", self.ties, ("running", "queued", "before"))
        one_of("srtf", "by", self.by, ("time", "service"))
        at_least("srtf", "quantum", self.quantum_s, 0)

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return OrderPlan(
            KEY_PREEMPTIVE,
            kernel=remaining if self.by == "time" else remaining_service,
            conserve=self.conserve,
            queued_first=self.ties == "queued",
            quantum_s=self.quantum_s,
            quantum_when_stuck=True,
            feedback=Feedback(np.zeros(0), by_key=True) if self.ties == "before" else None,
        )
