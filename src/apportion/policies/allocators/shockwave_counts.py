"""Shockwave's program in counts: how many rounds of the window each job is given.

Zheng et al., NSDI 2023, section 6, with one whole number n_j a job instead of a yes or no for each of its rounds (the
rounds of a window are alike, so that a plan with these counts nearly always exists):

    maximise   1 / (N T) sum_j pi_j U_j(n_j)  -  k max_j (R_j - s_j(n_j))
    s_j(n) = min(tau n, L_j (1 - x_j)),   U_j(n) = log(x_j + s_j(n) / L_j), piecewise linear
    sum_j w_j n_j <= G T,   0 <= n_j <= T

for N jobs of w_j GPUs, T rounds of tau seconds, G GPUs; x_j of the job is done, all of it takes L_j seconds and R_j are
left. Given the longest remainder m, n_j >= (R_j - m) / tau, and the capacity that this leaves is worth most where the
next round of a job adds most for each of its GPUs, as the U_j are concave. So m is searched for; the rest is greedy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.jit import entry
from apportion.engine.layout import F8, I8

BREAKS = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
LOGS = np.log(np.maximum(BREAKS, 1e-6))
"""The logarithm is a chain of straight lines between these points; log(0) is log(1e-6)."""

GRID = 48
"""The longest remainder is searched for on so many points at a time."""

CLOSE = 1e-9


@dataclass(frozen=True)
class Program:
    """An instance; arrays have an entry per job.

    Parameters
    ----------
    width: i8, GPUs. left_s, progress, length_s: f8, R, x and L. priority: f8, pi. gpus: G. rounds: T. round_s: tau.
    k: weight of the longest remainder.
    """

    width: I8
    left_s: F8
    progress: F8
    length_s: F8
    priority: F8
    gpus: float
    rounds: int
    round_s: float
    k: float

    @property
    def served_s(self) -> F8:
        """Return s_j(n) for n = 0..T: f8[jobs, T + 1]."""
        most = self.length_s * np.maximum(1 - self.progress, 0.0)
        return np.asarray(np.minimum(np.arange(self.rounds + 1) * self.round_s, most[:, None]))

    @property
    def worth(self) -> F8:
        """Return pi_j U_j(n) for n = 0..T: f8[jobs, T + 1]."""
        part = self.progress[:, None] + self.served_s / self.length_s[:, None]
        return np.asarray(self.priority[:, None] * np.interp(part, BREAKS, LOGS))

    def objective(self, counts: I8) -> float:
        """Return the value of a plan."""
        at = np.arange(counts.size), counts
        total = self.worth[at].sum() / (counts.size * self.rounds)
        return float(total - self.k * max((self.left_s - self.served_s[at]).max(), 0.0))


def solve(program: Program) -> I8:
    """Return the rounds of each job: i8[jobs].

    Examples
    --------
    >>> two = np.ones(2)
    >>> program = Program(two.astype(int), 600 * two, 0 * two, 600 * two, two, 1.0, 10, 120.0, 1e-3)
    >>> solve(program)
    array([5, 5])
    """
    if not program.width.size:
        return np.zeros(0, np.int64)
    worth, served = program.worth, program.served_s
    gain = np.diff(worth, axis=1)
    density = gain / program.width[:, None]
    order = np.argsort(-density, axis=None, kind="stable")
    order = order[gain.ravel()[order] > 0] // program.rounds
    left = program.left_s
    remainders = np.unique(np.maximum(left[:, None] - served, 0.0))
    # a job that cannot be done within the window bounds the remainder from below
    remainders = remainders[remainders >= max((left - served[:, -1]).max(), 0.0) - CLOSE]
    share = 1 / (left.size * program.rounds)
    budget = int(np.floor(program.gpus * program.rounds + CLOSE))
    counts: I8 = _search(
        remainders, order, program.width, left, worth, budget, float(program.round_s), share, float(program.k)
    )
    return counts


@entry
def _search(
    remainders: F8, order: I8, width: I8, left: F8, worth: F8, budget: int, round_s: float, share: float, k: float
) -> I8:
    """Look at points of ever finer grids of the longest remainder, and keep the best."""
    low, high = 0, remainders.size - 1
    best: I8 = _greedy(remainders[high], order, width, left, worth, budget, round_s)
    best_value, best_m, at = _total(best, worth), remainders[high], high
    while True:
        step = max((high - low) // GRID, 1)
        point = low
        while point <= high:
            counts = _greedy(remainders[point], order, width, left, worth, budget, round_s)
            if counts[0] >= 0:
                value = _total(counts, worth)
                # differences, as k m may be a billion times the rest
                if share * (value - best_value) - k * (remainders[point] - best_m) > 0:
                    best, best_value, best_m, at = counts, value, remainders[point], point
            point += step
        if step == 1:
            return best
        low, high = max(at - step, 0), min(at + step, remainders.size - 1)


@entry
def _total(counts: I8, worth: F8) -> float:
    total = 0.0
    for j in range(counts.size):
        total += worth[j, counts[j]]
    return total


@entry
def _greedy(longest: float, order: I8, width: I8, left: F8, worth: F8, budget: int, round_s: float) -> I8:
    """Return the counts with this longest remainder; -1 in front where there are none."""
    jobs = width.size
    counts = np.zeros(jobs, np.int64)
    for j in range(jobs):
        counts[j] = min(max(int(np.ceil((left[j] - longest) / round_s - CLOSE)), 0), worth.shape[1] - 1)
        budget -= width[j] * counts[j]
    if budget < 0:
        counts[0] = -1
        return counts
    forced = counts.copy()
    for j in order:
        if forced[j] > 0:
            forced[j] -= 1
        elif width[j] <= budget:
            counts[j] += 1
            budget -= width[j]
            if budget == 0:
                break
    return counts
