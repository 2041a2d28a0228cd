"""A reference simulator: slow, obvious, and sharing no code with the engine, so that the two can be compared.

It holds its state in plain objects, forgets nothing and recomputes everything: served time is added up from
the list of all runs, a queue is sorted at every pass, and every waiting job is tried at every pass.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

WHOLE = 1000
INF = math.inf
PREEMPTIVE = ("srtf", "las")
MOST_EVENTS = 100_000


@dataclass(frozen=True)
class NodeSpec:
    """A node: `gpus` devices of `gpu_model` (one amount if `pooled`), CPU, memory, the group that owns it."""

    gpus: int
    cpu_milli: int = 1 << 40
    memory_mib: int = 1 << 40
    gpu_model: str | None = None
    group: str | None = None
    pooled: bool = False


@dataclass(frozen=True)
class JobSpec:
    """A job: when it comes, how long it runs and is thought to run (s), and what each of its tasks needs."""

    submit: float = 0.0
    duration: float = 1.0
    estimate: float | None = None
    tasks: int = 1
    gpus: int = 1
    gpu_milli: int = WHOLE
    cpu_milli: int = 0
    memory_mib: int = 0
    gpu_models: tuple[str, ...] = ()
    user: str = ""
    group: str = ""
    priority: int = 0
    preemptible: bool = True


@dataclass(frozen=True)
class Settings:
    """How a world is run.

    Parameters
    ----------
    order: a name of `STATIC`, `FAIR` or `PREEMPTIVE`. placement: a name of `SCORES`.
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


@dataclass(frozen=True)
class Shape:
    """What one piece takes from the one node that it runs on; `gpus` is 0 where no GPU is needed."""

    gpus: int
    milli: int
    cpu: int
    memory: int


class Node:
    """A node as it is now; a pool is a node with a single device of many thousand milli."""

    def __init__(self, spec: NodeSpec) -> None:
        self.spec = spec
        self.up = True
        self.free_cpu, self.free_memory = spec.cpu_milli, spec.memory_mib
        self.free = [spec.gpus * WHOLE] if spec.pooled else [WHOLE] * spec.gpus
        self.tasks = 0

    @property
    def free_milli(self) -> int:
        return sum(self.free)

    def takes(self, shape: Shape) -> bool:
        """Return whether a piece of this shape fits now."""
        if not self.up or shape.cpu > self.free_cpu or shape.memory > self.free_memory:
            return False
        if shape.gpus == 0:
            return True
        if self.spec.pooled:
            return shape.gpus * shape.milli <= self.free_milli
        return sum(free >= shape.milli for free in self.free) >= shape.gpus

    def devices_for(self, shape: Shape) -> list[int]:
        """Return the devices a fitting piece gets: the fullest that have room, the lowest index on ties.

        For whole devices that is the lowest idle ones, as only idle devices have room.
        """
        roomy = [d for d in range(len(self.free)) if self.free[d] >= shape.milli]
        return sorted(roomy, key=lambda d: (self.free[d], d))[: shape.gpus]


@dataclass(frozen=True)
class Piece:
    """A piece in its place; `devices` is empty in a pool and where no GPU is needed."""

    node: int
    shape: Shape
    devices: tuple[int, ...]


def take(nodes: list[Node], index: int, shape: Shape) -> Piece:
    """Put a piece on a node on which it fits."""
    node = nodes[index]
    assert node.takes(shape)
    devices = () if shape.gpus == 0 or node.spec.pooled else tuple(node.devices_for(shape))
    piece = Piece(index, shape, devices)
    _change(node, piece, -1)
    return piece


def give_back(nodes: list[Node], pieces: list[Piece]) -> None:
    """Take pieces off their nodes."""
    for piece in pieces:
        _change(nodes[piece.node], piece, +1)


def _change(node: Node, piece: Piece, sign: int) -> None:
    node.free_cpu += sign * piece.shape.cpu
    node.free_memory += sign * piece.shape.memory
    node.tasks -= sign
    if node.spec.pooled:
        node.free[0] += sign * piece.shape.gpus * piece.shape.milli
    for device in piece.devices:
        node.free[device] += sign * piece.shape.milli
    most = node.spec.gpus * WHOLE if node.spec.pooled else WHOLE
    assert all(0 <= free <= most for free in node.free)
    assert 0 <= node.free_cpu <= node.spec.cpu_milli and 0 <= node.free_memory <= node.spec.memory_mib


def utilisation(node: Node) -> float:
    """Return the whole percent of CPU and GPU in use, as the simulator published with PAI counts it."""
    cpu = 1 - node.free_cpu / node.spec.cpu_milli if node.spec.cpu_milli else 0.0
    if node.spec.gpus == 0:
        return round(100 * cpu)
    gpu = 1 - node.free_milli / (node.spec.gpus * WHOLE)
    return round(100 * (gpu + cpu) / 2)


def left_over(node: Node, shape: Shape) -> float:
    """Return CPU and GPU left free behind a piece, each in units of a large node, halved."""
    cpu = 0.5 * (node.free_cpu - shape.cpu) / 128_000
    return cpu + 0.5 * (node.free_milli - shape.gpus * shape.milli) / (8 * WHOLE)


SCORES: dict[str, Callable[[Node, Shape], float]] = {
    "first-fit": lambda node, shape: 0,
    "best-fit": lambda node, shape: -math.trunc(100 * (1 - left_over(node, shape))),
    "worst-fit": lambda node, shape: -node.free_milli,
    "load-balance": lambda node, shape: utilisation(node),
    "spread": lambda node, shape: node.tasks,
}


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
        self.eligible = [i for i, node in enumerate(nodes) if self._may_use(node)]
        self.partition = spec.group if any(node.group == spec.group for node in nodes) else None
        self.pieces = self._pieces(max((nodes[i].gpus for i in self.eligible), default=0))

    def _may_use(self, node: NodeSpec) -> bool:
        model_fits = not self.spec.gpu_models or node.gpu_model in self.spec.gpu_models
        return model_fits and node.group in (None, self.spec.group)

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


def place(nodes: list[Node], job: Job, placement: str) -> list[Piece] | None:
    """Put every piece of a job on its best node, or none of them (None)."""
    score = SCORES[placement]
    placed: list[Piece] = []
    for shape in job.pieces:
        open_nodes = [i for i in job.eligible if nodes[i].takes(shape)]
        if not open_nodes:
            give_back(nodes, placed)
            return None
        best = min(open_nodes, key=lambda i: (score(nodes[i], shape), i))
        placed.append(take(nodes, best, shape))
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
        pieces = place(self.nodes, job, self.settings.placement)
        if pieces is not None:
            self._begin(job, pieces)
        return pieces is not None

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
            pieces = place(self.nodes, job, self.settings.placement)
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
            if place(future, head, self.settings.placement) is not None:
                return end, future
        return INF, future

    def _also_fits(self, future: list[Node], pieces: list[Piece]) -> bool:
        """Take the same nodes in the future too, if all pieces have room there beside the queue's head."""
        taken: list[Piece] = []
        for piece in pieces:
            if not future[piece.node].takes(piece.shape):
                give_back(future, taken)
                return False
            taken.append(take(future, piece.node, piece.shape))
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
        for _, _, _, job, running in sorted(listed, key=lambda entry: entry[:3]):
            if job.milli <= quota:
                quota -= job.milli
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
            left = [job for job in self.waiting if job.partition == partition]
            for job in sorted(left, key=lambda j: j.entry_key):
                self._start(job)
        return not all(placed)

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
        return place(world, job, self.settings.placement) is not None


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
