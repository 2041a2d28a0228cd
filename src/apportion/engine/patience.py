"""Rounds in which nothing runs, one after the other: at some point nothing ever will, and the run is over."""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.run import Engine

LIMIT = 1000
"""Rounds in a row. A policy may let the cluster stand idle for a while, as for a lease; for so long none does."""


@dataclass
class Patience:
    """Counts rounds in which jobs wait and none runs, though none is to come and no node is to return."""

    idle: int = 0

    def is_over(self, engine: Engine) -> bool:
        """Say, at the end of a round, whether it is of no use to wait for another."""
        more = engine.number("arrived") < engine.arrays["jobs"].size
        returns = engine.number("outside_at") < engine.arrays["outside"].size
        self.idle = 0 if more or returns or engine.number("running_count") > 0 else self.idle + 1
        return self.idle > LIMIT
