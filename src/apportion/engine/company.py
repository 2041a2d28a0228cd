"""Jobs that share all their GPUs with another one, in rounds on a clock: who sits with whom, and what happens when one
of the two goes.

The older job is the host and holds the GPUs; the guest runs on them and holds nothing of its own, neither CPU nor
memory. Both go at the speeds that were measured for the pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from apportion.engine import loop
from apportion.engine.classes import Classes
from apportion.engine.layout import F8, I8, RUNNING
from apportion.engine.run import Engine
from apportion.engine.speeds import Speeds


@dataclass
class Company:
    """The pairs that run now.

    Parameters
    ----------
    speeds, classes: of the run. held: f8[jobs], GPUs each holds. sizes: GPUs of each run, in the order of their starts.
    """

    speeds: Speeds
    classes: Classes
    held: F8
    sizes: list[float]
    since_s: F8 = field(init=False)
    """When each job last began to run with another one, or without."""
    _guest: dict[int, int] = field(default_factory=dict, init=False)
    """By host."""
    _host: dict[int, int] = field(default_factory=dict, init=False)
    """By guest."""
    _run: dict[int, int] = field(default_factory=dict, init=False)
    """By host: its run in the log."""
    _nothing: int = field(default=-1, init=False)

    def __post_init__(self) -> None:
        self.since_s = np.zeros(self.held.size)

    def guests(self, jobs: I8) -> npt.NDArray[np.bool_]:
        """Say who of these runs on the GPUs of another one."""
        return np.isin(jobs, list(self._host)) if self._host else np.zeros(jobs.size, bool)

    def others(self, jobs: I8) -> I8:
        """Return the job with which each shares its GPUs, -1 = none."""
        found = np.full(jobs.size, -1)
        if self._host:
            both = self._guest | self._host
            found[:] = [both.get(j, -1) for j in jobs.tolist()]
        return found

    def part(self, engine: Engine, credit: Callable[[I8, I8, float], None]) -> None:
        """Where one of a pair ended, let the other go on alone.

        credit: told (jobs, others, now) of what they received.
        """
        now = engine.number("now")
        for host, guest in list(self._guest.items()):
            state = engine.arrays["jobs"]["state"]
            here = (state[host] == RUNNING, state[guest] == RUNNING)
            if all(here):
                continue
            if any(here):
                # a pair is only known while both are there: what they had together goes to the one that stays
                stays = host if here[0] else guest
                credit(np.array([stays]), np.array([-1]), now)
                rate = self.speeds.relative(stays, int(self.speeds.held[stays]))
                self._again(engine, stays, -1 if here[0] else self._run[host], rate)
                self.since_s[stays] = now
            self._forget(host)

    def stay(self, jobs: I8, stays: npt.NDArray[np.bool_], beside: I8) -> npt.NDArray[np.bool_]:
        """Return who may stay where it is: not a guest that gets GPUs of its own or another host.

        stays: of those that have the GPUs they shall have. beside: as in `Decision`.
        """
        if not self._host and (beside < 0).all():
            return stays
        at = {int(j): i for i, j in enumerate(jobs)}
        hosts = np.array([at.get(self._host.get(int(j), -1), -1) for j in jobs])
        # one that has company of its own and comes to another's GPUs moves, as does a guest that becomes a host
        found: npt.NDArray[np.bool_] = stays & (hosts == beside)
        return found & ((beside < 0) | found[beside])

    def seat(self, engine: Engine, jobs: I8, stays: npt.NDArray[np.bool_], beside: I8, model: I8) -> None:
        """Let guests start, and those that stay go as fast as they then can."""
        if not self._host and (beside < 0).all():
            return
        now = engine.number("now")
        wanted = {int(jobs[beside[i]]): int(jobs[i]) for i in np.flatnonzero(beside >= 0)}
        settled = {int(j) for j in jobs[stays]}
        for host in [h for h, g in self._guest.items() if wanted.get(h) != g or g not in settled]:
            self._forget(host)
            self.since_s[host] = now
            if host not in wanted and engine.arrays["jobs"]["state"][host] == RUNNING:
                run = engine.arrays["runs"][engine.arrays["jobs"]["run"][host]]
                if run["start"] < now:
                    self._again(engine, host, -1, self.speeds.relative(host, int(self.speeds.held[host])))
        for i in np.flatnonzero((beside >= 0) & ~stays):
            host, guest = int(jobs[beside[i]]), int(jobs[i])
            if engine.arrays["jobs"]["state"][host] == RUNNING:
                self._join(engine, host, guest, int(model[i]))

    def _join(self, engine: Engine, host: int, guest: int, model: int) -> None:
        if self._nothing < 0:
            self._nothing = self.classes.nothing(engine)
        run = engine.arrays["runs"][engine.arrays["jobs"]["run"][host]]
        if run["start"] < engine.number("now"):
            self._again(engine, host, -1, self.speeds.relative_beside(host, guest, model))
        engine.arrays["jobs"]["rate"][guest] = self.speeds.relative_beside(guest, host, model)
        while not loop.join(engine.root, guest, host, self._nothing):
            engine.grow()
        self.sizes.append(0.0)
        self.held[guest] = self.held[host]
        self.speeds.held[guest] = model
        self._guest[host], self._host[guest] = guest, host
        self._run[host] = int(engine.arrays["jobs"]["run"][host])
        self.since_s[[host, guest]] = engine.number("now")

    def _again(self, engine: Engine, job: int, run: int, rate: float) -> None:
        """Let a job go on at another rate, where it is (-1) or in the place of a run that is over."""
        while not loop.again(engine.root, job, run, rate):
            engine.grow()
        self.sizes.append(float(self.held[job]))

    def _forget(self, host: int) -> None:
        self._host.pop(self._guest.pop(host))
        self._run.pop(host)
