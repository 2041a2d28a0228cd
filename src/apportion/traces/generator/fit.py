"""Fit the generator's model to a trace: the same `Preset` that the papers' tables make, from the jobs themselves.

Kept are summaries: run times of each size as quantiles, submissions by hour of the day, how many jobs of each size and
length came on each day, bursts, users and groups, states. No job of the trace is.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.workload import Workload
from apportion.traces.generator.fit_arrivals import fit_arrivals
from apportion.traces.generator.fit_people import fit_groups, fit_people
from apportion.traces.generator.preset import Demand, NodeKind, Preset
from apportion.traces.generator.quantiles import Array, Quantiles
from apportion.traces.generator.states import STATES

MOST_DEMANDS = 64
"""Different requests told apart; what is rarer counts as the one nearest in size."""

SPARE = 1.25
"""Capacity that is assumed over the mean demand where no cluster is known; no more than a bound on bursts."""

MONDAY = datetime(2000, 1, 3)
"""Second 0 of a trace without a calendar."""

REQUEST = ("tasks", "gpus", "gpu_milli", "priority", "best_effort")


def fit(workload: Workload, cluster: Cluster | None = None) -> Preset:
    """Return a preset that generates workloads like `workload`.

    Parameters
    ----------
    cluster: which the load refers to; without one, a number of GPUs a quarter above the mean demand.

    Raises
    ------
    InputError: there are no two jobs, or none runs.

    Examples
    --------
    >>> from apportion.traces.registry import load
    >>> preset = fit(load("synthetic:philly?jobs=500&seed=1").workload)
    >>> sum(demand.share for demand in preset.demands)
    500.0
    """
    table = workload.table.filter(pl.col("duration_s") > 0).rechunk()
    if table.height < 2:
        raise InputError(f"{workload.name}: found {table.height} jobs that run, expected at least 2 to fit")
    origin = workload.origin or MONDAY
    demand = _requests(table)
    table = table.with_columns(_demand=pl.Series(demand))
    rank = _ranks(table["duration_s"].to_numpy(), demand)
    demands = tuple(_demand(table.filter(pl.col("_demand") == d)) for d in range(int(np.max(demand)) + 1))
    held = np.array([d.size for d in demands])[demand]
    duration_s = table["duration_s"].to_numpy()
    arrivals = fit_arrivals(table, demand, rank, held * duration_s, origin)
    groups, group_of = fit_groups(table, demand, rank)
    states = _states(table, np.ones(len(demand)))
    nodes = _capacity(cluster, held, duration_s, table["submit_s"].to_numpy())
    return Preset(
        name=workload.name,
        title=f"like {workload.name}",
        source=f"fitted to {table.height:,} jobs of {workload.name}",
        origin=origin,
        arrivals=arrivals,
        demands=demands,
        states=states,
        gpu_time_states=_states(table, held * duration_s) if states else (),
        people=fit_people(table, demand, rank, group_of),
        groups=groups,
        gpus_per_node=1,
        kinds=(NodeKind(nodes, 1),),
    )


def _requests(table: pl.DataFrame) -> np.ndarray:
    """Return the index of each job's request; the rare ones count as the nearest of the frequent ones."""
    kinds = table.group_by(REQUEST).len().sort(["len", *REQUEST], descending=[True, *(False for _ in REQUEST)])
    size = (kinds["tasks"] * kinds["gpus"] * kinds["gpu_milli"] / 1000).to_numpy()
    target = np.arange(kinds.height)
    for i in range(MOST_DEMANDS, kinds.height):
        target[i] = int(np.argmin(np.abs(np.log(size[:MOST_DEMANDS] + 0.01) - np.log(size[i] + 0.01))))
    found = table.select(REQUEST).join(kinds.with_columns(_to=pl.Series(target)), on=REQUEST, how="left")
    return found["_to"].to_numpy()


def _ranks(duration_s: Array, demand: np.ndarray) -> Array:
    """Return the share (0-1) of the jobs of the same request that run shorter."""
    order = np.lexsort((duration_s, demand))
    number = np.bincount(demand)
    first = np.cumsum(number) - number
    rank = np.empty(len(demand))
    rank[order] = np.arange(len(demand)) - np.repeat(first, number) + 0.5
    share: Array = rank / number[demand]
    return share


def _demand(jobs: pl.DataFrame) -> Demand:
    usual = jobs.group_by(REQUEST).len().sort(["len", *REQUEST], descending=[True, *(False for _ in REQUEST)])
    asked = usual.row(0, named=True)
    models = jobs["gpu_models"].list.join("|").value_counts(sort=True, normalize=True, name="share")
    bound = tuple((word, share) for word, share in models.head(16).iter_rows() if word)
    return Demand(
        gpus=asked["gpus"],
        share=float(jobs.height),
        durations=curve(jobs["duration_s"].to_numpy()),
        states=_states(jobs, np.ones(jobs.height)),
        tasks=asked["tasks"],
        gpu_milli=asked["gpu_milli"],
        cpu_milli=_amounts(jobs["cpu_milli"]),
        memory_mib=_amounts(jobs["memory_mib"]),
        gpu_models=bound,
        priority=asked["priority"],
        best_effort=asked["best_effort"],
    )


def curve(values: Array) -> Quantiles:
    """Return the quantiles of positive `values`: every percent, and ever finer towards the longest, where the GPU time
    lies. Not more than a third as many knots as values.
    """
    number = len(values)
    tail = 1 - np.geomspace(0.01, 1.0 / number, 40) if number > 200 else np.zeros(0)
    levels = np.unique(np.concatenate([np.linspace(0, 1, int(np.clip(number // 3, 2, 101))), tail]))
    seconds = np.maximum.accumulate(np.maximum(np.quantile(values, levels), 1e-3))
    found = Quantiles(levels, seconds)
    if np.ptp(seconds) == 0:
        return found
    # Straight lines between knots have another mean than the jobs: stretch what lies above the smallest.
    for _ in range(20):
        power = np.log(np.mean(values) / found.mean()) / np.log(seconds[-1] / seconds[0])
        weight = np.log(found.seconds / found.seconds[0]) / np.log(found.seconds[-1] / found.seconds[0])
        found = Quantiles(levels, found.seconds * (seconds[-1] / seconds[0]) ** (power * weight))
    return found


def _amounts(column: pl.Series) -> Quantiles | None:
    if not (column > 0).any():
        return None
    levels = np.linspace(0, 1, 21)
    return Quantiles(levels, np.maximum(np.quantile(column.to_numpy(), levels, method="inverted_cdf"), 1))


def _states(jobs: pl.DataFrame, weight: Array) -> tuple[float, ...]:
    """Return the weight of each state; none where the trace tells none."""
    index = {state: i for i, state in enumerate(STATES)}
    known = jobs["status"].replace_strict(index, default=None, return_dtype=pl.Int64)
    if known.null_count() == len(known):
        return ()
    has = known.is_not_null().to_numpy()
    sums = np.bincount(known.drop_nulls().to_numpy(), weights=weight[has], minlength=len(STATES))
    return tuple(float(x) for x in sums)


def _capacity(cluster: Cluster | None, held: Array, duration_s: Array, submit_s: Array) -> int:
    if cluster is not None:
        return cluster.gpus
    span_s = max(float(submit_s[-1] - submit_s[0]), 1.0)
    return max(int(np.ceil(SPARE * np.sum(held * duration_s) / span_s)), int(np.ceil(np.max(held))), 1)
