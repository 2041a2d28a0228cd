"""When an allocator was asked last, and whether what it said still holds; across a restart of the controller, too."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from apportion.live.memory import Memory
from apportion.live.recall import owner
from apportion.live.situation import ENDED, Situation
from apportion.policies.protocol import Allocator, Policy

LAST = 1000
"""Commands of one cycle that are looked back on."""


@dataclass(frozen=True)
class Asked:
    """The last time an allocator was asked.

    Parameters
    ----------
    at_s, until_s: when, and until when what it said holds. who: what `who` said then.
    """

    at_s: float = -np.inf
    until_s: float = -np.inf
    who: str = ""

    @classmethod
    def of(cls, state: Mapping[str, Any], policy: Policy) -> Self:
        """Return what is remembered under this policy."""
        return cls(*state["asked"]) if state.get("of") == owner(policy) and "asked" in state else cls()

    def holds(self, situation: Situation, allocator: Allocator) -> bool:
        """Say whether it need not be asked now: as in a simulation, between rounds only when jobs or nodes came or went
        and it wants to know."""
        # by a clock that was ahead a round would last for long
        if not self.at_s <= situation.now_s < self.until_s:
            return False
        return not getattr(allocator, "on_change", False) or self.who == who(situation)


def who(situation: Situation) -> str:
    """Return a word for the jobs that are there and the nodes that are open, another one when they change."""
    jobs = situation.jobs.filter(situation.jobs["state"] != ENDED)["number"].sort().to_list()
    return hashlib.blake2b(repr((jobs, sorted(situation.closed))).encode(), digest_size=8).hexdigest()


def last_order(memory: Memory) -> dict[str, int]:
    """Return the order of the last commands that were told, as a controller that is started again finds it."""
    told = memory.decisions(limit=LAST).filter(pl.col("action") != "park")
    last = told.filter(pl.col("time_s") == pl.col("time_s").first())
    return {job: i for i, job in enumerate(last["job_id"].reverse())}
