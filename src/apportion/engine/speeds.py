"""How fast each job of a run progresses on each GPU model, and the classes that bind it to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.engine.encode import Encoded
from apportion.engine.layout import F8, I4, I8, RUNNING, Records
from apportion.engine.run import Engine
from apportion.engine.scaling import Scaling, scaling_of
from apportion.engine.view import View
from apportion.model.workload import Workload


@dataclass
class Speeds:
    """Speeds by job and GPU model.

    Parameters
    ----------
    encoded: of the run. speed: f8[jobs, models], units of work a second on the GPUs asked for, 0 where it cannot run.
    units: f8[jobs], work in all: training steps where the job has a profile, else seconds. gpus: f8[jobs].
    least, most: f8[jobs], bounds of elastic jobs. weight: f8[jobs]. deadline_s: f8[jobs], inf = none.
    work_s: f8[jobs], run times. per_second: f8[jobs], units of work in a second of run time, which is the speed on the
    model that run times are of. profiled: whose speeds were measured. scaling: how speed grows with GPUs. held:
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
    per_second: F8
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

    def relative(self, job: int, model: int) -> float:
        """Return by how much faster than its run time says a job runs on a model (-1 = on whatever it is given)."""
        if model < 0 or not self.profiled[job]:
            return 1.0
        return float(self.speed[job, model] / self.per_second[job])

    def relative_beside(self, job: int, other: int, model: int) -> float:
        """Return the same for a job that shares all its GPUs with another one."""
        assert self.kind is not None and self.beside is not None
        older, younger = min(job, other), max(job, other)
        speed = self.beside[self.kind[older], self.kind[younger], model, int(job == younger)]
        return float(speed / self.per_second[job])

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
    work, profiled, per_second = units.copy(), np.zeros(table.height, bool), np.ones(table.height)
    if workload.profiles is not None and "total_steps" in table.columns and table.height:
        known = workload.profiles.speeds(names, gpus.astype(np.int64).tolist(), models)
        found = known.max(axis=1) > 0
        if len(encoded.models) < 1:
            # nodes without a model: the speed of the run times
            known = table["steps_per_s"].to_numpy().astype(np.float64)[:, None]
            found = known[:, 0] > 0
        speed[found], profiled = known[found], found
        units = np.where(found, table["total_steps"].to_numpy().astype(np.float64), units)
        per_second = np.where(found, table["steps_per_s"].fill_null(1.0).to_numpy().astype(np.float64), 1.0)
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
    return Speeds(encoded, speed, units, gpus, least, most, weight, deadline, work, per_second, profiled, scaling)


def rates_of(workload: Workload, models: Sequence[str]) -> tuple[I4, F8] | None:
    """Return how fast jobs are on each GPU model, over the one that run times are of; None where all are alike.

    Returns
    -------
    (i4[jobs], row of the rates, -1 = not profiled; f8[profiles, models], 0 = cannot run there).
    """
    table = workload.table
    if workload.profiles is None or "steps_per_s" not in table.columns or not models:
        return None
    keys = ["profile", "gpus", "steps_per_s"]
    distinct = table.select(keys).unique(maintain_order=True).filter(pl.col("steps_per_s") > 0)
    names, widths = distinct["profile"].to_list(), distinct["gpus"].to_list()
    speed = workload.profiles.speeds(names, widths, models) / distinct["steps_per_s"].to_numpy()[:, None]
    known = speed.max(axis=1, initial=0.0) > 0
    if not known.any() or np.allclose(speed[known], 1.0, rtol=1e-9):
        return None
    numbered = distinct.filter(pl.Series(known)).with_columns(row=pl.int_range(int(known.sum()), dtype=pl.Int32))
    row = table.select(keys).join(numbered, on=keys, how="left", nulls_equal=True, maintain_order="left")["row"]
    return row.fill_null(-1).to_numpy(), speed[known]


def where_it_runs(workload: Workload, models: Sequence[str]) -> Workload:
    """Return the workload with each job bound to the GPU models on which its profile says it runs."""
    found = rates_of(workload, models)
    if found is None or (found[1] > 0).all():
        return workload
    profile, rates = found
    able = [[model for model, rate in zip(models, row, strict=True) if rate > 0] for row in rates]
    asked = workload.table["gpu_models"].to_list()
    bound = [
        given if row < 0 or len(able[row]) == len(models) else _both(given, able[row])
        for given, row in zip(asked, profile.tolist(), strict=True)
    ]
    return replace(workload, table=workload.table.with_columns(gpu_models=pl.Series(bound, dtype=pl.List(pl.String))))


def _both(asked: list[str], able: list[str]) -> list[str]:
    """Return the models that are asked for (none = any) and able; where there are none, those asked for."""
    return [model for model in able if model in asked or not asked] or asked
