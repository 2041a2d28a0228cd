"""Which GPU model each job is sized for, where a rule that knows one kind of GPU shares out several.

A job runs on GPUs of one model. What runs stays where it is; what waits is settled, in the order of submission, on the
fastest model that has room for the fewest GPUs it needs, and where none has, on the one with the most

    speed x min(1, GPUs / GPUs that all who are settled there need).

The rule then shares out each model among those settled there, at their speeds on it. Who gets nothing there takes what
the others leave elsewhere.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.jit import entry
from apportion.engine.layout import F8, I8
from apportion.engine.view import View


def settled(view: View, least: F8) -> tuple[I8, F8]:
    """Return the model of each job (i8, -1 = none has as many GPUs as it needs), and the seconds that what is left of
    it takes there on the GPUs it asked for (inf without a model)."""
    on = np.full(view.jobs.size, -1, np.int64) if view.on is None else view.on
    model: I8 = np.asarray(_settled(np.argsort(on < 0, kind="stable"), least, on, view.capacity, view.speed))
    speed = np.where(model >= 0, view.speed[np.arange(model.size), model], 0.0)
    return model, np.divide(view.left, speed, out=np.full(model.size, np.inf), where=speed > 0)


def rest(view: View, gpus: F8, least: F8, model: I8) -> tuple[F8, I8]:
    """Return (GPUs, model) with the fewest GPUs for those that have none, in the order of submission, on the fastest
    model that has as many left; the model of who gets nothing is -1."""
    some, at = _rest(gpus.copy(), least, model.copy(), view.capacity.copy(), view.speed)
    return some, at


@entry
def _settled(order: I8, least: F8, on: I8, capacity: F8, speed: F8) -> I8:
    model = np.full(least.size, -1)
    needed = np.zeros(capacity.size)
    for i in order:
        if least[i] <= 0:
            continue
        best, most, fits = -1, 0.0, False
        for k in range(capacity.size):
            if speed[i, k] <= 0 or capacity[k] < least[i]:
                continue
            if k == on[i]:
                best = k
                break
            room = needed[k] + least[i] <= capacity[k]
            worth = speed[i, k] * min(1.0, capacity[k] / (needed[k] + least[i]))
            if (room and not fits) or (room == fits and worth > most):
                best, most, fits = k, worth, room
        if best >= 0:
            model[i] = best
            needed[best] += least[i]
    return model


@entry
def _rest(gpus: F8, least: F8, model: I8, free: F8, speed: F8) -> tuple[F8, I8]:
    for i in range(gpus.size):
        if gpus[i] > 0:
            free[model[i]] -= gpus[i]
    for i in range(gpus.size):
        if gpus[i] > 0:
            continue
        model[i] = -1
        if least[i] <= 0:
            continue
        for k in range(free.size):
            if speed[i, k] > 0 and free[k] >= least[i] and (model[i] < 0 or speed[i, k] > speed[i, model[i]]):
                model[i] = k
        if model[i] >= 0:
            gpus[i] = least[i]
            free[model[i]] -= least[i]
    return gpus, model
