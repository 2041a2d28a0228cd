"""Least attained service, preemptive: who has used the fewest GPU-seconds goes first; nothing has to be known.

Nuyens and Wierman, "The foreground-background queue: a survey", 2008; in two dimensions (time x GPUs) as in Gu et al.,
"Tiresias", NSDI 2019, here without its queues. Key(j) = attained seconds x GPUs, looked at again every `quantum`.

Example: `apportion compare synthetic:philly?jobs=2000 fifo las[quantum=10m] --checkpoint-cost 30`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import KEY_PREEMPTIVE, OrderPlan, job_key_kernel
from apportion.policies.parameters import at_least
from apportion.policies.protocol import Jobs


@job_key_kernel
def attained(job, now):
    """Return the GPU-seconds received."""
    return job.attained * job.gpus


@dataclass(frozen=True)
class LeastAttainedService:
    """Least attained service first; see the module's text.

    Parameters
    ----------
    quantum_s: seconds between two looks at the running jobs (at least 1).
    conserve: start jobs outside the plan on what the plan leaves free.
    """

    quantum_s: float = 360.0
    conserve: bool = True

    def __post_init__(self) -> None:
        at_least("las", "quantum", self.quantum_s, 1)

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return OrderPlan(KEY_PREEMPTIVE, kernel=attained, conserve=self.conserve, quantum_s=self.quantum_s)
