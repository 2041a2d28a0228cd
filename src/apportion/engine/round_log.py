"""What an allocator was asked and what it answered, round by round, for the metrics and for `why`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from apportion.engine.layout import F8, I8
from apportion.engine.view import Decides, Decision, Shares, View

KEPT = 4_000_000
"""Shares that are kept, a row a job each time they are computed: some hundred MB at most."""

F4 = npt.NDArray[np.float32]
I4 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Given:
    """Shares of time from one round on.

    Parameters
    ----------
    since: number of the round. jobs: i4, row numbers. share: f4[jobs, models]. deficit: f4[jobs, models], seconds that
    each was still owed under the shares before. only: a job does not run where it has no share.
    """

    since: int
    jobs: I4
    share: F4
    deficit: F4
    only: bool


@dataclass
class RoundLog:
    """The rounds of a run.

    Parameters
    ----------
    models: GPU models of the nodes, as in `View.models`. busy_gpu_s: f8[models], GPU-seconds of work, where a job that
    is done early leaves its GPUs idle to the end of the round; None = whoever holds GPUs works.
    """

    models: tuple[str | None, ...]
    busy_gpu_s: F8 | None = None
    starts: list[float] = field(default_factory=list)
    """When each round began, seconds."""
    missed: dict[int, I4] = field(default_factory=dict)
    """By round: jobs that were to run and found no place on the nodes."""
    given: list[Given] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)
    """Jobs that were given up: `engine.rules`."""
    kept_until: int | None = None
    """The first round whose shares were not kept, because there were too many."""
    decide_s: list[float] = field(default_factory=list)
    """Seconds of wall time that each answer took."""
    _rows: int = 0

    def ask(self, allocator: Decides, view: View) -> Decision | Shares:
        """Ask the allocator, and note how long it took."""
        began = time.perf_counter()
        answer = allocator.decide(view)
        self.decide_s.append(time.perf_counter() - began)
        return answer

    def share(self, jobs: I8, shares: Shares, deficit: F8) -> None:
        """Note the shares that count from the next round on."""
        self._rows += jobs.size
        if self._rows > KEPT:
            self.kept_until = len(self.starts) if self.kept_until is None else self.kept_until
            return
        share, owed = shares.whole.astype(np.float32), deficit.astype(np.float32)
        self.given.append(Given(len(self.starts), jobs.astype(np.int32), share, owed, shares.only))

    def round(self, now_s: float, missed: I8) -> None:
        """Note that a round began, and who was to run and found no place."""
        if missed.size:
            self.missed[len(self.starts)] = missed.astype(np.int32)
        self.starts.append(now_s)
