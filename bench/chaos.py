"""Faults thrown at the controller on a simulated cluster: what is lost, what is done twice, how long it takes to heal.

`python -m bench chaos` prints a table. Every trial is determined by its seed.
"""

from __future__ import annotations

import collections
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from apportion.live.backend import RUNNING, BackendError, Launch, Observation, Refusal
from apportion.live.controller import Controller, Cycle
from apportion.live.memory import Memory
from apportion.live.simulated import SimulatedCluster
from apportion.model.cluster import Cluster
from apportion.model.workload import Workload
from apportion.policies.registry import parse_policy

FAULTS = (
    "lost", "half done", "done, answer lost", "refused", "no answer", "killed while looking", "killed while learning",
    "killed before a command", "killed after a command", "killed before noting", "node closed", "node failed",
    "job hidden", "clock forward", "clock back",
)  # fmt: skip
POLICIES = ("fifo", "sjf+best-fit", "srtf", "las[quantum=2m]", "fair", "round-robin[quantum=2m]")
SHAPES = ((1, 1, 1000), (1, 2, 1000), (1, 4, 1000), (2, 2, 1000), (3, 1, 1000), (1, 1, 500))
"""Tasks, GPUs of each, milli of each."""
NEVER_STOP = ("fifo", "sjf+best-fit", "fair")
"""Those under which a job runs once."""
HEAL = 5
"""Cycles within which all must be as it should be again."""


class Killed(BaseException):
    """The controller's process ends here."""


class Broken(AssertionError):
    """Something that must always hold does not."""


