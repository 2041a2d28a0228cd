"""Water filling: max-min again and again for those that can still have more, so that the answer is one.

Narayanan et al., OSDI 2020, section 4.3. Every job's level rises at the pace of its weight; a job that nothing can
raise further is frozen where it is, and the others go on. The weight of a user or group is split over those of its jobs
that still rise (fair), or goes to the first of them (first). The released code finds the jobs to freeze by an integer
program; here a row with a price is frozen, and the rest are told apart by linear programs: those that rise together in
one of them are not at their end, and when none rises any more, all that are left are.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.policies.allocators.gavel_programs import Case, fairness_rows
from apportion.policies.allocators.linear import Highs, Program

RISE, SMALL = 1e-2, 1e-5
"""By how much of the level a job is tried to be raised, and what counts as raised."""


def fill(case: Case, owner: I8 | None = None, first: bool = False) -> F8 | None:
    """Return X.

    owner: i8[jobs], user or group that has the weight, which is the largest of its jobs'; None = every job its own.
    first: the weight goes to the first job that still rises.
    """
    jobs, models = case.speed.shape
    # levels are compared by weight and width below, and scaled to about 1 for the solver
    row = fairness_rows(case) * case.weight[:, None] / case.width[:, None]
    scale = max((case.count * case.width).sum() / max(case.capacity.sum(), 1e-300), 1.0)
    program = Program(1 + jobs * models + jobs)
    each, rise = np.arange(jobs), 1 + jobs * models + np.arange(jobs)
    levels = program.add(
        np.zeros(jobs),
        (each, np.zeros(1, np.int64), np.ones(1)),
        (each[:, None], case.columns(1), -row * scale),
        (each, rise, np.ones(1)),
    )
    room = case.room(program, 1)
    highs = Highs(program)
    case.begin(highs, levels, room, 1)
    frozen = case.speed.max(axis=1) <= 0
    level, x = np.zeros(jobs), None
    nothing = np.zeros(jobs)
    while not frozen.all():
        pace = _pace(case, frozen, owner, first)
        moving = pace > 0
        highs.entries(levels, 0, pace)
        highs.limits(levels, -level)
        highs.bounds(rise, nothing, nothing)
        highs.bounds(np.zeros(1, np.int64), np.zeros(1), np.full(1, 1e30))
        highs.cost(np.concatenate([[0], rise]), np.concatenate([[-1.0], nothing]))
        found = highs.solve()
        if found is None:
            break
        if x is None:
            case.keep(highs, levels, room, 1)
        x = found
        level = level + pace * found[0]
        ended = moving & (highs.prices()[levels] * pace > SMALL)
        ended |= _ended(highs, levels, rise, level, moving & ~ended)
        if not ended.any():
            break
        frozen |= ended
    return None if x is None else case.part(x, 1)


def _pace(case: Case, frozen: np.ndarray, owner: I8 | None, first: bool) -> F8:
    """Return how fast each level rises."""
    pace = np.where(frozen, 0.0, case.weight)
    if owner is not None:
        rising = np.flatnonzero(~frozen)
        name, number = np.unique(owner, return_inverse=True)
        whole = np.zeros(name.size)
        np.maximum.at(whole, number, case.weight)
        if first:
            _, lead = np.unique(owner[rising], return_index=True)
            pace = np.zeros(owner.size)
            pace[rising[lead]] = whole[number[rising[lead]]]
        else:
            total = np.bincount(number, pace * case.count, name.size)
            pace = np.where(frozen, 0.0, pace * whole[number] / np.maximum(total[number], 1e-300))
    return pace / case.width / max(float((pace / case.width).max()), 1e-300)


def _ended(highs: Highs, levels: I8, rise: I8, level: F8, open_: np.ndarray) -> np.ndarray:
    """Return which of the open jobs cannot rise."""
    highs.entries(levels, 0, np.zeros(level.size))
    highs.limits(levels, -level * (1 - 1e-9))
    highs.cost(np.zeros(1, np.int64), np.zeros(1))
    left = open_.copy()
    while left.any():
        highs.bounds(rise, np.zeros(level.size), np.where(left, RISE * np.maximum(level, 1e-3), 0.0))
        highs.cost(rise, np.where(left, -1.0, 0.0))
        found = highs.solve()
        if found is None:
            break
        raised = left & (found[rise] > SMALL * np.maximum(level, 1e-3))
        if not raised.any():
            break
        left &= ~raised
    return left
