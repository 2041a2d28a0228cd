"""Gavel's linear programs: who gets which part of the time on which GPU model.

Narayanan et al., OSDI 2020, sections 3 and 4, and the released code. X[m, j]: part of the time that job m runs on GPU
model j; T[m, j]: its speed there; w[m]: its GPUs; C[j]: GPUs of the model. Always X >= 0, sum_m w X <= C[j] and
sum_j X[m, j] <= 1; t_m(X) = sum_j T[m, j] X[m, j].
"""

from __future__ import annotations

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.policies.allocators.gavel_case import Case
from apportion.policies.allocators.gavel_finish import soonest
from apportion.policies.allocators.gavel_start import near
from apportion.policies.allocators.linear import Highs, Program, solve_ecos

FIRST_S, LAST_S, WITHIN = 100.0, 1e6, 1.05
"""The released search for the makespan: where it begins, and how near its ends are when it stops."""


def proportional(case: Case) -> F8:
    """Return the speed of each job when its time is spread over the models as the GPUs are."""
    part = case.capacity / max(case.width.size, 1)
    found: F8 = (case.speed[:, : part.size] * (part / max(part.sum(), 1e-300))).sum(axis=1)
    return found


def spread(x: F8, width: F8, count: F8, capacity: F8, runs: np.ndarray) -> F8:
    """Return X with the same time for each job, as evenly over the models as capacity and `runs` allow.

    For jobs to whom all models are alike any split is as good, and a solver's is lopsided. Rows and columns are scaled
    in turn (Sinkhorn), which ends at the split of largest entropy.
    """
    whole, weight = x.sum(axis=1, keepdims=True), (width * count)[:, None]
    even_: F8 = np.where(runs, np.maximum(capacity, 0.0), 0.0)
    for _ in range(200):
        even_ = even_ / np.maximum(even_.sum(axis=1, keepdims=True), 1e-300) * whole
        used = (weight * even_).sum(axis=0)
        over = used / np.maximum(capacity, 1e-300)
        if (over <= 1 + 1e-9).all():
            return even_
        even_ = even_ / np.maximum(over, 1.0)
    return x


def even(width: F8, capacity: F8) -> F8:
    """Return each job's part when the GPUs are split evenly over jobs, f8[jobs, models]: (C / n) / w, at most 1."""
    x = (capacity / max(width.size, 1))[None, :] / width[:, None]
    found: F8 = x / np.maximum(x.sum(axis=1), 1.0)[:, None]
    return found


def fairness_rows(case: Case) -> F8:
    """Return what max-min compares: w T / (weight t_eq), f8[jobs, models]."""
    equal = np.maximum(proportional(case), 1e-300)
    gain: F8 = case.speed * (1.0 / case.weight * (1.0 / equal))[:, None] * case.width[:, None]
    return gain


def max_min(case: Case) -> F8 | None:
    """Maximise min_m w_m t_m(X) / (weight_m t_eq_m): least attained service, weighted (section 4.1)."""
    jobs, models = case.speed.shape
    program = Program(1 + jobs * models, free=1, signs_at=jobs)
    program.cost[0] = 1.0
    # the solver sees -z, as the modelling layer of the released code writes it
    levels = program.add(
        np.zeros(jobs),
        (np.arange(jobs), np.zeros(1, np.int64), -np.ones(1)),
        (np.arange(jobs)[:, None], case.columns(1), -fairness_rows(case)),
    )
    room = case.room(program, 1)
    if case.ecos:
        x = solve_ecos(program)
        return None if x is None else case.part(x, 1)
    highs = Highs(program)
    if case.memory:
        case.begin(highs, levels, room, 1)
    else:
        near(case, highs, fairness_rows(case), np.ones(jobs))
    x = highs.solve()
    case.keep(highs, levels, room, 1)
    return None if x is None else case.part(x, 1)


