"""Job types from what Acme's paper prints: by type and by size, but never by both.

The paper (NSDI'24) gives the durations, the share of jobs and of GPU time of each type, and the durations and shares of
each size. Between them lies a table n[type, size, duration]; of all that agree with the printed margins, iterative
proportional fitting takes one near to a starting guess, which says what the text says: evaluation on few GPUs,
pretraining on more than a hundred. How strongly pretraining leans to large sizes is solved for its printed GPU time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from apportion.traces.generator.preset import Demand
from apportion.traces.generator.quantiles import Array, Quantiles
from apportion.traces.generator.split import normal_quantile

ROUNDS = 100
LEANINGS = (0.0, 8.0)
STEPS = 16
BINS_A_DOUBLING = 2
SMALLEST = 1e-6
"""Cells with a smaller share of the jobs are left out."""

_NONE = 1e-300


@dataclass(frozen=True)
class Kind:
    """A type of job.

    Parameters
    ----------
    share: of all jobs; any scale. durations: of its jobs. gpus: its usual size, where the guess has its peak;
    width: standard deviation of that peak in doublings.
    """

    share: float
    durations: Quantiles
    gpus: float
    width: float


def by_kind(
    overall: Quantiles,
    gpus: Sequence[int],
    shares: Sequence[float],
    gpu_time: Sequence[float],
    kinds: Mapping[str, Kind],
    known: tuple[str, float],
) -> list[Demand]:
    """Return the demands by type and size; they name no states yet.

    Parameters
    ----------
    overall: durations of all jobs. shares, gpu_time: of the sizes `gpus`; any scale.
    known: a type, and its share (0 to 1) of the GPU time.
    """
    low, high = overall.seconds[0], overall.seconds[-1]
    edges = np.exp(np.linspace(np.log(low), np.log(high), BINS_A_DOUBLING * int(np.log2(high / low)) + 1))
    seconds = np.diff(edges) / np.diff(np.log(edges))
    size = np.array(gpus, dtype=np.float64)
    doublings = np.log2(size)
    peak = np.array([np.log2(kind.gpus) for kind in kinds.values()])
    width = np.array([kind.width for kind in kinds.values()])
    guess = np.exp(-0.5 * ((doublings[None, :] - peak[:, None]) / width[:, None]) ** 2)
    jobs = np.array([kind.share for kind in kinds.values()], dtype=np.float64)
    by_type = np.array([_masses(kind.durations, edges) for kind in kinds.values()]) * (jobs / np.sum(jobs))[:, None]
    masses = _masses(overall, edges)
    # The curves of the types do not quite add up to that of all jobs; the misfit is shared out among them.
    for _ in range(ROUNDS):
        by_type *= (masses / np.maximum(np.sum(by_type, axis=0), _NONE))[None, :]
        by_type *= (jobs / np.sum(jobs) / np.sum(by_type, axis=1))[:, None]
    by_size = np.array(shares) / np.sum(shares)
    wanted = np.array(gpu_time) / size
    wanted *= np.sum(masses * seconds) / np.sum(wanted)
    name, share = known
    row = list(kinds).index(name)
    bounds = list(LEANINGS)
    table = np.zeros(0)
    for _ in range(STEPS):
        lean = sum(bounds) / 2
        start = guess.copy()
        start[row] *= np.exp2(lean * (doublings - doublings[-1]))
        table = _raked(start, by_type, by_size, wanted, seconds)
        held = table * size[None, :, None] * seconds
        bounds[0 if np.sum(held[row]) / np.sum(held) < share else 1] = lean
    return [
        Demand(g, float(np.sum(table[t, s])), _curve(table[t, s], edges), kind=kind)
        for t, kind in enumerate(kinds)
        for s, g in enumerate(gpus)
        if np.sum(table[t, s]) >= SMALLEST
    ]


def _raked(guess: Array, by_type: Array, by_size: Array, wanted: Array, seconds: Array) -> Array:
    """Return n[type, size, duration] with the margins by type and duration, and by size, and for each size
    `wanted` seconds of all its jobs together: the more a size needs, the more it leans to long jobs.
    """
    upto = np.cumsum(np.sum(by_type, axis=0))
    score = normal_quantile((upto - 0.5 * np.diff(upto, prepend=0.0)) / upto[-1])
    table: Array = guess[:, :, None] * by_type[:, None, :] + _NONE
    for _ in range(ROUNDS):
        have = np.sum(table, axis=0) @ seconds
        step = np.clip(0.5 * np.log(wanted / have), -0.5, 0.5)
        table = table * np.exp(step[:, None] * score[None, :])[None, :, :]
        table = table * (by_size / np.maximum(np.sum(table, axis=(0, 2)), _NONE))[None, :, None]
        table = table * (by_type / np.maximum(np.sum(table, axis=1), _NONE))[:, None, :]
    return table


def _masses(curve: Quantiles, edges: Array) -> Array:
    """Return the share of jobs between two edges; the outermost take what lies outside."""
    upto = np.interp(np.log(edges), np.log(curve.seconds), curve.levels)
    upto[0], upto[-1] = 0.0, 1.0
    return np.diff(upto)


def _curve(masses: Array, edges: Array) -> Quantiles:
    levels = np.minimum(np.concatenate([[0.0], np.cumsum(masses) / np.sum(masses)]), 1.0)
    levels[-1] = 1.0
    some = masses > 0
    keep = np.concatenate([some, [False]]) | np.concatenate([[False], some])
    levels, seconds = levels[keep], edges[keep]
    levels[0] = 0.0
    return Quantiles(levels, seconds)
