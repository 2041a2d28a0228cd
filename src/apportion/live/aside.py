"""Jobs that the cluster refuses to start again and again are set aside for a while, so that others get their turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from apportion.live.backend import ENDED, RUNNING, Refusal

TRIES = 3
"""Refusals in a row before a job is set aside."""
FIRST_S, LONGEST_S = 60.0, 3600.0
"""How long it is set aside, at first and at most; the time doubles with every further refusal."""


@dataclass
class Aside:
    """Counts refusals by job."""

    _count: dict[str, int] = field(default_factory=dict)
    _until: dict[str, float] = field(default_factory=dict)

    @property
    def jobs(self) -> list[str]:
        """Return the jobs that were refused lately."""
        return list(self._count)

    def note(self, refused: Sequence[Refusal], told: Sequence[str], now_s: float) -> None:
        """Take note of the answers to the jobs that were told to start."""
        wanted = set(told)
        for answer in refused:
            if answer.job_id in wanted:
                self.refused(answer.job_id, now_s)

    def forget(self, states: Mapping[str, str]) -> None:
        """Forget jobs that run by now, or are gone; `states` has those of `jobs` that are not."""
        for job in [job for job in self._count if states.get(job, ENDED) in (RUNNING, ENDED)]:
            del self._count[job]
            self._until.pop(job, None)

    def refused(self, job: str, now_s: float) -> None:
        """Count a refusal."""
        count = self._count[job] = self._count.get(job, 0) + 1
        if count >= TRIES:
            self._until[job] = now_s + min(FIRST_S * 2 ** min(count - TRIES, 20), LONGEST_S)

    def until(self, now_s: float) -> Set[str]:
        """Return the jobs that are set aside at this time; a clock that went back sets none aside for longer."""
        return {job for job, end in self._until.items() if now_s < end <= now_s + LONGEST_S}
