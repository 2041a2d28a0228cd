"""Durations by size from what papers print: one duration curve of all jobs, and GPU-time shares by size.

Helios (SC'21) and Acme (NSDI'24) give the duration CDF of all jobs together, the share of jobs of each size
and the share of GPU time of each size. Those fix the mean duration of each size. The missing joint
distribution is taken as a normal score z ~ N(a_g, 1) for size g, with a job's rank among all jobs equal to
the mixture's distribution function at z: every choice of a_g keeps the published curve of all jobs, and the
a_g are solved for the means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apportion.traces.generator.quantiles import Array, Quantiles

_Z = np.linspace(-9.0, 9.0, 3601)
_PHI = np.cumsum(np.exp(-0.5 * _Z**2))
_PHI = (_PHI - 0.5 * np.exp(-0.5 * _Z**2)) / _PHI[-1]
_KNOTS = np.linspace(-3.8, 3.8, 77)


def normal_cdf(z: Array) -> Array:
    """Return the standard normal distribution function (tabulated; absolute error below 1e-5)."""
    levels: Array = np.interp(z, _Z, _PHI, left=0.0, right=1.0)
    return levels


def normal_quantile(levels: Array) -> Array:
    """Return the standard normal quantile function, the inverse of `normal_cdf`."""
    return np.interp(levels, _PHI, _Z)


def split_by_size(
    overall: Quantiles, gpus: Sequence[float], job_shares: Sequence[float], gpu_time_shares: Sequence[float]
) -> list[Quantiles]:
    """Return the duration quantiles of each size.

    Parameters
    ----------
    overall: durations of all jobs. gpus: the sizes. job_shares, gpu_time_shares: of each size; scaled to sum
    to 1.
    """
    share = np.array(job_shares, dtype=np.float64) / np.sum(job_shares)
    per_job = np.array(gpu_time_shares) / np.array(gpus) / share
    wanted = per_job * overall.mean() / np.sum(per_job * share)
    shift = np.zeros(len(share))
    tables: list[Quantiles] = []
    for _ in range(40):
        tables = _tables(overall, share, shift)
        shift += 0.7 * np.log(wanted / np.array([table.mean() for table in tables]))
        shift -= np.sum(share * shift)
    return tables


def _tables(overall: Quantiles, share: Array, shift: Array) -> list[Quantiles]:
    tables = []
    for a in shift:
        z = _KNOTS + a
        rank = np.sum(share * normal_cdf(z[:, None] - shift[None, :]), axis=1)
        levels = np.concatenate([[0.0], normal_cdf(_KNOTS), [1.0]])
        seconds = overall.at(np.concatenate([[0.0], rank, [1.0]]))
        tables.append(Quantiles(levels, seconds))
    return tables
