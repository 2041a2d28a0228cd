"""Fair: the user or group that has received the least goes first.

Least attained service over users, as in the fair-share factor of batch systems without decay. Key(j) = GPU-seconds that
j's user (or group) has received up to now, its running jobs included, divided by its weight (1); among equals the
earliest job. Not preemptive.

Example: `apportion compare synthetic:philly?jobs=2000 fifo fair fair[by=group]`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.plan import KEY_SHARE, OrderPlan, by_service
from apportion.policies.parameters import one_of
from apportion.policies.protocol import Jobs


@dataclass(frozen=True)
class Fair:
    """The least-served user or group first; see the module's text.

    Parameters
    ----------
    by: `user` or `group`.
    """

    by: str = "user"

    def __post_init__(self) -> None:
        one_of("fair", "by", self.by, ("user", "group"))

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        share = jobs.encoded.user if self.by == "user" else jobs.encoded.group
        return OrderPlan(KEY_SHARE, jobs.workload.table["submit_s"].to_numpy(), by_service, share)
