"""First in, first out over several GPU models, as Gavel compares with it.

Narayanan et al., OSDI 2020, section 7.1, and the released code. A job has all of the time on one model or none of it;
jobs are given GPUs in the order of arrival, and the first that does not fit holds up all behind it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from apportion.engine.layout import F8, I8


def fastest(speed: F8, width: F8, capacity: F8) -> F8:
    """Give each job the model that is fastest for it of those that have room."""
    x, free = np.zeros(speed.shape), capacity.copy()
    for i in range(width.size):
        if speed[i].max() <= 0:
            # it can run nowhere, and holds up nobody
            continue
        fits = (free >= width[i]) & (free > 0)
        if not fits.any():
            break
        model = int(np.argmax(np.where(fits, speed[i], -1.0)))
        if speed[i, model] > 0:
            x[i, model] = 1.0
            free[model] -= width[i]
    return x


def pack(x: F8, speed: F8, width: F8, kind: I8, beside: F8, pays: float = 1.5) -> tuple[F8, I8, F8]:
    """Let those at the head of the queue share the GPUs of jobs that run, while their speeds over those alone sum to
    more than `pays`; the first that finds nobody holds up all behind it.

    Parameters
    ----------
    x: f8[jobs, models], 1 where a job runs. kind: i8[jobs]. beside: f8[kinds, kinds, models, 2].

    Returns
    -------
    (f8[jobs, models] of those that stay alone; i8[pairs, 2], the lower first; f8[pairs, models]).
    """
    alone = {int(i): int(m) for i, m in zip(*np.nonzero(x))}
    pairs: list[tuple[int, int]] = []
    models: list[int] = []
    for job in np.flatnonzero(x.sum(axis=1) == 0).tolist():
        gains = {}
        for other, m in alone.items():
            own, others = beside[kind[job], kind[other], m]
            if width[other] == width[job] and own > 0 and others > 0 and speed[job, m] > 0:
                gains[other] = own / speed[job, m] + others / speed[other, m]
        best = max(gains, key=lambda other: gains[other], default=-1)
        if best < 0 or gains[best] <= pays:
            break
        pairs.append((min(job, best), max(job, best)))
        models.append(alone.pop(best))
    left, together = np.zeros(x.shape), np.zeros((len(pairs), x.shape[1]))
    for job, m in alone.items():
        left[job, m] = 1.0
    together[np.arange(len(pairs)), models] = 1.0
    return left, np.array(pairs, np.int64).reshape(-1, 2), together


@dataclass
class Drawn:
    """Give each job a model drawn from those that have room, and leave it there.

    Parameters
    ----------
    seed: of what is drawn. stale: repeat the defect of the released code, where the model is not the drawn one but the
    last in the list, full or not.
    """

    seed: int = 0
    stale: bool = False
    _model: dict[int, int] = field(default_factory=dict, init=False)
    _width: dict[int, float] = field(default_factory=dict, init=False)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def parts(self, number: I8, speed: F8, width: F8, capacity: F8) -> F8:
        """Return X; models stand in the order of their names."""
        row = {int(n): i for i, n in enumerate(number)}
        free = capacity.copy()
        queue = sorted(n for n in row if n not in self._model)
        for job in sorted(self._model):
            model = self._model[job]
            if job in row:
                free[model] -= self._width[job]
                continue
            # the place of a job that ended goes to the first in the queue
            del self._model[job]
            if queue and width[row[queue[0]]] <= free[model] and speed[row[queue[0]], model] > 0:
                self._give(queue.pop(0), model, row, width, free)
        listed = [j for j in range(free.size) if free[j] > 0]
        while queue and listed:
            job = queue.pop(0)
            i = row[job]
            fits = [j for j in listed if free[j] >= width[i]]
            if not fits:
                break
            drawn = fits[self._random.randrange(len(fits))]
            model = listed[-1] if self.stale else drawn
            if speed[i, model] <= 0:
                continue
            self._give(job, model, row, width, free)
            if free[model] == 0:
                listed.remove(drawn if self.stale else model)
        x = np.zeros(speed.shape)
        for job, model in self._model.items():
            x[row[job], model] = 1.0
        return x

    def _give(self, job: int, model: int, row: dict[int, int], width: F8, free: F8) -> None:
        self._model[job], self._width[job] = model, float(width[row[job]])
        free[model] -= width[row[job]]
