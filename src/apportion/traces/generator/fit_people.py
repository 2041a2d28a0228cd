"""Whose jobs they are: groups and their sizes and run times, how unequal users are, how much they repeat."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.traces.generator.fit_arrivals import burst_of
from apportion.traces.generator.preset import Group, People
from apportion.traces.generator.quantiles import Array
from apportion.traces.generator.split import normal_quantile

MOST_GROUPS = 200
REPEATS, WITHIN = 3.0, 0.1
"""Where the trace names no jobs: as in the presets (Weng et al., NSDI'22)."""

NAME = "job_name"


def fit_groups(table: pl.DataFrame, demand: np.ndarray, rank: Array) -> tuple[tuple[Group, ...], np.ndarray]:
    """Return the groups, and the index of each job's group; those beyond the largest 200 count as the last."""
    counted = table["group"].value_counts(sort=True)
    order = counted.sort(["count", "group"], descending=[True, False])["group"].to_list()
    index = {name: min(i, MOST_GROUPS - 1) for i, name in enumerate(order)}
    of = table["group"].replace_strict(index, return_dtype=pl.Int64).to_numpy()
    number, sizes = int(np.max(of)) + 1, int(np.max(demand)) + 1
    shares = np.bincount(of * sizes + demand, minlength=number * sizes).reshape(number, sizes)
    score = np.bincount(of, weights=normal_quantile(rank), minlength=number) / np.bincount(of, minlength=number)
    return tuple(Group(order[g], 1, tuple(float(s) for s in shares[g]), float(score[g])) for g in range(number)), of


def fit_people(table: pl.DataFrame, demand: np.ndarray, rank: Array, group_of: np.ndarray) -> People:
    """Return the users of the table."""
    frame = pl.DataFrame({"user": table["user"], "group": group_of, "score": normal_quantile(rank)})
    frame = frame.with_columns(score=pl.col("score") - pl.col("score").mean().over("group"))
    users = frame.group_by("user").agg(pl.col("group").mode().min(), pl.len().alias("jobs"), pl.col("score").mean())
    inside = users.with_columns(
        spread=pl.col("jobs").log() - pl.col("jobs").log().mean().over("group"), peers=pl.len().over("group")
    ).filter(pl.col("peers") > 1)
    sigma = float(np.sqrt(np.mean(inside["spread"].to_numpy() ** 2))) if inside.height else 0.0
    often = users.filter(pl.col("jobs") >= 5)
    between = float(np.average(often["score"].to_numpy() ** 2, weights=often["jobs"])) if often.height else 0.0
    repeats, within = _repetition(table, demand, rank)
    return People(
        users=users.height,
        sigma=sigma,
        taste_sigma=0.8 if inside.height else 0.0,
        user_variance=min(between, 0.9),
        repeats=repeats,
        within=within,
    )


def _repetition(table: pl.DataFrame, demand: np.ndarray, rank: Array) -> tuple[float, float]:
    """Return how often a name is used for the same request, and the spread of run times under one name.

    Where no jobs are named, those of a burst are taken for repetitions.
    """
    if NAME not in table.columns or table[NAME].null_count() == table.height:
        burst = burst_of(table, demand)
        number = np.bincount(burst)
        mean = np.bincount(burst, weights=normal_quantile(rank)) / number
        off = (normal_quantile(rank) - mean[burst])[number[burst] > 1]
        free = np.sum(number[number > 1] - 1)
        return REPEATS, min(float(np.sqrt(np.sum(off**2) / free)), 1.0) if free else WITHIN
    frame = pl.DataFrame(
        {"user": table["user"], "name": table[NAME], "demand": demand, "score": normal_quantile(rank)}
    ).drop_nulls("name")
    named = frame.group_by("user", "name", "demand").agg(pl.len().alias("jobs"), pl.col("score").var())
    several = named.filter(pl.col("jobs") > 1)
    if not several.height:
        return 1.0, WITHIN
    within = float(np.sqrt(np.average(several["score"].to_numpy(), weights=several["jobs"])))
    return frame.height / named.height, min(within, 1.0)
