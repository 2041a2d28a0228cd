"""Shares that nobody can improve by a lie: the geometric mean is maximised, and each pays for whom it holds up.

Narayanan et al., OSDI 2020, section 4.4, after Cole, Gkatzelis and Goel, EC 2013 (partial allocation): X maximises
prod_m t_m(X); then row m is multiplied by prod_{i != m} t_i(X) / t_i(X without m), which is at most 1. What a job says
about the others' share of its speeds then cannot bring it more; part of the GPUs' time is given up for it.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.layout import F8

STEPS = 200


def truthful(speed: F8, width: F8, capacity: F8, weight: F8) -> F8:
    """Return X, f8[jobs, models]."""
    jobs = width.size
    x = nash(speed, width, capacity, weight)
    reached = (speed * x).sum(axis=1)
    factor = np.ones(jobs)
    for m in range(jobs if jobs > 1 else 0):
        others = np.arange(jobs) != m
        alone = (speed[others] * nash(speed[others], width[others], capacity, weight[others])).sum(axis=1)
        lost = weight[others] * np.log(np.where(alone > 0, reached[others], 1.0) / np.where(alone > 0, alone, 1.0))
        factor[m] = np.exp(min(float(lost.sum()) / weight[m], 0.0))
    return x * factor[:, None]


def nash(speed: F8, width: F8, capacity: F8, weight: F8, end: float = 1e-8) -> F8:
    """Maximise sum_m weight_m log t_m(X) by Newton's method along the central path.

    The Hessian is a small block a job plus a row of rank 1 a model, so that a step costs jobs x models^3.
    """
    runs = ((speed > 0) & (capacity > 0)).any(axis=1)
    if not runs.all():
        x = np.zeros(speed.shape)
        if runs.any():
            x[runs] = nash(speed[runs], width[runs], capacity, weight[runs], end)
        return x
    jobs, models = speed.shape
    some = (speed > 0) & (capacity > 0)
    best = np.maximum(speed.max(axis=1, keepdims=True), 1e-300)
    t, w = speed / best, width[:, None]
    x = np.minimum(0.5 * (capacity / jobs)[None, :] / w, 0.5 / models) * some
    mu = 1.0
    while mu > end:
        mu *= 0.2
        for _ in range(STEPS):
            step, gain = _newton(t, w, capacity, weight, x, mu, some)
            length = _length(t, w, capacity, weight, x, step, mu, some, gain) if gain > 1e-3 * mu else 0.0
            if length == 0.0:
                break
            x = x + length * step
    return np.where(some, x, 0.0)


def _value(t: F8, w: F8, capacity: F8, weight: F8, x: F8, mu: float, some: np.ndarray) -> float:
    idle, room = 1.0 - x.sum(axis=1), capacity - (w * x).sum(axis=0)
    used = capacity > 0
    if (x[some] <= 0).any() or (idle <= 0).any() or (room[used] <= 0).any():
        return -np.inf
    barrier = np.log(x[some]).sum() + np.log(idle).sum() + np.log(room[used]).sum()
    return float((weight * np.log((t * x).sum(axis=1))).sum() + mu * barrier)


def _newton(t: F8, w: F8, capacity: F8, weight: F8, x: F8, mu: float, some: np.ndarray) -> tuple[F8, float]:
    idle, room = 1.0 - x.sum(axis=1), capacity - (w * x).sum(axis=0)
    room = np.where(capacity > 0, room, 1.0)
    reached = (t * x).sum(axis=1)
    # steps are taken relative to x, which keeps the numbers near 1 where x is small
    gain, share, held = t * x / reached[:, None], x / idle[:, None], w * x
    slope = np.where(some, weight[:, None] * gain + mu * (1 - share - held / room[None, :]), 0.0)
    models = x.shape[1]
    block = weight[:, None, None] * gain[:, :, None] * gain[:, None, :] + mu * share[:, :, None] * share[:, None, :]
    block[:, np.arange(models), np.arange(models)] += np.where(some, mu, 1.0)
    size = np.sqrt(np.einsum("mii->mi", block))
    size = size[:, :, None] * size[:, None, :]
    # the ridge matters only where the block is singular to the last digit; any positive one leads uphill
    inverse = np.linalg.inv(block / size + 1e-13 * np.eye(models)) / size
    # Woodbury: capacity couples the jobs, one row a model
    pull = np.einsum("mij,mj->mi", inverse, slope)
    small = np.einsum("mi,mij,mj->ij", held, inverse, held) + np.diag(room**2 / mu)
    back = np.linalg.solve(small, (held * pull).sum(axis=0))
    step = pull - np.einsum("mij,mj,j->mi", inverse, held, back)
    return np.where(some, x * step, 0.0), float((slope * step).sum())


def _length(t: F8, w: F8, capacity: F8, weight: F8, x: F8, step: F8, mu: float, some: np.ndarray, gain: float) -> float:
    now = _value(t, w, capacity, weight, x, mu, some)
    idle, room = 1.0 - x.sum(axis=1), capacity - (w * x).sum(axis=0)
    # at most 99 % of the way to where something runs out
    nearer = np.concatenate(
        [(-step[some] / x[some]), step.sum(axis=1) / idle, (w * step).sum(axis=0)[capacity > 0] / room[capacity > 0]]
    )
    length = min(1.0, 0.99 / max(float(nearer.max()), 1e-300))
    while length > 1e-12 and _value(t, w, capacity, weight, x + length * step, mu, some) < now + 0.1 * length * gain:
        length *= 0.5
    return length if length > 1e-12 else 0.0
