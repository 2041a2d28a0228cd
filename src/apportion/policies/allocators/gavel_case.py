"""What Gavel's linear programs are about: jobs, GPU models, the ways to run, and what always holds.

Narayanan et al., OSDI 2020, section 3. X[m, j]: part of the time that job m runs on GPU model j; T[m, j]: its speed
there; w[m]: its GPUs; C[j]: GPUs of the model. Always X >= 0, sum_m w X <= C[j] and sum_j X[m, j] <= 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.policies.allocators.linear import Highs, Program, solve_ecos

AT_ZERO, BASIC, AT_LIMIT = 0, 1, 2
"""Where a column or a row of a solution stands."""


@dataclass(frozen=True)
class Ways:
    """Ways to run beside another job on the same GPUs, which then counts half of them.

    Parameters
    ----------
    model: i8[ways], GPU model of each. entries: (equation, job, way, factor) of equations that are 0: the time that one
    kind of job is beside another is the time that the other is beside it. rows: how many equations there are.
    """

    model: I8
    entries: tuple[I8, I8, I8, F8]
    rows: int

    def meet(self, program: Program, column: I8) -> None:
        """Add the rows that say that nobody is beside nobody."""
        row, job, way, factor = self.entries
        models = column.shape[1] - self.model.size
        for side in (1.0, -1.0):
            program.add(np.zeros(self.rows), (row, column[job, models + way], side * factor))


@dataclass(frozen=True)
class Case:
    """What a program is about.

    Parameters
    ----------
    speed: f8[jobs, models], T. width: f8[jobs], w. capacity: f8[models], C. count: f8[jobs], how many jobs a row stands
    for. weight: f8[jobs]. ecos: solve with ECOS. names: of the jobs, and memory: where the last solve left them; the
    next begins there. ways: other ways to run than alone on a model; the columns of `speed` are then the models and,
    behind them, these.
    """

    speed: F8
    width: F8
    capacity: F8
    count: F8
    weight: F8
    ecos: bool = False
    names: tuple[bytes, ...] = ()
    memory: dict[bytes, I8] = field(default_factory=dict)
    ways: Ways | None = None

    @property
    def on(self) -> I8:
        """Return the GPU model of each column of `speed`."""
        alone = np.arange(self.capacity.size)
        return alone if self.ways is None else np.concatenate([alone, self.ways.model])

    def begin(self, highs: Highs, levels: I8, room: I8, first: int) -> None:
        """Start where the jobs that are still there were left; X begin at column `first`."""
        if not self.names or not self.memory:
            return
        models = self.speed.shape[1]
        # a new job: no time anywhere, and its rows slack
        new = np.array([AT_ZERO] * models + [BASIC] * 2, np.int64)
        known = np.array([self.memory.get(name, new) for name in self.names])
        if known.shape[1] != models + 2:
            return
        columns, rows = highs.basis_of_nothing()
        columns[:first] = BASIC
        columns[self.columns(first)] = known[:, :models]
        rows[levels], rows[room[models:]] = known[:, models], known[:, models + 1]
        rows[room[:models]] = AT_LIMIT
        highs.start_at(columns, rows)

    def keep(self, highs: Highs, levels: I8, room: I8, first: int) -> None:
        """Remember where the solve ended."""
        if not self.names:
            return
        models = self.speed.shape[1]
        columns, rows = highs.basis()
        found = np.column_stack([columns[self.columns(first)], rows[levels], rows[room[models:]]])
        self.memory.clear()
        self.memory.update(zip(self.names, found))

    def best(self, program: Program) -> F8 | None:
        """Return the solution, None when there is none."""
        return solve_ecos(program) if self.ecos else Highs(program).solve()

    def part(self, x: F8, first: int = 0) -> F8:
        """Return X of a solution whose X begin at a column."""
        jobs, models = self.speed.shape
        return np.clip(x[first : first + jobs * models].reshape(models, jobs).T, 0.0, 1.0)

    def columns(self, first: int = 0) -> I8:
        """Return the column of each X[m, j]: model by model."""
        jobs, models = self.speed.shape
        found: I8 = first + np.arange(jobs)[:, None] + jobs * np.arange(models)[None, :]
        return found

    def room(self, program: Program, first: int = 0) -> I8:
        """Add the rows that always hold, and return their numbers: capacity by model, then time by job."""
        jobs = self.width.size
        column = self.columns(first)
        gpus = (self.count * self.width)[:, None] * np.where(np.arange(self.on.size) < self.capacity.size, 1.0, 0.5)
        of_models = program.add(self.capacity, (self.on[None, :], column, gpus))
        of_jobs = program.add(np.ones(jobs), (np.arange(jobs)[:, None], column, np.ones(1)))
        if self.ways is not None:
            self.ways.meet(program, column)
        found: I8 = np.concatenate([of_models, of_jobs])
        return found
