"""Water filling: max-min again and again for those that can still have more, so that the answer is one.

Narayanan et al., OSDI 2020, section 4.3. Every job's level rises at the pace of its weight; a job that nothing can
raise further is frozen where it is, and the others go on. The weight of a user or group is split over those of its jobs
that still rise (fair), or goes to the first of them (first). The released code finds the jobs to freeze by an integer
program; here they are those whose level has a price, or that run all of the time where they are fastest. Every program
has a level with a price; one that is at its end and has none yet (prices need not be unique) has one when the next
program, begun where this one ended, finds that it cannot rise.

Jobs that meet nothing but the end of their time are frozen by the dozen: while capacity has no price, ever more of
those that come to theirs next are set there at once, as long as the others can rise so far too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.policies.allocators.gavel_case import Case
from apportion.policies.allocators.gavel_programs import fairness_rows
from apportion.policies.allocators.gavel_start import near
from apportion.policies.allocators.linear import Highs, Program

SMALL = 1e-5
"""A price of a level that counts, where they add up to 1."""

CLOSE = 1e-9


class Rise(NamedTuple):
    """How far levels rise: by `by` times the pace; f8[jobs, models], X; prices of levels and capacity; the basis."""

    by: float
    x: F8
    price: F8
    capacity_price: F8
    basis: tuple[I8, I8]


def fill(case: Case, owner: I8 | None = None, first: bool = False) -> F8 | None:
    """Return X.

    owner: i8[jobs], user or group that has the weight, which is the largest of its jobs'; None = every job its own.
    first: the weight goes to the first job that still rises.
    """
    # levels are compared by weight and width below, and scaled to about 1 for the solver
    scale = max((case.count * case.width).sum() / max(case.capacity.sum(), 1e-300), 1.0)
    row = fairness_rows(case) * case.weight[:, None] / case.width[:, None] * scale
    most = row.max(axis=1)
    frozen = most <= 0
    level, x, basis, ahead = np.zeros(most.size), None, None, 1
    while not frozen.all():
        pace = _pace(case, frozen, owner, first)
        moving = pace > 0
        if ahead > 1:
            # paces as they are only hold if none of these shares a weight with those that go on
            tried, end = _at_their_end(moving, pace, most - level, ahead)
            raised = np.where(tried, most, level)
            found = _rise(case, row, np.where(tried, 0.0, pace), raised, basis) if (moving & ~tried).any() else None
            if found is not None and found.by >= end:
                level, x, basis = np.where(tried, most, level + end * pace), found.x, found.basis
                frozen, ahead = frozen | tried, 4 * ahead
                continue
            ahead = 1
        found = _rise(case, row, pace, level, basis)
        if found is None:
            break
        x, basis = found.x, found.basis
        level = level + pace * found.by
        price = found.price * pace
        ended = moving & ((price > min(SMALL, 0.5 * price.max())) | (level >= most * (1 - CLOSE)))
        if not ended.any():
            break
        frozen |= ended
        if owner is None and (found.capacity_price < SMALL).all():
            ahead = 4
    return x


def _at_their_end(moving: np.ndarray, pace: F8, room: F8, ahead: int) -> tuple[np.ndarray, float]:
    """Return the jobs that come to the end of their time next, and by how much levels rise until then."""
    when = np.where(moving, room / np.maximum(pace, 1e-300), np.inf)
    order = np.argsort(when, kind="stable")[: min(ahead, int(moving.sum()))]
    tried = np.zeros(moving.size, bool)
    tried[order] = True
    return tried, float(when[order[-1]])


def _rise(case: Case, row: F8, pace: F8, level: F8, basis: tuple[I8, I8] | None) -> Rise | None:
    """Raise levels by their paces as far as can be, from a basis of the same program with others; None = cannot be."""
    jobs, models = case.speed.shape
    program = Program(1 + jobs * models)
    program.cost[0] = -1.0
    each = np.arange(jobs)
    levels = program.add(-level, (each, np.zeros(1, np.int64), pace), (each[:, None], case.columns(1), -row))
    room = case.room(program, 1)
    highs = Highs(program)
    if basis is not None:
        highs.start_at(*basis)
    elif case.memory:
        case.begin(highs, levels, room, 1)
    else:
        near(case, highs, row, pace)
    found = highs.solve()
    if found is None:
        return None
    if basis is None:
        case.keep(highs, levels, room, 1)
    price = highs.prices()
    return Rise(float(found[0]), case.part(found, 1), price[levels], price[room[:models]], highs.basis())


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
