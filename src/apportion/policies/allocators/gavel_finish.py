"""Gavel's objective by finish times: the least rho at which every job can be on time.

Narayanan et al., OSDI 2020, section 4.2. Job m has been there for e_m seconds, would have been done after a_m alone
with an even part, and ends at rho_m = (e_m + left_m / t_m(X)) / a_m. A rho asks of it the speed

    r_m(rho) = left_m / (rho a_m - e_m)

As often as not the rho of a job that can be no faster is the least there is, and one program shows it. Else: how much
lacks of these speeds, the least v with t_m(X) >= r_m(rho) - v q_m for fixed q_m, is a linear program. Its prices y_m
with sum_m y_m q_m = 1 count for every rho: none is possible with sum_m y_m r_m(rho) > D, where D is sum_m y_m r_m - v
at the rho that was solved. The rho of equality is the next one (Newton's method for fractional programs, Dinkelbach,
Management Science 13, 1967); its program differs in its limits only, and is solved from where the last one ended.

On GPUs of one model no program is needed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from apportion.engine.layout import F8
from apportion.policies.allocators.gavel_case import Case
from apportion.policies.allocators.gavel_start import SAMPLE, near
from apportion.policies.allocators.linear import Highs, Program

WITHIN = 1e-4
"""How near to the least rho the search ends, relatively."""

STEP = 1e-7
"""Where a step of the search is so small, the next ones are not worth taking."""

MOST = 1e12
"""A rho above which nothing can be had."""

ALL_ELSE = 1e-3
"""What a job's whole time at its best speed is worth where nobody is later for it."""


def soonest(case: Case, left: F8, elapsed_s: F8, alone_s: F8) -> F8 | None:
    """Return an X whose worst rho is the least, and under which idle GPUs go to whoever is fastest there.

    left: f8[jobs], units. elapsed_s: f8[jobs], time since submission. alone_s: f8[jobs], time from submission to end
    with an even part of the cluster.
    """
    best = case.speed.max(axis=1)
    able = (best > 0) & (left > 0)
    work = np.divide(left, best, out=np.zeros(left.size), where=able)

    def pace(rho: float) -> F8:
        """Return the parts of the best speed that are needed, at most 1 from the lowest rho on."""
        found: F8 = np.divide(work, np.maximum(rho * alone_s - elapsed_s, 1e-12), out=np.zeros(left.size), where=able)
        return found

    low = float(((elapsed_s + work) / alone_s).max(initial=0.0, where=able))
    if low > MOST:
        return None
    if case.ways is None and case.speed.shape[1] == 1:
        return _on_one_model(case, pace, low)

    def rho_of(speed: F8) -> float:
        """Return the worst rho at these parts of the best speed."""
        took = np.divide(work, speed, out=np.full(left.size, np.inf), where=speed > 0)
        return float(((elapsed_s + took) / alone_s).max(initial=0.0, where=able))

    def near_by() -> float:
        """Return the least rho of a sample of many jobs, on GPUs in proportion."""
        some = np.arange(0, left.size, max(left.size // SAMPLE, 1))
        if left.size < 3 * SAMPLE or case.ways is not None:
            return low
        weight = case.width * case.count
        few = Case(
            case.speed[some],
            case.width[some],
            case.capacity * weight[some].sum() / weight.sum(),
            case.count[some],
            case.weight[some],
        )
        x = soonest(few, left[some], elapsed_s[some], alone_s[some])
        if x is None:
            return low
        speed = np.full(left.size, 1.0)
        speed[some] = (few.speed * x).sum(axis=1) / np.maximum(best[some], 1e-300)
        return max(low, rho_of(speed))

    return _on_models(case, pace, rho_of, low, near_by)


def _root(price: F8, pace: Callable[[float], F8], limit: float, low: float) -> float:
    """Return the least rho from `low` on with price x pace <= limit, inf where there is none up to `MOST`."""
    if price @ pace(low) <= limit:
        return low
    high = 2 * low
    while price @ pace(high) > limit:
        low, high = high, 2 * high
        if high > MOST:
            return np.inf
    while high - low > STEP / 10 * high:
        middle = (low + high) / 2
        if price @ pace(middle) > limit:
            low = middle
        else:
            high = middle
    return high


def _on_one_model(case: Case, pace: Callable[[float], F8], low: float) -> F8 | None:
    """Only the GPUs that are needed in all count; what is left goes to the narrowest, the latest of them first."""
    weight, runs = case.width * case.count, case.speed[:, 0] > 0
    rho = _root(weight, pace, float(case.capacity[0]), low)
    if rho == np.inf:
        return None
    x = np.minimum(pace(rho), 1.0)
    left = float(case.capacity[0] - weight @ x)
    for width in np.unique(case.width[runs]):
        alike = runs & (case.width == width)
        room = float(weight[alike] @ (1.0 - x[alike]))
        if room > left:
            x[alike] = _raised(x, np.where(alike, weight, 0.0), pace, rho, left)[alike]
            break
        x[alike], left = 1.0, left - room
    return x[:, None]


def _raised(x: F8, weight: F8, pace: Callable[[float], F8], rho: float, left: float) -> F8:
    """Return the parts of those with a weight at the least rho that so many GPUs more are enough for."""
    low, high, limit = 0.0, rho, float(weight @ x) + left
    while high - low > STEP * rho:
        middle = (low + high) / 2
        if weight @ np.clip(pace(middle), x, 1.0) > limit:
            low = middle
        else:
            high = middle
    return np.clip(pace(high), x, 1.0)


def _on_models(
    case: Case, pace: Callable[[float], F8], rho_of: Callable[[F8], float], low: float, near_by: Callable[[], float]
) -> F8 | None:
    jobs, columns = case.speed.shape
    fast = case.speed / np.maximum(case.speed.max(axis=1, keepdims=True), 1e-300)
    program = Program(1 + jobs * columns, free=1)
    program.cost[case.columns(1)] = -fast * ALL_ELSE
    needs = pace(low)
    levels = program.add(
        -needs,
        (np.arange(jobs), np.zeros(1, np.int64), -needs),
        (np.arange(jobs)[:, None], case.columns(1), -fast),
    )
    case.room(program, 1)
    highs, lacking = Highs(program), np.zeros(1, np.int64)

    def best(rho: float) -> F8 | None:
        """Return the best X by which nobody is later than that: idle GPUs help nobody."""
        highs.bounds(lacking, np.zeros(1), np.zeros(1))
        highs.cost(np.arange(program.columns), program.cost)
        highs.limits(levels, -pace(rho))
        return highs.solve()

    # as often as not one job that can be no faster is the latest of all, and nobody else has to wait for it
    x = best(low)
    if x is not None:
        return case.part(x, 1)
    highs.bounds(lacking, np.full(1, -np.inf), np.full(1, np.inf))
    highs.cost(np.arange(program.columns), np.eye(1, program.columns)[0])
    rho, bound = near_by(), low
    near(case, highs, fast, pace(rho))
    while bound < np.inf:
        highs.limits(levels, -pace(rho))
        x = highs.solve()
        if x is None:
            return None
        price = highs.prices()[levels]
        bound = max(bound, _root(price, pace, float(price @ pace(rho) - x[0]), low))
        found = rho_of((fast * case.part(x, 1)).sum(axis=1))
        settled = bound - rho <= STEP * bound
        if settled or found <= (1 + WITHIN) * bound:
            # of two that are near enough the one that is known to be possible, if any is
            last = best(min(found * (1 + STEP), (1 + WITHIN) * bound))
            return case.part(x if last is None else last, 1)
        rho = bound
    return None
