"""The door for allocators: the loop stops at a round, hands out a view, and carries out what comes back.

An allocator is ordinary Python. It sees the jobs that wait or run, with what they have received, and answers with the
GPUs each gets until the next round. A job that gets what it has goes on undisturbed; one that gets nothing is
suspended; one that gets another number is restarted with it and progresses in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from apportion.engine import loop
from apportion.engine.encode import Encoded, make_kind
from apportion.engine.layout import F8, I8, PENDING, RUNNING, TASK, Records
from apportion.engine.run import Engine
from apportion.engine.state import index_arrays
from apportion.engine.world import KIND


@dataclass(frozen=True)
class View:
    """What an allocator sees at a round. All arrays have an entry per active job, in the order of submission.

    Parameters
    ----------
    now_s: time. jobs: i8, row numbers in the workload. running: bool.
    gpus: f8, GPUs asked for; held: f8, GPUs held now (0 while waiting).
    submit_s, attained_s, remaining_s: f8; attained: work done, remaining: work left, at the demanded size.
    least, most: f8, bounds of an elastic job (both `gpus` for a rigid one). user, group: i8.
    nodes: `NODE` records, read only. capacity_gpus: GPUs of the nodes that are up.
    number: i8, a name of each job that stays the same as long as the allocator is asked (`jobs` does not when a real
    cluster is run).
    """

    now_s: float
    jobs: I8
    running: npt.NDArray[np.bool_]
    gpus: F8
    held: F8
    submit_s: F8
    attained_s: F8
    remaining_s: F8
    least: F8
    most: F8
    user: I8
    group: I8
    nodes: Records
    capacity_gpus: float
    number: I8


@dataclass(frozen=True)
class Decision:
    """What an allocator wants until the next round.

    Parameters
    ----------
    gpus: f8, aligned with `View.jobs`: GPUs of each job, 0 = wait. start_order: i8, positions in `View.jobs`; those
    that get GPUs and do not run are started in this order (default: as they stand).
    """

    gpus: F8
    start_order: I8 | None = None


@dataclass
class Rounds:
    """Carries an allocator's decisions out.

    Parameters
    ----------
    encoded: of the run. least, most: f8[jobs], GPU bounds of elastic jobs. round_s: seconds between rounds.
    numbers: i8[jobs], lasting names of the jobs; default their row numbers.
    """

    encoded: Encoded
    least: F8
    most: F8
    round_s: float
    numbers: I8 | None = None
    _held: F8 = field(init=False)
    _shapes: dict[tuple[int, ...], int] = field(init=False)
    _kind_of: dict[tuple[int, float], int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._held = np.zeros(len(self.encoded.kind))
        self._shapes = {tuple(int(v) for v in task): i for i, task in enumerate(self.encoded.tasks)}

    def hold(self, jobs: I8) -> None:
        """Note that these jobs already run, with what they ask for."""
        self._held[jobs] = self.encoded.milli[jobs] / 1000

    def view(self, engine: Engine) -> View:
        """Return what an allocator may look at now."""
        table = engine.arrays["jobs"]
        arrived = int(engine.number("arrived"))
        state = table["state"][:arrived]
        jobs = np.flatnonzero((state == PENDING) | (state == RUNNING))
        if self.numbers is not None:
            jobs = jobs[np.argsort(self.numbers[jobs], kind="stable")]
        now = engine.number("now")
        running = state[jobs] == RUNNING
        ran = np.where(running, (now - table["started"][jobs]) * table["rate"][jobs], 0.0)
        left = table["remaining"][jobs] - ran
        nodes = engine.arrays["nodes"].view()
        nodes.flags.writeable = False
        return View(
            now,
            jobs,
            running,
            self.encoded.milli[jobs] / 1000,
            np.where(running, self._held[jobs], 0.0),
            table["submit"][jobs],
            table["work"][jobs] - left,
            left,
            self.least[jobs],
            self.most[jobs],
            self.encoded.user[jobs].astype(np.int64),
            self.encoded.group[jobs].astype(np.int64),
            nodes,
            float((nodes["gpus"] * nodes["up"]).sum()),
            jobs if self.numbers is None else self.numbers[jobs],
        )

    def apply(self, engine: Engine, view: View, decision: Decision) -> None:
        """Suspend, resize and start; then set the time of the next round."""
        wanted = np.asarray(decision.gpus, float)
        for j in view.jobs[view.running & (wanted != view.held)]:
            loop.suspend(engine.root, int(j))
        order = np.arange(view.jobs.size) if decision.start_order is None else decision.start_order
        for i in np.flatnonzero((view.gpus == 0) & ~view.running):
            # what asks for no GPU is not the allocator's to give: it runs as soon as a node has the CPU
            self._start(engine, int(view.jobs[i]), 0.0, 0.0)
        for i in order:
            if wanted[i] > 0 and not (view.running[i] and wanted[i] == view.held[i]):
                self._start(engine, int(view.jobs[i]), float(wanted[i]), float(view.gpus[i]))
        engine.root["round_at"] = view.now_s + self.round_s

    def _start(self, engine: Engine, job: int, gpus: float, asked: float) -> None:
        kind = self._kind(engine, job, gpus, asked)
        engine.arrays["jobs"]["rate"][job] = gpus / asked if asked > 0 else 1.0
        while True:
            answer = loop.launch(engine.root, job, kind)
            if answer >= 0:
                break
            engine.grow()
        self._held[job] = gpus if answer else 0.0

    def _kind(self, engine: Engine, job: int, gpus: float, asked: float) -> int:
        own = int(self.encoded.kind[job])
        if gpus == asked:
            return own
        if (own, gpus) in self._kind_of:
            return self._kind_of[(own, gpus)]
        kinds = engine.arrays["kinds"]
        task = engine.arrays["tasks"][kinds["shape"][own]]
        # a resized job is one piece of so many GPUs; its CPU and memory grow and shrink with it
        per_gpu = max(int(task["gpus"]), 1)
        size = round(gpus)
        demand = (
            size,
            int(task["milli"]),
            int(task["cpu"]) * size // per_gpu,
            int(task["memory"]) * size // per_gpu,
        )
        row = make_kind(engine.arrays["nodes"], self._shapes, 1, demand, int(task["models"]), int(task["group"]))
        if len(self._shapes) > engine.arrays["tasks"].size:
            tasks = np.array(list(self._shapes), TASK)
            for name, array in index_arrays(engine.arrays["nodes"], tasks, engine.arrays["seconds"].size > 0).items():
                if name != "nodes":
                    engine.attach(name, array)
            engine.root["seen"] = 0
        engine.attach("kinds", np.append(kinds, np.array([row], KIND)))
        self._kind_of[(own, gpus)] = engine.arrays["kinds"].size - 1
        return self._kind_of[(own, gpus)]
