"""Would it start? The policy is asked about the live situation as it would be after some changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from apportion.engine.layout import SKIP
from apportion.live.changes import Change, First
from apportion.live.decide import SituationError, decide
from apportion.live.situation import Situation
from apportion.policies.orders.fifo import Fifo
from apportion.policies.protocol import Policy


@dataclass
class Trial:
    """One pending job of a situation under a policy, tried again and again.

    Parameters
    ----------
    situation, policy, backfill, seed: as the controller has them. job_id: the job. asked: how often the policy was.
    """

    situation: Situation
    policy: Policy
    job_id: str
    backfill: int = SKIP
    seed: int = 0
    asked: int = field(default=0, init=False)

    def after(self, changes: Sequence[Change]) -> Situation:
        """Return the situation after these changes."""
        situation = self.situation
        for change in changes:
            situation = change.apply(situation)
        return situation

    def starts(self, *changes: Change) -> bool:
        """Say whether the policy would start the job at once."""
        return self._starts(self.after(changes), self.policy, self.backfill)

    def fits(self, situation: Situation) -> bool:
        """Say whether there is room for the job beside what runs, whoever else waits."""
        alone = First(self.job_id).apply(situation)
        return self._starts(alone, Policy("fifo", Fifo(), self.policy.placement), SKIP)

    def _starts(self, situation: Situation, policy: Policy, backfill: int) -> bool:
        self.asked += 1
        try:
            decisions = decide(situation, policy, backfill=backfill, seed=self.seed)
        except SituationError:
            return False
        return any(start.job_id == self.job_id for start in decisions.starts)

    def idle(self) -> Situation:
        """Return the situation with nothing running and every node open."""
        jobs = self.situation.jobs
        return replace(
            self.situation,
            jobs=jobs.filter(jobs["state"] != "running"),
            places=self.situation.places.clear(),
            closed=frozenset(),
        )
