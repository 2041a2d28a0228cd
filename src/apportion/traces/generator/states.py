"""How jobs end: completed, cancelled, failed or cut off, given their size and how long they ran.

The papers print the shares of the states by number of jobs, by size and by GPU time. With u the rank of
a job's duration among the jobs of its size, P(state | size, u) ~ exp(a[size, state] + b[state] u); the a and
b are solved so that all these tables hold. Long jobs are cancelled and, in Helios, failures are short because
b says so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from apportion.traces.generator.preset import Preset
from apportion.traces.generator.quantiles import Array

STATES = ("completed", "cancelled", "failed", "censored")
"""A table that ends before a state gives it no share."""

_NONE = 1e-12


def draw_states(
    preset: Preset, size: npt.NDArray[np.int64], rank: Array, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the index into `STATES` of each job, given the index of its demand and its `rank` (0-1)."""
    a, b = fit_states(preset)
    upto = np.exp(a[size, 0] + b[0] * rank)
    bounds = [upto]
    for k in range(1, a.shape[1]):
        upto = upto + np.exp(a[size, k] + b[k] * rank)
        bounds.append(upto)
    point = rng.random(len(size)) * bounds[-1]
    state: npt.NDArray[np.int64] = np.zeros(len(size), dtype=np.int64)
    for bound in bounds[:-1]:
        state += point >= bound
    return state


def fit_states(preset: Preset) -> tuple[Array, Array]:
    """Return a, f64[sizes, states], and b, f64[states]; b is 0 where shares of GPU time are not known."""
    # Half of the GPU time lies in the longest percent of jobs: the grid of ranks is fine there.
    s = (np.arange(256) + 0.5) / 256
    rank, weight = 1 - (1 - s) ** 3, 3 * (1 - s) ** 2 / 256
    share = np.array([d.share for d in preset.demands])
    share = share / np.sum(share)
    gpus = np.array([d.size for d in preset.demands])
    seconds = np.array([d.durations.at(rank) for d in preset.demands])
    gpu_time = (share * gpus)[:, None] * weight * seconds
    gpu_time /= np.sum(gpu_time)
    by_size = _raked(np.array([d.states for d in preset.demands]), share, np.array(preset.states))
    a, b = np.log(np.maximum(by_size, _NONE)), np.zeros(by_size.shape[1])
    if not preset.gpu_time_states:
        return a, b
    wanted = np.array(preset.gpu_time_states) / np.sum(preset.gpu_time_states)
    for _ in range(150):
        odds = np.exp(a[:, None, :] + b * rank[None, :, None])
        p = odds / np.sum(odds, axis=2, keepdims=True)
        a += np.log(np.maximum(by_size, _NONE) / np.maximum(np.einsum("b,sbk->sk", weight, p), _NONE))
        b += np.log(np.maximum(wanted, _NONE) / np.maximum(np.einsum("sb,sbk->k", gpu_time, p), _NONE))
        b -= b[0]
    return a, b


def _raked(by_size: Array, share: Array, overall: Array) -> Array:
    """Scale the shares by size until they add up to the overall ones (iterative proportional fitting)."""
    table: Array = by_size / np.sum(by_size, axis=1, keepdims=True)
    for _ in range(50):
        table = table * (overall / np.sum(overall) / np.maximum(share @ table, _NONE))
        table = table / np.sum(table, axis=1, keepdims=True)
    return table
