"""A reference simulator: slow, obvious, and sharing no code with the engine, so that the two can be compared.

It holds its state in plain objects, forgets nothing and recomputes everything: served time is added up from
the list of all runs, a queue is sorted at every pass, and every waiting job is tried at every pass.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from reference_parts import INF, WHOLE, JobSpec, Node, NodeSpec, Piece, Shape, give_back, may_use, owner, take
from reference_placements import RULES, SIMPLE, Target, typical_tasks, utilisation

PREEMPTIVE = ("srtf", "las")
MOST_EVENTS = 100_000


@dataclass(frozen=True)
class Settings:
    """How a world is run.

    Parameters
    ----------
    order: a name of `STATIC`, `FAIR` or `PREEMPTIVE`. placement: a name of `RULES`.
    backfill: skip, strict or easy (easy: static orders in an undivided cluster only).
    failures: (time, node, up), ascending in time. quantum .. queued_first: preemptive orders only.
    """

    order: str = "fifo"
    placement: str = "first-fit"
    backfill: str = "skip"
    granularity: float = 0.0
    until: float = INF
    failures: tuple[tuple[float, int, bool], ...] = ()
    checkpoint_cost: float = 0.0
    checkpoint_interval: float = 0.0
    quantum: float = 0.0
    quantum_when_stuck: bool = False
    conserve: bool = True
    queued_first: bool = False


@dataclass(frozen=True)
class World:
    """Everything a simulation depends on; `jobs` ascend in their time of submission."""

    nodes: tuple[NodeSpec, ...]
    jobs: tuple[JobSpec, ...]
    settings: Settings = field(default_factory=Settings)


class Job:
    """A job as it is now: what is left to do, and what became of it."""

    def __init__(self, row: int, spec: JobSpec, nodes: tuple[NodeSpec, ...]) -> None:
        self.row, self.spec = row, spec
        self.state = "unfinished"
        self.remaining = spec.duration
        self.preemptions = self.restarts = 0
        self.entry_key = 0.0
        self.estimate = spec.duration if spec.estimate is None else spec.estimate
        self.gpus = spec.gpus if spec.gpu_milli else 0
        self.milli = spec.tasks * self.gpus * spec.gpu_milli
        self.eligible = [i for i, node in enumerate(nodes) if may_use(node, spec.gpu_models, spec.group)]
        self.partition = owner(spec.group, nodes)
        self.pieces = self._pieces(max((nodes[i].gpus for i in self.eligible), default=0))

    def _pieces(self, most: int) -> list[Shape]:
        """Cut tasks that no node could hold, `most` GPUs being the largest node's."""
        if most == 0 or self.gpus <= most:
            return [self._shape(self.gpus)] * self.spec.tasks
        whole, rest = divmod(self.gpus, most)
        if rest == 0:
            return [self._shape(most)] * (whole * self.spec.tasks)
        if self.spec.tasks == 1:
            return [self._shape(most)] * whole + [self._shape(rest)]
        return [self._shape(self.gpus)] * self.spec.tasks

    def _shape(self, size: int) -> Shape:
        spec = self.spec
        if size == self.gpus:
            return Shape(size, spec.gpu_milli, spec.cpu_milli, spec.memory_mib)
        cpu, memory = (-(-amount * size // self.gpus) for amount in (spec.cpu_milli, spec.memory_mib))
        return Shape(size, spec.gpu_milli, cpu, memory)

    @property
    def likely(self) -> float:
        """What is left by the estimate, in seconds; may be below 0 when the estimate was short."""
        return self.remaining + self.estimate - self.spec.duration


@dataclass(eq=False)
class Run:
    """One stretch of a job: `end` is None while it runs, `due` is when it ends if nothing comes between."""

    job: Job
    start: float
    due: float
    likely_end: float
    pieces: list[Piece]
    end: float | None = None

    def seconds(self, now: float) -> float:
        return (now if self.end is None else self.end) - self.start


STATIC: dict[str, Callable[[Job], float]] = {
    "fifo": lambda job: job.spec.submit,
    "sjf": lambda job: job.spec.duration,
    "estimate sjf": lambda job: job.estimate,
    "ljf": lambda job: -job.spec.duration,
    "smallest": lambda job: job.milli,
    "priority": lambda job: -job.spec.priority,
}

FAIR: dict[str, Callable[[Job], str]] = {
    "fair[user]": lambda job: job.spec.user,
    "fair[group]": lambda job: job.spec.group,
}


def place(nodes: list[Node], job: Job, placement: str, target: Target = ()) -> list[Piece] | None:
    """Put every piece of a job on its best node, or none of them (None); `target` is what `fgd` looks at."""
    rule = RULES[placement]
    placed: list[Piece] = []
    for shape in job.pieces:
        open_nodes = [i for i in job.eligible if nodes[i].takes(shape)]
        if not open_nodes:
            give_back(nodes, placed)
            return None
        best = min(open_nodes, key=lambda i: (rule.key(nodes[i], shape, target), i))
        placed.append(take(nodes, best, shape, rule.devices(nodes[best], shape, target)))
    return placed


class Simulation:
    """A world in the course of time; `run` plays it to its end, then `runs` and `jobs` tell what happened."""

    def __init__(self, world: World) -> None:
        assert all(a.submit <= b.submit for a, b in zip(world.jobs, world.jobs[1:]))
        self.settings = world.settings
        self.now = 0.0
        self.nodes = [Node(spec) for spec in world.nodes]
        self.jobs = [Job(row, spec, world.nodes) for row, spec in enumerate(world.jobs)]
        self.runs: list[Run] = []
        self.running: list[Run] = []
        self.waiting: list[Job] = []
        self.to_arrive = list(self.jobs)
        self.to_fail = list(world.settings.failures)
        self.timer: float | None = None
        self.target = typical_tasks(world.jobs, world.nodes)
        self.bound = {models for job in self.jobs if (models := self._models(job))}
        self.partitions = [*dict.fromkeys(n.group for n in world.nodes if n.group is not None), None]
        for job in self.jobs:
            if place([Node(spec) for spec in world.nodes], job, "first-fit") is None:
                job.state = "rejected"

    # -- time

    def run(self) -> Simulation:
        """Play the world; return self."""
        for _ in range(MOST_EVENTS):
            moment = self._next_moment()
            if moment is None or moment > self.settings.until:
                return self
            self.now = moment
            self._end_runs()
            self._fail_and_repair()
            self._arrive()
            self.timer = None
            self._schedule()
        raise RuntimeError(f"more than {MOST_EVENTS} events: a world that goes round in circles?")

    def _next_moment(self) -> float | None:
        times = [run.due for run in self.running] + [job.spec.submit for job in self.to_arrive]
        if self.running or self.waiting or self.to_arrive:
            times += [time for time, _, _ in self.to_fail]
        if self.timer is not None:
            times.append(self.timer)
        if not times:
            return None
        step = self.settings.granularity
        return math.ceil(min(times) / step) * step if step > 0 else min(times)

    def _end_runs(self) -> None:
        for run in sorted((r for r in self.running if r.due <= self.now), key=lambda r: r.due):
            self._close(run, run.due)
            run.job.remaining = 0.0
            run.job.state = "completed"

    def _fail_and_repair(self) -> None:
        while self.to_fail and self.to_fail[0][0] <= self.now:
            _, index, up = self.to_fail.pop(0)
            self.nodes[index].up = up
            if up:
                continue
            for run in [r for r in self.running if any(piece.node == index for piece in r.pieces)]:
                self._stop(run)
                job, interval = run.job, self.settings.checkpoint_interval
                done = max(job.spec.duration - job.remaining, 0.0)
                kept = math.floor(done / interval) * interval if interval > 0 else 0.0
                job.remaining = job.spec.duration - kept
                job.restarts += 1
                self._enqueue(job)

    def _arrive(self) -> None:
        while self.to_arrive and self.to_arrive[0].spec.submit <= self.now:
            job = self.to_arrive.pop(0)
            if job.state != "rejected":
                self._enqueue(job)

    # -- what a pass is made of

    def _enqueue(self, job: Job) -> None:
        self.waiting.append(job)
        job.entry_key = self._urgency(job)

    def _start(self, job: Job) -> bool:
        pieces = self._place(self.nodes, job)
        if pieces is not None:
            self._begin(job, pieces)
        return pieces is not None

    def _place(self, nodes: list[Node], job: Job) -> list[Piece] | None:
        return place(nodes, job, self.settings.placement, self.target)

    def _begin(self, job: Job, pieces: list[Piece]) -> None:
        run = Run(job, self.now, self.now + job.remaining, self.now + job.likely, pieces)
        self.waiting.remove(job)
        self.runs.append(run)
        self.running.append(run)

    def _stop(self, run: Run) -> None:
        self._close(run, self.now)
        run.job.remaining = run.due - self.now

    def _close(self, run: Run, end: float) -> None:
        run.end = end
        self.running.remove(run)
        give_back(self.nodes, run.pieces)

    def _served(self, belongs: Callable[[Job], bool]) -> float:
        """Return the milli-GPU-seconds that jobs had so far."""
        return sum(run.seconds(self.now) * run.job.milli for run in self.runs if belongs(run.job))

    def _in_order(self) -> list[Job]:
        order = self.settings.order
        key = {job: STATIC[order](job) if order in STATIC else self._fair_key(job) for job in self.waiting}
        return sorted(self.waiting, key=lambda job: (key[job], job.row))

    def _fair_key(self, job: Job) -> float:
        owner = FAIR[self.settings.order]
        return self._served(lambda other: owner(other) == owner(job))

    # -- the three kinds of pass

    def _schedule(self) -> None:
        if self.settings.order in PREEMPTIVE:
            self._pass_with_preemption()
        elif self.settings.backfill == "easy":
            self._pass_easy()
        else:
            self._pass_in_order()

    def _pass_in_order(self) -> None:
        blocked = set()
        for job in self._in_order():
            if job.partition not in blocked and not self._start(job) and self.settings.backfill == "strict":
                blocked.add(job.partition)

    def _pass_easy(self) -> None:
        assert self.settings.order in STATIC and self.partitions == [None]
        queue = self._in_order()
        while queue and self._start(queue[0]):
            queue.pop(0)
        if not queue:
            return
        shadow, future = self._reserve(queue[0])
        for job in queue[1:]:
            pieces = self._place(self.nodes, job)
            if pieces is None:
                continue
            if self.now + job.likely <= shadow or self._also_fits(future, pieces):
                self._begin(job, pieces)
            else:
                give_back(self.nodes, pieces)

    def _reserve(self, head: Job) -> tuple[float, list[Node]]:
        """Return when the queue's head can start by the estimates, and the nodes then with it on them."""
        future = copy.deepcopy(self.nodes)
        ends = {run: max(self.now, run.likely_end) for run in self.running}
        for end in sorted(set(ends.values())):
            for run in self.running:
                if ends[run] == end:
                    give_back(future, run.pieces)
            if self._place(future, head) is not None:
                return end, future
        return INF, future

    def _also_fits(self, future: list[Node], pieces: list[Piece]) -> bool:
        """Take the same nodes in the future too, if all pieces have room there beside the queue's head."""
        rule = RULES[self.settings.placement]
        taken: list[Piece] = []
        for piece in pieces:
            if not future[piece.node].takes(piece.shape):
                give_back(future, taken)
                return False
            node = future[piece.node]
            taken.append(take(future, piece.node, piece.shape, rule.devices(node, piece.shape, self.target)))
        return True

    def _urgency(self, job: Job, run: Run | None = None) -> float:
        """Return the preemptive orders' key of a waiting job, or of the one that is running as `run`."""
        if self.settings.order == "las":
            return self._served(lambda other: other is job)
        return job.remaining if run is None else run.due - self.now

    def _pass_with_preemption(self) -> None:
        stuck = False
        for partition in self.partitions:
            if any(job.partition == partition for job in self.waiting):
                stuck |= self._replan(partition)
        wanted = stuck or not self.settings.quantum_when_stuck
        if self.settings.quantum > 0 and wanted and self.waiting and self.running:
            self.timer = self.now + self.settings.quantum

    def _replan(self, partition: str | None) -> bool:
        """Give a partition's GPUs to its most urgent jobs; return whether one of them found no place."""
        usable = [n for n in self.nodes if n.up and n.spec.group in (None, partition)]
        mine = [run for run in self.running if run.job.partition == partition]
        quota = sum(n.spec.gpus * WHOLE for n in usable)
        quota -= sum(run.job.milli for run in mine if not run.job.spec.preemptible)

        queued_side = 0 if self.settings.queued_first else 2
        listed: list[tuple[float, int, int, Job, Run | None]] = []
        for place_in_list, job in enumerate(self.waiting):
            if job.partition == partition:
                listed.append((job.entry_key, queued_side, place_in_list, job, None))
        for place_in_list, run in enumerate(mine):
            if run.job.spec.preemptible:
                listed.append((self._urgency(run.job, run), 1, place_in_list, run.job, run))

        planned: list[Job] = []
        unlucky: list[Run] = []
        # what is left of every set of models that some jobs are bound to
        left = {models: sum(n.spec.gpus * WHOLE for n in usable if n.spec.gpu_model in models) for models in self.bound}
        for run in mine:
            for models in left:
                left[models] -= 0 if run.job.spec.preemptible else self._of_models(run.job, run, models)
        for _, _, _, job, running in sorted(listed, key=lambda entry: entry[:3]):
            parts = {models: self._of_models(job, running, models) for models in left}
            if job.milli <= quota and all(part <= max(left[models], 0) for models, part in parts.items()):
                quota -= job.milli
                left = {models: left[models] - part for models, part in parts.items()}
                if running is None:
                    planned.append(job)
            elif running is not None:
                unlucky.append(running)

        if not self.settings.conserve:
            for run in unlucky:
                self._preempt(run)
            unlucky = []
        placed = []
        for job in planned:
            started = self._start(job)
            if not started and self._fits_without(job, unlucky):
                while not started:
                    self._preempt(unlucky.pop())
                    started = self._start(job)
            placed.append(started)
        if self.settings.conserve:
            rest = [job for job in self.waiting if job.partition == partition]
            for job in sorted(rest, key=lambda j: j.entry_key):
                self._start(job)
        return not all(placed)

    def _models(self, job: Job) -> frozenset[str]:
        """Return those of the models that a job is bound to which there are."""
        return frozenset(job.spec.gpu_models) & {node.spec.gpu_model for node in self.nodes if node.spec.gpu_model}

    def _of_models(self, job: Job, run: Run | None, models: frozenset[str]) -> int:
        """Return the milli-GPU of a job that are of these models: what it holds of them, or can have nowhere else."""
        if run is None:
            own = self._models(job)
            return job.milli if own and own <= models else 0
        there = [piece.shape for piece in run.pieces if self.nodes[piece.node].spec.gpu_model in models]
        return sum(shape.gpus * shape.milli for shape in there)

    def _preempt(self, run: Run) -> None:
        self._stop(run)
        run.job.remaining += self.settings.checkpoint_cost
        run.job.preemptions += 1
        self._enqueue(run.job)

    def _fits_without(self, job: Job, runs: list[Run]) -> bool:
        """Say whether a job would find a place if these runs were gone."""
        world = copy.deepcopy(self.nodes)
        for run in runs:
            give_back(world, run.pieces)
        return self._place(world, job) is not None


@dataclass(frozen=True)
class RunRecord:
    """A run as it is compared: `pieces` are (node, device bit set, GPUs); `end` is None while it runs."""

    job: int
    start: float
    end: float | None
    pieces: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class JobRecord:
    """What became of a job: `state` is completed, rejected or unfinished."""

    state: str
    preemptions: int
    restarts: int


def simulate(world: World) -> tuple[list[RunRecord], list[JobRecord]]:
    """Play a world; return its runs in the order in which they started, and a record of each job."""
    done = Simulation(world).run()
    runs = []
    for run in done.runs:
        pieces = tuple((p.node, sum(1 << d for d in p.devices), p.shape.gpus) for p in run.pieces)
        runs.append(RunRecord(run.job.row, run.start, run.end, pieces))
    return runs, [JobRecord(j.state, j.preemptions, j.restarts) for j in done.jobs]


__all__ = [
    "FAIR",
    "INF",
    "PREEMPTIVE",
    "RULES",
    "SIMPLE",
    "STATIC",
    "Job",
    "JobRecord",
    "JobSpec",
    "Node",
    "NodeSpec",
    "Piece",
    "RunRecord",
    "Settings",
    "Shape",
    "World",
    "place",
    "simulate",
    "take",
    "utilisation",
]
