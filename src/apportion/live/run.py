"""The service loop: cycles until told to stop, patience with a cluster that does not answer, and a record of it all."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from apportion.live.backend import BackendError, Observation
from apportion.live.controller import Controller, Cycle
from apportion.live.ending import Ending
from apportion.live.log import Log
from apportion.live.metrics import Metrics
from apportion.live.shadow import FIRST
from apportion.live.warm import warm_up

LONGEST_WAIT_S = 60.0
"""Between two tries while the cluster does not answer."""
HURRY_S = 1.0
"""Between two cycles while starts wait for stopped jobs to be gone."""
PICTURE_S = 10.0
"""Between two pictures of the cluster for those who look at the memory."""
PRUNE_S = 6 * 3600.0
"""Between two prunings of the memory."""


@dataclass
class Service:
    """Runs a controller.

    Parameters
    ----------
    poll_s: seconds between two looks. report: called with every cycle that went well.
    """

    controller: Controller
    log: Log
    metrics: Metrics
    poll_s: float = 5.0
    report: Callable[[Cycle], None] = lambda cycle: None
    clock: Callable[[], float] = time.time
    ending: Ending = field(default_factory=Ending)
    trouble: str = ""
    """Why the last cycle could not be done."""
    _failures: int = 0
    _undrawn: Observation | None = None
    """What was seen since the last picture."""
    _drawn_at: float = -float("inf")
    _pruned_at: float = -float("inf")

    def run(self, cycles: int | None = None) -> int:
        """Run cycles until the end is asked for, or so many were tried; return how many went well."""
        memory = self.controller.memory
        self.log.write(
            "began", self.clock(), policy=self.controller.policy.name, cluster=self.controller.backend.name,
            memory=memory.path,
        )  # fmt: skip
        for fact, value in (
            ("policy", self.controller.policy.name), ("backfill", self.controller.backfill),
            ("seed", self.controller.seed), ("watching", int(self.controller.watching)),
        ):  # fmt: skip
            memory.set_fact(fact, str(value))
        if cycles is None and not self.controller.watching:
            self._warm_up()
        done = tried = 0
        try:
            while not self.ending.asked and (cycles is None or tried < cycles):
                began = time.monotonic()
                cycle = self._once()
                tried += 1
                done += cycle is not None
                if cycles is None or tried < cycles:
                    self.ending.wait(max(0.0, self._pause(cycle) - (time.monotonic() - began)))
        finally:
            if self._undrawn is not None:
                memory.draw(self._undrawn)
            self.log.write("ended", self.clock(), cycles=done)
        return done

    def _warm_up(self) -> None:
        """Compile what the policy needs, so that its first cycle acts on what it has just seen."""
        began = time.monotonic()
        failed = {}
        try:
            warm_up(self.controller.policy.name, self.controller.backfill)
        except Exception as error:  # what a policy makes of made-up jobs must not keep it from the real ones
            failed = {"message": str(error)}
        self.log.write("warm", self.clock(), took_s=round(time.monotonic() - began, 3), **failed)

    def _once(self) -> Cycle | None:
        """Run a cycle; None = it could not be done."""
        try:
            self._keep_house()
            cycle = self.controller.cycle()
            self._draw(cycle)
        except (BackendError, sqlite3.OperationalError) as error:
            self._failures += 1
            self.trouble = str(error)
            self.metrics.failed()
            self.log.write("trouble", self.clock(), message=str(error), failures=self._failures)
            return None
        if self._failures:
            self.log.write("recovered", self.clock(), failures=self._failures)
        self._failures, self.trouble = 0, ""
        self.metrics.cycle(cycle)
        self.log.cycle(cycle)
        self.report(cycle)
        return cycle

    def _pause(self, cycle: Cycle | None) -> float:
        """Return the seconds from the beginning of this cycle to that of the next."""
        if cycle is None:
            return float(min(self.poll_s * 2 ** min(self._failures, 16), max(LONGEST_WAIT_S, self.poll_s)))
        wait = min(self.poll_s, HURRY_S) if cycle.deferred else self.poll_s
        return max(min(wait, cycle.wake_s - cycle.time_s), min(HURRY_S, self.poll_s))

    def _keep_house(self) -> None:
        memory, now = self.controller.memory, self.clock()
        memory.beat(now)
        if abs(now - self._pruned_at) > PRUNE_S:
            self._pruned_at = now
            memory.prune(now)

    def _draw(self, cycle: Cycle) -> None:
        now = self.clock()
        memory = self.controller.memory
        if self.controller.watching and cycle.observation is not None and memory.picture(FIRST) is None:
            memory.draw(cycle.observation, FIRST)
        self._undrawn = cycle.observation
        if cycle.observation is not None and abs(now - self._drawn_at) >= PICTURE_S:
            self._drawn_at, self._undrawn = now, None
            memory.draw(cycle.observation)
