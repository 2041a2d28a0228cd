"""Faults thrown at the controller and at a real Slurm: what is lost, what is done twice, how long it takes to heal.

`python -m bench.chaos_slurm [FAULTS] [SEED]` brings up a Slurm of its own, throws so many faults (200) at a policy in
charge of it, and prints what came of it. What Slurm itself loses when it is killed before it saved its state (every
five seconds) is counted apart.
"""

from __future__ import annotations

import collections
import functools
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from apportion.live.backend import BLOCKED, ENDED, RUNNING, STRAY, BackendError
from apportion.live.controller import Controller, Cycle
from apportion.live.slurm import Slurm, SlurmBackend
from apportion.policies.registry import parse_policy

_TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "live")]
from slurm_cluster import SlurmCluster, slurm_cluster  # noqa: E402
from slurm_trace import BEGIN, WORK, Known  # noqa: E402
from slurm_watch import devices  # noqa: E402

from bench.chaos import HEAL, Broken, Fragile, Killed  # noqa: E402
from bench.slurm_diary import Diary  # noqa: E402
from bench.slurm_faults import Faulty, kill_node, wrappers  # noqa: E402

KILLED = (
    "killed while looking", "killed after looking", "killed while learning", "killed before a command",
    "killed in a command", "killed after a command", "killed before noting",
)  # fmt: skip
PROGRAMS = ("squeue fails", "scontrol fails", "scontrol fails after", "scontrol hangs", "scontrol hangs after")
CLOCK = ("clock forward", "clock back")
NODES = ("node drained", "node dead")
SLURM = ("slurmctld killed",)
FAULTS = (*KILLED, *PROGRAMS, *CLOCK, *NODES, *SLURM)
WEIGHTS = {"slurmctld killed": 2.0, "node dead": 2.0}
POLICIES = ("fifo", "sjf+best-fit", "srtf")

CYCLE_S = 0.3
"""What a cycle takes on a machine with nothing else to do; how much longer it takes here stretches all patience."""
TIMEOUT_S = 4.0
"""How long a program may take while programs are made to hang."""
TRIES = 20
"""How often a kind of fault that comes to nothing is thrown again at once: nobody may have called what was to fail."""
UP, END = 200, 600
"""Looks until Slurm must be back, and cycles until the last job must be over."""


