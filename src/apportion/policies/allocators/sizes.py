"""The sizes that elastic jobs can have, and how fast they are at each."""

from __future__ import annotations

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.engine.view import View

LEAST = 1e-3
"""GPUs that are less than any job asks for."""


def steps(view: View) -> tuple[F8, F8]:
    """Return (fewest, most) GPUs of each job, f8 each: whole numbers, or what was asked for where it is rigid.

    A job runs on GPUs of one model, so it has no more than there are of one.
    """
    elastic = view.most > view.least
    least = np.where(elastic, np.maximum(np.ceil(view.least), 1.0), view.gpus)
    there = ((view.speed > 0) * view.capacity).max(axis=1, initial=0.0)
    return least, np.where(elastic, np.maximum(np.floor(np.minimum(view.most, there)), least), view.gpus)


def speeds(view: View, most: F8) -> F8:
    """Return how fast each job is with 0, 1, 2 ... GPUs, over how fast it is with those it asked for: f8[jobs, n]."""
    gpus = np.arange(int(np.ceil(most.max(initial=1.0))) + 1, dtype=np.float64)
    if view.scaling is None:
        return gpus / np.where(view.gpus > 0, view.gpus, 1.0)[:, None]
    return view.scaling.table(view.jobs, gpus)


def at(table: F8, gpus: F8, asked: F8) -> F8:
    """Return the speed of each job at its number of GPUs; 1 at what it asked for, even a part of one GPU."""
    found = table[np.arange(gpus.size), np.minimum(gpus, table.shape[1] - 1).astype(np.int64)]
    return np.where(gpus == asked, 1.0, found)


def placed(view: View, gpus: F8, least: F8) -> tuple[F8, I8]:
    """Return (GPUs, model) of each job that is to get `gpus`: where it is, else the fastest with room.

    Jobs that run choose first, then larger ones. Where no model has room for all its GPUs a job gets as many as there
    are, 0 if that is less than `least`; its model is then -1.
    """
    gpus = gpus.copy()
    on = np.full(view.jobs.size, -1, np.int64) if view.on is None else view.on
    model = np.full(view.jobs.size, -1, np.int64)
    free = view.capacity.copy()
    for i in np.lexsort((-gpus, on < 0)):
        if gpus[i] <= 0:
            continue
        able = np.where(view.speed[i] > 0, free, 0.0)
        if gpus[i] > able.max():
            gpus[i] = np.floor(able.max()) if 1 <= least[i] <= able.max() else 0.0
            if gpus[i] < max(least[i], LEAST):
                gpus[i] = 0.0
                continue
        room = able >= gpus[i]
        if on[i] >= 0 and room[on[i]]:
            model[i] = on[i]
        else:
            model[i] = int(np.argmax(np.where(room, view.speed[i], -1.0)))
        free[model[i]] -= gpus[i]
    return gpus, model
