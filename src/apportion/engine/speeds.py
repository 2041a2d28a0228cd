"""How fast each job of a run progresses on each GPU model, and the classes that bind it to one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.engine.encode import Encoded
from apportion.engine.layout import F8, I8, RUNNING, Records
from apportion.engine.run import Engine
from apportion.engine.scaling import Scaling, scaling_of
from apportion.engine.view import View


@dataclass
class Speeds:
    """Speeds by job and GPU model.

    Parameters
    ----------
    encoded: of the run. speed: f8[jobs, models], units of work a second on the GPUs asked for, 0 where it cannot run.
    units: f8[jobs], work in all: training steps where the job has a profile, else seconds. gpus: f8[jobs].
    least, most: f8[jobs], bounds of elastic jobs. weight: f8[jobs]. deadline_s: f8[jobs], inf = none.
    work_s: f8[jobs], run times. profiled: whose speeds were measured. scaling: how speed grows with GPUs. held:
    i8[jobs], the model each runs or ran on. kind, beside: speeds on devices that are shared, as in `View`; None where
    no pair was measured, or before `pair`.
    """

    encoded: Encoded
    speed: F8
    units: F8
    gpus: F8
    least: F8
    most: F8
    weight: F8
    deadline_s: F8
    work_s: F8
    profiled: npt.NDArray[np.bool_]
    scaling: Scaling
    kind: I8 | None = None
    beside: F8 | None = None
    held: I8 = field(init=False)

    def __post_init__(self) -> None:
        self.held = np.full(self.units.size, -1, np.int64)

    def pair(self) -> None:
        """Find out how fast jobs are that share their devices."""
        workload = self.encoded.workload
        if self.beside is None and workload.profiles is not None and workload.profiles.pairs.height:
            names, widths = workload.table["profile"].to_list(), self.gpus.astype(np.int64).tolist()
            self.kind, self.beside = workload.profiles.beside(names, widths, self.models)

    @property
    def models(self) -> tuple[str | None, ...]:
        """Return the GPU models, a single None where the nodes do not say."""
        return tuple(self.encoded.models) or (None,)

    def capacity(self, engine: Engine) -> F8:
        """Return the GPUs of the nodes that are up, by model."""
        nodes = engine.arrays["nodes"]
        model = np.maximum(nodes["model"], 0)
        return np.bincount(model, nodes["gpus"] * nodes["up"], len(self.models)).astype(np.float64)

    @property
    def per_second(self) -> F8:
        """Return units of work that a second of run time stands for: f8[jobs]."""
        return self.units / np.maximum(self.work_s, 1e-300)

    def relative(self, job: int, model: int) -> float:
        """Return by how much faster than its run time says a job runs on a model (-1 = on whatever it is given)."""
        if model < 0 or not self.profiled[job]:
            return 1.0
        return float(self.speed[job, model] * self.work_s[job] / self.units[job])

    def relative_beside(self, job: int, other: int, model: int) -> float:
        """Return the same for a job that shares all its GPUs with another one."""
        assert self.kind is not None and self.beside is not None
        older, younger = min(job, other), max(job, other)
        speed = self.beside[self.kind[older], self.kind[younger], model, int(job == younger)]
        return float(speed * self.work_s[job] / self.units[job])

    def view(
        self, engine: Engine, jobs: I8, capacity: F8, speed: F8, done: F8, left: F8, attained_s: F8, table: Records
    ) -> View:
        """Return what an allocator may look at."""
        running = table["state"][jobs] == RUNNING
        nodes = engine.arrays["nodes"].view()
        nodes.flags.writeable = False
        best = speed.max(axis=1)
        return View(
            engine.number("now"),
            jobs,
            running,
            self.gpus[jobs],
            np.where(running, self.gpus[jobs], 0.0),
            table["submit"][jobs],
            attained_s,
            left / np.maximum(best, 1e-300),
            self.least[jobs],
            self.most[jobs],
            self.encoded.user[jobs].astype(np.int64),
            self.encoded.group[jobs].astype(np.int64),
            nodes,
            float(capacity.sum()),
            jobs,
            self.models,
            capacity,
            speed,
            done,
            left,
            self.weight[jobs],
            self.deadline_s[jobs],
            on=np.where(running, self.held[jobs], -1),
            scaling=self.scaling,
            kind=None if self.kind is None else self.kind[jobs],
            beside=self.beside,
        )


def speeds_of(encoded: Encoded, least: F8, most: F8) -> Speeds:
    """Return the speeds of a run: from the workload's profiles, else a second of work a second wherever allowed."""
    workload = encoded.workload
    table = workload.table
    models: list[str | None] = list(encoded.models) or [None]
    gpus = encoded.milli / 1000
    units = table["duration_s"].to_numpy().astype(np.float64)
    speed = np.ones((table.height, len(models)))
    names = table["profile"].to_list()
    work, profiled = units.copy(), np.zeros(table.height, bool)
    if workload.profiles is not None and "total_steps" in table.columns and table.height:
        known = workload.profiles.speeds(names, gpus.astype(np.int64).tolist(), models)
        found = known.max(axis=1) > 0
        if len(encoded.models) < 1:
            # nodes without a model: the speed of the run times
            known = table["steps_per_s"].to_numpy().astype(np.float64)[:, None]
            found = known[:, 0] > 0
        speed[found], profiled = known[found], found
        units = np.where(found, table["total_steps"].to_numpy().astype(np.float64), units)
    allowed = table["gpu_models"].list.len().to_numpy() > 0
    if allowed.any():
        for k, model in enumerate(models):
            fits = table["gpu_models"].list.contains(pl.lit(model)).to_numpy()
            speed[allowed & ~fits, k] = 0.0
    weight = np.ones(table.height)
    if "priority_weight" in table.columns:
        weight = table["priority_weight"].cast(pl.Float64).fill_null(1.0).to_numpy()
    deadline = table["deadline_s"].fill_null(np.inf).to_numpy()
    scaling = scaling_of(workload, gpus, least, most)
    return Speeds(encoded, speed, units, gpus, least, most, weight, deadline, work, profiled, scaling)
