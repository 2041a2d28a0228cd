"""Where to begin a max-min program of many jobs: at the corner that the prices of GPUs in a sample of them point to.

Jobs are tied to each other only by the capacity of a few GPU models. Were its prices known, each job would reach its
level on the one model, or in the mix of two, that costs the least. Prices of a tenth of the jobs, with capacity in
proportion, are off by a few per cent, which leaves few jobs elsewhere than in the optimum; the simplex method goes on
from there to the exact one (idea: sifting, Bixby et al., Operations Research 40, 1992).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.policies.allocators.gavel_case import AT_LIMIT, AT_ZERO, BASIC, Case
from apportion.policies.allocators.linear import Highs, Program

SAMPLE = 100
"""Jobs in a sample; with fewer than three times as many it does not pay."""

TRIES = 8


def near(case: Case, highs: Highs, row: F8, pace: F8) -> None:
    """Start a program (levels by job, capacity, time by job; z, then X) near its optimum, if it is a large one.

    row: f8[jobs, models], how fast levels rise with X. pace: f8[jobs], at which they are to.
    """
    if len(row) < 3 * SAMPLE or case.ways is not None:
        return
    able = np.flatnonzero((pace > 0) & (row.max(axis=1) > 0))
    # the same sample every time, and of all that comes in some order
    known = _prices(case, row, pace, able[:: max(able.size // SAMPLE, 1)])
    if known is not None:
        z, price = known
        # no higher than the first job can come
        z = min(z, float((row[able].max(axis=1) / pace[able]).min()))
        highs.start_at(*_corner(case, row, np.minimum(pace * z, row.max(axis=1)), price))


def _prices(case: Case, row: F8, pace: F8, sample: I8) -> tuple[float, F8] | None:
    """Return the level and the prices of capacity of a sample; None where capacity has no price."""
    models, weight = row.shape[1], case.width * case.count
    for _ in range(TRIES):
        if not sample.size:
            return None
        n, each = sample.size, np.arange(sample.size)
        column = 1 + each[:, None] + n * np.arange(models)[None, :]
        program = Program(1 + n * models)
        program.cost[0] = -1.0
        program.add(np.zeros(n), (each, np.zeros(1, np.int64), pace[sample]), (each[:, None], column, -row[sample]))
        capacity = case.capacity * weight[sample].sum() / weight.sum()
        room = program.add(capacity, (np.arange(models)[None, :], column, weight[sample][:, None]))
        program.add(np.ones(n), (each[:, None], column, np.ones(1)))
        highs = Highs(program)
        found = highs.solve()
        if found is None:
            return None
        price = highs.prices()[room]
        if price.max() > 0:
            return float(found[0]), price
        # only the time of some job stands against more: see what it would be without the slowest
        end = row[sample].max(axis=1) / pace[sample]
        sample = sample[end > max(float(found[0]) * (1 + 1e-6), float(np.quantile(end, 0.25)))]
    return None


def _corner(case: Case, row: F8, target: F8, price: F8) -> tuple[I8, I8]:
    """Return statuses of columns and rows where each job reaches its target at the least cost."""
    jobs, models = row.shape
    cost = case.width[:, None] * price
    able = np.maximum(row, 1e-300)
    options = [np.where((row > 0) & (target[:, None] <= row), cost * target[:, None] / able, np.inf)]
    pairs = list(combinations(range(models), 2))
    for a, b in pairs:
        with np.errstate(divide="ignore", invalid="ignore"):
            part = (target - row[:, b]) / (row[:, a] - row[:, b])
            mixed = part * cost[:, a] + (1 - part) * cost[:, b]
        options.append(np.where((part > 0) & (part < 1), mixed, np.inf)[:, None])
    costs = np.hstack(options)
    ranked = np.argsort(costs, axis=1, kind="stable")
    best = ranked[:, 0]
    nowhere = ~np.isfinite(costs[np.arange(jobs), best])
    best[nowhere] = row[nowhere].argmax(axis=1)
    x, idle = np.full((jobs, models), AT_ZERO), np.full(jobs, BASIC)
    for k in range(models):
        x[best == k, k] = BASIC
    for k, pair in enumerate(pairs, models):
        x[np.ix_(best == k, pair)] = BASIC
        idle[best == k] = AT_LIMIT
    # as many jobs as there are models, less one, stand between two of them: those that are nearest to it
    columns = np.arange(jobs)
    second = ranked[:, 1] if costs.shape[1] > 1 else best
    with np.errstate(invalid="ignore"):
        lost = (costs[columns, second] - costs[columns, best]) / np.maximum(costs[columns, best], 1e-300)
    lost = np.where((best < models) & (second < models) & (second != best) & np.isfinite(lost), lost, np.inf)
    for m in np.argsort(lost, kind="stable")[: models - 1]:
        if lost[m] < np.inf:
            x[m, second[m]] = BASIC
    rows = np.concatenate([np.full(jobs + models, AT_LIMIT), idle])
    return np.concatenate([[BASIC], x.T.ravel()]), rows
