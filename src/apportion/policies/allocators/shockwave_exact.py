"""Shockwave's programs as the paper has them: a yes or no for each job and round, then one that orders them.

Zheng et al., NSDI 2023, section 6 and the released code, by HiGHS instead of Gurobi. The first is that of
`shockwave_counts` with n_j = sum_t x_jt and a capacity in every round; the second keeps n_j and minimises the sum of
pi_j times the mean index of the rounds of job j. For checks: it is a hundred times slower, and plans much alike.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.policies.allocators import linear
from apportion.policies.allocators.shockwave_counts import BREAKS, LOGS, Program

GAP = 1e-3
"""Relative gap at which a search ends, as in the released configuration."""

FIRST_K = 10.0
"""From this weight of the makespan on it is minimised first, alone: within a gap relative to it the welfare is lost."""


def schedule(program: Program, gap: float = GAP) -> I8:
    """Return who runs in which round: i8[rounds, jobs], 1 = runs.

    Examples
    --------
    >>> two = np.ones(2)
    >>> schedule(Program(two.astype(int), 600 * two, 0 * two, 600 * two, two, 1.0, 10, 120.0, 1e-3)).sum(axis=0)
    array([5, 5])
    """
    jobs, rounds = program.width.size, program.rounds
    if not jobs:
        return np.zeros((rounds, 0), np.int64)
    job, one = np.arange(jobs), np.ones(jobs)
    utility, longest, served = job, jobs, jobs + 1 + job
    runs = 2 * jobs + 1 + np.arange(rounds)[:, None] * jobs + job
    lp = linear.Program(2 * jobs + 1 + runs.size, free=jobs)
    _capacity(lp, program, runs)
    lp.add(np.zeros(jobs), (job, served, one), (job, runs, np.array(-program.round_s)))
    lp.add(program.length_s * np.maximum(1 - program.progress, 0.0), (job, served, one))
    for slope, x, y in zip(np.diff(LOGS) / np.diff(BREAKS), BREAKS, LOGS):
        lp.add(y + slope * (program.progress - x), (job, utility, one), (job, served, -slope / program.length_s))
    lp.add(-program.left_s, (job, np.array(longest), -one), (job, served, -one))
    bound = lp.add(np.full(1, np.inf), (np.zeros(1, np.int64), np.array([longest]), np.ones(1)))
    weight = -program.priority / (jobs * rounds)
    alone = program.k >= FIRST_K
    lp.cost[longest] = program.k
    if not alone:
        lp.cost[utility] = weight
    highs = linear.Highs(lp)
    highs.whole(runs.ravel(), gap)
    if alone:
        # utilities have no cost yet: keep them in sight
        highs.bounds(utility, np.full(jobs, LOGS[0]), np.zeros(jobs))
        found = highs.solve()
        assert found is not None, "no round for anyone is a solution"
        highs.limits(bound, np.array([found[longest] * (1 + 1e-9) + 1e-6]))
        highs.cost(np.array([longest]), np.zeros(1))
        highs.cost(utility, weight)
    found = highs.solve()
    assert found is not None, "no round for anyone is a solution"
    return np.asarray(np.rint(found[runs]).astype(np.int64))


def rank(program: Program, granted: I8, gap: float = GAP) -> I8:
    """Return the same number of rounds for each job, earlier for those of priority: i8[rounds, jobs]."""
    rounds, jobs = granted.shape
    if not granted.any():
        return granted
    job, counts = np.arange(jobs), granted.sum(axis=0)
    runs = np.arange(rounds)[:, None] * jobs + job
    lp = linear.Program(runs.size)
    _capacity(lp, program, runs)
    lp.add(counts.astype(np.float64), (job, runs, np.ones(1)))
    lp.add(-counts.astype(np.float64), (job, runs, -np.ones(1)))
    lp.cost = (np.arange(rounds)[:, None] * (program.priority / np.maximum(counts, 1))).ravel()
    highs = linear.Highs(lp)
    highs.whole(runs.ravel(), gap)
    found = highs.solve()
    return granted if found is None else np.asarray(np.rint(found[runs]).astype(np.int64))


def _capacity(lp: linear.Program, program: Program, runs: I8) -> None:
    width: F8 = program.width.astype(np.float64)
    lp.add(np.full(len(runs), program.gpus), (np.arange(len(runs))[:, None], runs, width))