@dataclass
class Faulty:
    """A backend between the controller and the cluster that does what `plan` says to the next call.

    Parameters
    ----------
    plan: faults still to come. skew_s: how far its clock is off. twice: jobs that were to be started while they ran.
    """

    inner: SimulatedCluster
    random: random.Random
    plan: set[str] = field(default_factory=set)
    skew_s: float = 0.0
    name: str = "simulated"
    twice: list[str] = field(default_factory=list)

    @property
    def stops_at_once(self) -> bool:
        """Return what the cluster says."""
        return self.inner.stops_at_once

    def _due(self, *faults: str) -> str | None:
        for fault in faults:
            if fault in self.plan:
                self.plan.remove(fault)
                return fault
        return None

    def observe(self) -> Observation:
        """Look, unless that fails."""
        fault = self._due("no answer", "killed while looking")
        if fault == "no answer":
            raise BackendError("the cluster does not answer")
        if fault:
            raise Killed(fault)
        seen = self.inner.observe()
        return Observation(seen.time_s + self.skew_s, seen.nodes, seen.jobs)

    def _tell(self, told: Sequence[Any], name: Callable[[Any], str], call: Callable[[Sequence[Any]], Any]) -> Any:
        if not told:
            return []
        fault = self._due(
            "lost", "half done", "done, answer lost", "refused", "killed before a command", "killed after a command"
        )
        if fault == "lost":
            raise BackendError("the command was lost")
        if fault == "killed before a command":
            raise Killed(fault)
        if fault == "half done":
            call(told[: len(told) // 2])
            raise BackendError("the connection broke")
        if fault == "refused":
            chosen = {name(one) for one in told if self.random.random() < 0.5} or {name(told[0])}
            left = [one for one in told if name(one) not in chosen]
            return [*call(left), *(Refusal(job, "not now") for job in sorted(chosen))]
        answer = call(told)
        if fault == "done, answer lost":
            raise BackendError("no answer came")
        if fault == "killed after a command":
            raise Killed(fault)
        return answer

    def launch(self, launches: Sequence[Launch]) -> list[Refusal]:
        """Start jobs, unless that fails."""
        seen = dict(self.inner.observe().jobs.select("job_id", "state").iter_rows())
        self.twice += [launch.job_id for launch in launches if seen.get(launch.job_id) == RUNNING]
        return list(self._tell(launches, lambda launch: launch.job_id, self.inner.launch))

    def stop(self, jobs: Sequence[str]) -> list[Refusal]:
        """Stop jobs, unless that fails."""
        return list(self._tell(jobs, str, self.inner.stop))

    def park(self, jobs: Sequence[str]) -> list[Refusal]:
        """Park jobs, unless that fails."""
        return list(self._tell(jobs, str, self.inner.park))


class Fragile(Memory):
    """A memory in whose midst the process can end."""

    plan: set[str]

    def admit(self, rows: Any) -> None:
        """Note jobs, perhaps not to the end."""
        super().admit(rows)
        if "killed while learning" in self.plan:
            self.plan.remove("killed while learning")
            raise Killed("killed while learning")

    def log(self, entries: Any) -> None:
        """Note decisions, perhaps not."""
        if entries and "killed before noting" in self.plan:
            self.plan.remove("killed before noting")
            raise Killed("killed before noting")
        super().log(entries)


@dataclass
class Trial:
    """One run of a workload through faults.

    Parameters
    ----------
    seed: determines everything. faults: how many to throw. kinds: of which kinds.
    """

    seed: int
    faults: int = 10
    kinds: Sequence[str] = FAULTS
    jobs: int = 30
    thrown: collections.Counter[str] = field(default_factory=collections.Counter)
    healed_in: list[int] = field(default_factory=list)
    cycles: int = 0
    restarts: int = 0

    def run(self, folder: Path) -> None:
        """Run it.

        Raises
        ------
        Broken: an invariant does not hold; the message has the seed.
        """
        self._random = random.Random(self.seed)
        self._armed = ""
        self._policy = self._random.choice(POLICIES)
        stop_s, launch_s = self._random.choice(((0.0, 0.0), (7.0, 0.0), (20.0, 3.0)))
        work = workload(self._random, self.jobs)
        self._cluster = SimulatedCluster(work, cluster(), launch_s=launch_s, stop_s=stop_s)
        self._backend = Faulty(self._cluster, self._random)
        self._path = folder / f"memory-{self.seed}.sqlite"
        self._start()
        ill = 0
        for _ in range(4000):
            if self._cluster.done and not ill:
                break
            if not ill and not self._armed and self.thrown.total() < self.faults and self._random.random() < 0.4:
                ill = self._throw(self._random.choice(list(self.kinds)))
            cycle = self._cycle()
            self._check()
            if self._armed and not self._backend.plan:
                self.thrown[self._armed] += 1
                self._armed, ill = "", 1
            if ill:
                ill = self._after(ill, cycle)
            wake = self._cluster.next_event_s()
            self._cluster.advance(min(wake, self._cluster.now_s + self._random.choice((1.0, 5.0, 30.0))))
        self._memory.close()
        self._finish(work)

    def _start(self) -> None:
        self._memory = Fragile(self._path)
        self._memory.plan = self._backend.plan
        self._controller = Controller(self._backend, parse_policy(self._policy), self._memory)

    def _throw(self, fault: str) -> int:
        """Let a fault happen now (return 1), or at the next call that it can hit (0)."""
        pick = self._random.choice
        if fault == "node closed":
            self._cluster.closed = {pick(self._cluster.cluster.table["node"].to_list())}
        elif fault == "node failed":
            self._cluster.fail(pick(self._cluster.cluster.table["node"].to_list()))
        elif fault == "job hidden":
            seen = self._cluster.observe().jobs["job_id"].to_list()
            self._cluster.hidden = {pick(seen)} if seen else set()
        elif fault.startswith("clock"):
            self._backend.skew_s = 5000.0 if fault == "clock forward" else -5000.0
        else:
            self._backend.plan.add(fault)
            self._armed = fault
            return 0
        self.thrown[fault] += 1
        return 1

    def _cycle(self) -> Cycle | None:
        self.cycles += 1
        try:
            return self._controller.cycle()
        except BackendError:
            return None
        except Killed:
            self.restarts += 1
            self._memory.close()
            self._start()
            return None

    def _after(self, ill: int, cycle: Cycle | None) -> int:
        """Let a fault that lasts pass; return for how many cycles it has been healing, 0 = healed."""
        if ill == 2:
            self._cluster.closed, self._cluster.hidden = set(), set()
            self._backend.skew_s = 0.0
        if ill > 2 and cycle is not None and self._settled(cycle):
            self.healed_in.append(ill - 2)
            return 0
        if ill > 2 + HEAL:
            raise Broken(f"seed {self.seed}: not as it should be after {HEAL} cycles ({self._policy})")
        return ill + 1

    def _settled(self, cycle: Cycle) -> bool:
        """Return whether all that was told was done, and the memory agrees with what was seen."""
        if cycle.refused or cycle.unknown or cycle.observation is None:
            return False
        known = self._memory.open
        return all(
            job in known and (state not in ("running", "stopping") or known[job].started_s == started)
            for job, state, started in cycle.observation.jobs.select("job_id", "state", "started_s").iter_rows()
            if state != "ended"
        )

    def _check(self) -> None:
        """Raise `Broken` if a device is held twice, a gang is in pieces, or a job is lost."""
        held: collections.Counter[tuple[str, int]] = collections.Counter()
        for name, job in self._cluster._jobs.items():
            pieces = self._cluster._ledger.pieces(job.row)
            if job.nodes and (len(job.nodes) != len(pieces) or len(job.devices) != len(pieces)):
                raise Broken(f"seed {self.seed}: job {name} is in pieces")
            for piece, node, mask in zip(pieces, job.nodes, job.devices, strict=False):
                for device in range(mask.bit_length()):
                    if (mask >> device) & 1:
                        held[node, device] += piece.milli
        for (node, device), milli in held.items():
            if milli > 1000:
                raise Broken(f"seed {self.seed}: device {device} of {node} is held for {milli} milli")

    def _finish(self, work: Workload) -> None:
        """Raise `Broken` if a job was lost or ran again without a reason."""
        ended = self._cluster.ended()
        if len(ended) != len(work):
            lost = sorted(set(work.table["job_id"]) - set(ended))
            raise Broken(f"seed {self.seed}: {len(lost)} jobs never ended, as {lost[0]} ({self._policy})")
        if self._backend.twice:
            raise Broken(f"seed {self.seed}: {self._backend.twice[0]} was started although it ran ({self._policy})")
        if self._policy in NEVER_STOP and not self.thrown["node failed"]:
            runs = collections.Counter(job for _, job, _ in self._cluster.starts)
            again = sorted(job for job, count in runs.items() if count > 1)
            if again:
                raise Broken(f"seed {self.seed}: {again[0]} ran {runs[again[0]]} times ({self._policy})")


def cluster() -> Cluster:
    """Return four nodes of four GPUs, of two models."""
    rows = [{"node": f"n{i}", "gpus": 4, "gpu_model": "AB"[i % 2], "cpu_milli": 32_000} for i in range(4)]
    return Cluster.of(pl.DataFrame(rows))


def workload(draw: random.Random, jobs: int) -> Workload:
    """Return single jobs, gangs and fractions, submitted one after the other."""
    rows, now = [], 0.0
    for i in range(jobs):
        tasks, gpus, milli = draw.choice(SHAPES)
        rows.append(
            {"job_id": f"j{i}", "user": f"u{draw.randrange(3)}", "submit_s": now, "tasks": tasks, "gpus": gpus,
             "gpu_milli": milli, "cpu_milli": 2000, "duration_s": float(draw.randrange(20, 400))}
        )  # fmt: skip
        now += draw.choice((0.0, 5.0, 30.0, 60.0))
    return Workload.of(pl.DataFrame(rows))


def trials(faults: int, seed: int = 0, each: int = 10) -> Iterator[Trial]:
    """Run trials until so many faults were thrown; yield each when it is over.

    Raises
    ------
    Broken: an invariant does not hold.
    """
    thrown = 0
    with tempfile.TemporaryDirectory() as folder:
        while thrown < faults:
            trial = Trial(seed, min(each, faults - thrown))
            trial.run(Path(folder))
            thrown += trial.thrown.total()
            seed += 1
            yield trial


def table(done: Sequence[Trial]) -> str:
    """Return what was thrown and how long it took to heal, as text."""
    thrown: collections.Counter[str] = sum((trial.thrown for trial in done), collections.Counter())
    healed = sorted(cycles for trial in done for cycles in trial.healed_in)
    lines = [f"{fault:24}{thrown[fault]:6}" for fault in FAULTS]
    lines.append(f"{'all':24}{thrown.total():6}")
    lines.append(
        f"{len(done)} runs, {sum(trial.cycles for trial in done):,} cycles, "
        f"{sum(trial.restarts for trial in done)} restarts; "
        f"as it should be again after {healed[len(healed) // 2]} cycles (median), {healed[-1]} at most"
    )
    lines.append("nothing was started twice, held twice, in pieces or lost")
    return "\n".join(lines)


def chaos(jobs: int) -> None:
    """Throw 200 faults and print the table."""
    print(table(list(trials(200))))