def throughput(case: Case, price: F8, least: F8) -> F8 | None:
    """Maximise sum_m sum_j T X / price_j; `least`: t_m(X) that deadlines ask for, 0 = none (section 4.2)."""
    jobs, models = case.speed.shape
    for bound in (least, np.zeros(jobs)):
        program = Program(jobs * models)
        program.cost[case.columns()] = -case.count[:, None] * case.speed / price[case.on]
        case.room(program)
        _at_least(program, case, bound)
        x = case.best(program)
        if x is not None or not least.any():
            return None if x is None else case.part(x)
    return None


def _at_least(program: Program, case: Case, least: F8) -> None:
    some = np.flatnonzero(least > 0)
    if some.size:
        program.add(-least[some], (np.arange(some.size)[:, None], case.columns()[some], -case.speed[some]))


def makespan(case: Case, left: F8) -> F8 | None:
    """Minimise the time in which all could be done with `left`: maximise z with t_m(X) >= z left_m (section 4.2)."""
    jobs, models = case.speed.shape
    unit = np.maximum((left / np.maximum(case.speed.max(axis=1), 1e-300)).max(initial=0.0), 1e-300)
    program = Program(1 + jobs * models, signs_at=0)
    program.cost[0] = -1.0
    program.add(
        np.zeros(jobs),
        (np.arange(jobs), np.zeros(1, np.int64), left / unit / np.maximum(case.speed.max(axis=1), 1e-300)),
        (
            np.arange(jobs)[:, None],
            case.columns(1),
            -case.speed / np.maximum(case.speed.max(axis=1, keepdims=True), 1e-300),
        ),
    )
    case.room(program, 1)
    x = case.best(program)
    return None if x is None else case.part(x, 1)


def makespan_by_halves(case: Case, left: F8) -> F8 | None:
    """Search the makespan as the released code does: halve until within 5 %, and keep the last feasible X."""
    low, high, last, found = FIRST_S, LAST_S, LAST_S, None
    highs: Highs | None = None
    while found is None and high < 1e15:
        while WITHIN * low < high:
            trial = (low + high) / 2.0
            x: F8 | None
            if case.ecos:
                x = solve_ecos(_within(case, left / trial)[0], accurate=True)
            else:
                program, rows = _within(case, left / trial)
                if highs is None:
                    highs = Highs(program)
                else:
                    highs.limits(rows, -left / trial)
                x = highs.solve()
            if x is None:
                low = trial
            else:
                found, high = x, trial
        low, high, last = last, last * 10.0, last * 10.0
    return None if found is None else case.part(found)


def _within(case: Case, least: F8) -> tuple[Program, I8]:
    jobs, models = case.speed.shape
    program = Program(jobs * models)
    case.room(program)
    return program, program.add(-least, (np.arange(jobs)[:, None], case.columns(), -case.speed))


def finish_time(case: Case, left: F8, elapsed_s: F8, alone_s: F8) -> F8 | None:
    """Minimise max_m (elapsed_m + left_m / t_m(X)) / alone_m: Themis' metric (section 4.2).

    alone_s: f8[jobs], time from submission to end with an even part of the cluster.
    """
    return _cones(case, left, elapsed_s, alone_s) if case.ecos else soonest(case, left, elapsed_s, alone_s)


def _cones(case: Case, left: F8, elapsed_s: F8, alone_s: F8) -> F8 | None:
    """As a cone program: u_m >= 1 / t_m(X) is |(t - u, 2)| <= t + u."""
    jobs, models = case.speed.shape
    each, last = np.arange(jobs), 1 + jobs * models
    program = Program(1 + jobs * models + jobs, free=1, signs_at=jobs)
    program.cost[0] = 1.0
    program.add(
        -elapsed_s / alone_s, (each, np.zeros(1, np.int64), -np.ones(1)), (each, last + each, left * (1.0 / alone_s))
    )
    case.room(program, 1)
    limit = np.tile([0.0, 0.0, 2.0], jobs)
    program.add(
        limit,
        (3 * each[:, None], case.columns(1), -case.speed),
        (3 * each, last + each, -np.ones(1)),
        (3 * each[:, None] + 1, case.columns(1), -case.speed),
        (3 * each + 1, last + each, np.ones(1)),
    )
    x = solve_ecos(program, jobs)
    return None if x is None else case.part(x, 1)
