"""The sizes that elastic jobs can have, and how fast they are at each."""

from __future__ import annotations

from typing import Any

import numpy as np

from apportion.engine.jit import entry
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
    """Return how fast each job is with 0, 1, 2 ... GPUs, over how fast it is with those it asked for: f8[jobs, n].

    There are as many columns as elastic jobs need: one of fixed size is never looked up.
    """
    widest = most.max(initial=1.0, where=view.most > view.least)
    gpus = np.arange(int(np.ceil(widest)) + 1, dtype=np.float64)
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
    on = np.full(view.jobs.size, -1, np.int64) if view.on is None else view.on
    gpus, model = _placed(np.lexsort((-gpus, on < 0)), gpus.copy(), least, on, view.capacity.copy(), view.speed)
    return gpus, model


@entry
def _placed(order: I8, gpus: F8, least: F8, on: I8, free: F8, speed: F8) -> tuple[F8, I8]:
    model = np.full(gpus.size, -1)
    for i in order:
        if gpus[i] <= 0:
            continue
        room, best = 0.0, -1
        for k in range(free.size):
            if speed[i, k] > 0:
                room = max(room, free[k])
        if gpus[i] > room:
            gpus[i] = np.floor(room) if 1 <= least[i] <= room else 0.0
            if gpus[i] < max(least[i], LEAST):
                gpus[i] = 0.0
                continue
        for k in range(free.size):
            if speed[i, k] > 0 and free[k] >= gpus[i] and (best < 0 or speed[i, k] > speed[i, best] or k == on[i]):
                best = k
                if k == on[i]:
                    break
        model[i] = best
        free[best] -= gpus[i]
    return gpus, model


def fitting(order: I8, gpus: F8, free: float) -> Any:
    """Return whose GPUs fit when jobs are looked at in this order and those that do not fit are passed over: bool."""
    return _fitting(order, gpus, float(free))


@entry
def _fitting(order: I8, gpus: F8, free: float) -> Any:
    fits = np.zeros(gpus.size, np.bool_)
    for i in order:
        if gpus[i] <= free:
            fits[i] = True
            free -= gpus[i]
    return fits