@dataclass
class Chaos:
    """A run of jobs through faults.

    Parameters
    ----------
    faults: how many to throw. kinds: which, in turn. weights: those that come more than once a turn. poll_s: between
    cycles. policy_every: faults after which the policy changes. waiting: jobs kept in the queue. ask_s: between two
    times at which Slurm's nodes are made to say what runs there. thrown, healed_in, cycles, restarts, jobs: what
    happened. by_slurm: what Slurm itself lost, and did twice, when it was killed.
    """

    cluster: SlurmCluster
    faults: int = 200
    seed: int = 0
    kinds: Sequence[str] = FAULTS
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    poll_s: float = 0.5
    policy_every: int = 20
    waiting: int = 24
    ask_s: float = 15.0
    report: Callable[[str], None] = lambda text: None
    thrown: collections.Counter[str] = field(default_factory=collections.Counter)
    healed_in: list[int] = field(default_factory=list)
    by_slurm: collections.Counter[str] = field(default_factory=collections.Counter)
    cycles: int = 0
    restarts: int = 0
    troubles: int = 0
    looks: int = 0
    jobs: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Run it.

        Raises
        ------
        Broken: something that must always hold does not.
        """
        self._random = random.Random(self.seed)
        self._folder = self.cluster.folder / f"chaos-{self.seed}"
        self._folder.mkdir()
        self._diary = Diary(self._folder / "runs.txt", by_slurm=self.by_slurm)
        self._diary.log.touch()
        self._skew, self._down, self._asked = 0.0, False, time.monotonic()
        self._of: dict[str, str] = {}  # Slurm's number of every submission
        self._key: dict[str, str] = {}  # the last job that had a number
        self._truth: dict[str, float] = {}
        self._plan: set[str] = set()
        self._again: list[str] = []
        self._took: list[float] = []
        self._undo: Callable[[], None] | None = None
        self._start()
        queue = self._kinds()
        while sum(self.thrown.values()) < self.faults:
            self._ask_nodes()
            self._feed()
            for _ in range(self._random.choice((0, 1, 2))):
                self._cycle()
            fault = next(queue)
            self._throw(fault)
            self._heal(fault)
        self._finish()
        self._memory.close()

    def _kinds(self) -> Iterator[str]:
        """Yield every kind in turn; one that came to nothing comes again before the others do."""
        while True:
            turn = [kind for kind in self.kinds for _ in range(int(self.weights.get(kind, 1)))]
            self._random.shuffle(turn)
            tries = collections.Counter(turn)
            while turn:
                kind = turn.pop(0)
                before = self.thrown[kind]
                yield kind
                tries[kind] += 1
                if self.thrown[kind] == before and tries[kind] < TRIES:
                    turn.append(kind)

    def _start(self) -> None:
        count = sum(self.thrown.values()) // self.policy_every
        self._policy = POLICIES[count % len(POLICIES)]
        self._memory = Fragile(self._folder / "memory.sqlite")
        self._memory.plan = self._plan
        backend = SlurmBackend(
            slurm=Slurm(conf=self.cluster.conf, timeout_s=30), grace_s=0.0, clock=lambda: time.time() + self._skew
        )
        self._backend = Faulty(backend, self._plan, self._ended_well, self._again)
        self._controller = Controller(
            self._backend, parse_policy(self._policy), self._memory, run_times=Known(self._truth)
        )

    def _feed(self) -> None:
        """Submit jobs until enough wait."""
        rows = self.cluster.run("squeue", "-h", "-a", "-r", "-t", "PD", "-o", "%i", check=False).split()
        while len(rows) < self.waiting:
            nodes, gpus = self._random.choice(((1, 1), (1, 1), (1, 2), (1, 4), (2, 2), (2, 4)))
            seconds = round(self._random.uniform(0.5, 6.0), 2)
            key = f"j{len(self._of)}"
            work = WORK.replace("FOLDER", str(self._folder))
            # its own name: Slurm gives a number again when it forgot that it gave it
            me = f"me={key}${{SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}}"
            options = [f"-N{nodes}", f"--gres=gpu:{gpus}", f"--job-name={key}"]
            tasks = 3 if self._random.random() < 0.1 else 0
            if tasks:
                options.append(f"--array=0-{tasks - 1}")
            name = self.cluster.submit(*options, script=f"{BEGIN}{me}\nleft={round(seconds * 1e6)}\n{work}")
            self._of[key] = name
            for task in [f"_{i}" for i in range(tasks)] or [""]:
                self._truth[key + task.replace("_", ":")] = seconds
                self._key[name + task] = key + task
                self.jobs.append(key + task)
                self._diary.submitted[key + task] = time.time()
                rows.append(name + task)

    def _cycle(self) -> Cycle | None:
        self.cycles += 1
        began = time.monotonic()
        cycle = None
        try:
            cycle = self._controller.cycle()
        except BackendError:
            self.troubles += 1
        except Killed:
            self.restarts += 1
            self._memory.close()
            self._start()
        self._look()
        took = time.monotonic() - began
        if cycle is not None:
            self._took.append(took)
            slow = statistics.quantiles(self._took, n=10)[-1] if len(self._took) > 10 else max(self._took)
            self._diary.slow = max(1.0, slow / CYCLE_S)
        time.sleep(max(0.0, self.poll_s - took))
        return cycle

    def _look(self) -> None:
        """See who holds which devices."""
        if self._down:
            return
        seen: set[tuple[str, int]] = set()
        held = devices(self.cluster)
        self.looks += bool(held)
        for job, each in held.items():
            if seen & each:
                raise Broken(f"{sorted(seen & each)[0]} is held by {job} and another job")
            seen |= each

    def _throw(self, fault: str) -> None:
        self.thrown[fault] += 1
        self.report(fault)
        if fault.startswith("clock"):
            self._skew = 5000.0 if fault == "clock forward" else -5000.0
            self._undo = self._clock_right
        elif fault == "node drained":
            node = self._random.choice(list(self.cluster.models))
            self.cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=chaos")
            self._undo = functools.partial(self._resume, node)
        elif fault == "node dead":
            node = self._random.choice(list(self.cluster.models))
            kill_node(self.cluster, node)
            self._diary.deaths.append((time.time(), node))
            self.cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=chaos")
            self._undo = functools.partial(self._revive, node)
        elif fault == "slurmctld killed":
            at = time.time()
            self.cluster.kill("slurmctld", signal.SIGKILL)
            self._diary.kills.append((at, at))
            self._down = True
            self._undo = self._restart
        elif " fails" in fault or " hangs" in fault:
            program, _, how = fault.partition(" ")
            self._backend.inner.slurm.programs = wrappers(self.cluster, self._folder, program, how)
            self._backend.inner.slurm.timeout_s = TIMEOUT_S
            self._undo = self._programs_right
        else:
            self._plan.add(fault)
            self._undo = self._plan.clear

    def _heal(self, fault: str) -> None:
        """Let a fault last for a cycle or two, end it, and count cycles until all is as it should be.

        Raises
        ------
        Broken: it takes more than `HEAL` cycles.
        """
        lasting = 2 if fault in ("slurmctld killed", *PROGRAMS) else 3
        for _ in range(lasting):
            if fault == "slurmctld killed":
                self._backend.inner.slurm.timeout_s = 1.0
            self._cycle()
        hit = self._hit(fault)
        if self._undo is not None:
            self._undo()
            self._undo = None
        if not hit:
            self.thrown[fault] -= 1
            return
        why = ""
        for count in range(1, HEAL + 1):
            why = self._ill(self._cycle())
            if not why:
                self.healed_in.append(count)
                return
        raise Broken(f"not as it should be {HEAL} cycles after {fault}: {why} ({self._policy})")

    def _hit(self, fault: str) -> bool:
        """Return whether the fault came to anything: nobody may have called what was to fail."""
        programs = self._backend.inner.slurm.programs
        return fault not in self._plan and (programs is None or (Path(programs) / "hit").exists())

    def _ill(self, cycle: Cycle | None) -> str:
        """Return what is not as it should be."""
        if cycle is None or cycle.observation is None:
            return "the cycle failed"
        if cycle.unknown:
            return f"it is not known what became of {cycle.unknown[:3]}"
        known = self._memory.open
        for job, state, started in cycle.observation.jobs.select("job_id", "state", "started_s").iter_rows():
            if state == STRAY and job not in cycle.parked:
                return f"{job} is a stray and was not parked"
            if state != ENDED and job not in known:
                return f"{job} is not remembered"
            if state == RUNNING and started is not None and known[job].started_s != started:
                return f"{job} runs since {started}, remembered is {known[job].started_s}"
        return ""

    def _clock_right(self) -> None:
        self._skew = 0.0

    def _programs_right(self) -> None:
        self._backend.inner.slurm.programs = None
        self._backend.inner.slurm.timeout_s = 30.0

    def _resume(self, node: str) -> None:
        self.cluster.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)

    def _revive(self, node: str) -> None:
        self.cluster.start_node(node)
        self._resume(node)
        self._until_up()

    def _restart(self) -> None:
        self.cluster.start_controller()
        self._down = False
        self._backend.inner.slurm.timeout_s = 30.0
        self._until_up()
        self._asked = 0.0
        self._diary.kills[-1] = (self._diary.kills[-1][0], time.time())

    def _ask_nodes(self) -> None:
        """Make the nodes say what really runs there, as Slurm does by itself only now and then.

        It believes them about jobs that were started more than `BatchStartTimeout` (10 s) ago.
        """
        if not self._down and time.monotonic() - self._asked > self.ask_s:
            self._asked = time.monotonic()
            self.cluster.run("scontrol", "reconfigure", check=False)
            self._until_up()
            # a killed Slurm forgets that it gave a number, gives it again, and closes the node that knows of both
            for row in self.cluster.run("sinfo", "-h", "-p", "main", "-N", "-o", "%N %E", check=False).splitlines():
                node, _, reason = row.partition(" ")
                if reason.startswith("Duplicate jobid"):
                    self.by_slurm["nodes closed for a number given twice, opened"] += 1
                    self._resume(node)

    def _until_up(self) -> None:
        for _ in range(UP):
            states = self.cluster.run("sinfo", "-h", "-p", "main", "-N", "-o", "%t", check=False).split()
            if len(states) == len(self.cluster.models) and all(
                state in ("idle", "mix", "alloc", "comp", "drain", "drng") for state in states
            ):
                return
            for node in self.cluster.models:
                if "down" in states:
                    self._resume(node)
            time.sleep(0.3)
        raise Broken(f"Slurm did not come back: {self.cluster.run('sinfo', '-N', '-R', check=False)}")

    def _ended_well(self, number: str) -> bool:
        """Return whether the job that has this number now has ended."""
        return self._diary.ended_well(self._key.get(number, ""))

    def _finish(self) -> None:
        """Let all jobs end, and look at what was lost or done twice.

        Raises
        ------
        Broken: by us.
        """
        for _ in range(END):
            self._ask_nodes()
            cycle = self._cycle()
            if cycle is not None and cycle.observation is not None:
                left = cycle.observation.jobs.filter(cycle.observation.jobs["state"] != ENDED)
                if left.is_empty():
                    break
                self._release(
                    left.filter((left["state"] == BLOCKED) & left["why"].str.contains("Held|Hold|launch"))["job_id"]
                )
        states = self._states()
        for job in self.jobs:
            self._diary.judge(job, states.get(job, "gone"))
        if self._again:
            raise Broken(f"{self._again[:3]} were started although they ran or had ended")

    def _release(self, jobs: Iterable[str]) -> None:
        """Do what an operator does with jobs that Slurm held because their node died while they were started."""
        for job in jobs:
            self.by_slurm["held after a failed start, released"] += 1
            self.cluster.run("scontrol", "release", job, check=False)

    def _states(self) -> dict[str, str]:
        rows = self.cluster.run("squeue", "-h", "-a", "-r", "-t", "all", "-o", "%i %t %r").splitlines()
        states = {row.split()[0]: row.split(None, 1)[1] for row in rows if row.split()}
        return {key: states[number] for number, key in self._key.items() if number in states}

    def table(self) -> str:
        """Return what was thrown and how long it took to heal, as text."""
        lines = [f"{fault:26}{self.thrown[fault]:5}" for fault in self.kinds]
        healed = sorted(self.healed_in)
        runs = sum(1 for each in self._diary.marks().values() for mark, *_ in each if mark == "S")
        lines += [
            f"{'all':26}{sum(self.thrown.values()):5}",
            f"{len(self.jobs)} jobs, {runs} runs, {self.cycles} cycles of which {self.troubles} failed, "
            f"{self.restarts} restarts of the controller, {self.looks} looks at the devices",
            f"as it should be again after {healed[len(healed) // 2]} cycles (median), {healed[-1]} at most",
            "nothing was lost by us, started twice or held twice",
            "by Slurm, when it was killed: "
            + (", ".join(f"{count} {what}" for what, count in sorted(self.by_slurm.items())) or "nothing lost"),
        ]
        return "\n".join(lines)


def main() -> None:
    """Throw the faults and print the table."""
    faults, seed = (int(text) for text in (sys.argv[1:] + ["200", "0"][len(sys.argv) - 1 :])[:2])
    began = time.monotonic()
    with slurm_cluster({"a100": 6}, gpus=4) as cluster:
        chaos = Chaos(
            cluster, faults, seed, report=lambda text: print(f"{time.monotonic() - began:.0f} {text}", flush=True)
        )
        try:
            chaos.run()
        except Broken:
            print(chaos._folder, cluster.run("squeue", "-a", "-r", check=False))
            raise
        print(chaos.table())
    print(f"{time.monotonic() - began:.0f} s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
