"""Who waits: quantiles of the wait by GPU demand, run time and group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

OTHERS = "others"
_LENGTHS = (
    (60.0, "under 1 min"),
    (600.0, "1–10 min"),
    (3600.0, "10–60 min"),
    (6 * 3600.0, "1–6 h"),
    (86400.0, "6–24 h"),
    (float("inf"), "over 1 day"),
)
_DEMANDS = ("no GPU", "under 1 GPU", "1 GPU", "2–4 GPUs", "5–8 GPUs", "over 8 GPUs")


@dataclass(frozen=True)
class Waits:
    """Waits of one run within one category; `jobs` that started, durations in seconds."""

    jobs: int
    mean: float
    p50: float
    p90: float
    p99: float


Table = list[dict[str, Waits]]
"""For each run: category -> waits; a category without started jobs is absent."""


def by_demand(runs: Sequence[pl.DataFrame]) -> tuple[list[str], Table]:
    """Return the categories of GPU demand that occur, smallest first, and the waits of each run in them."""
    gpus = pl.col("gpus")
    category = (
        pl.when(gpus <= 0)
        .then(pl.lit(_DEMANDS[0]))
        .when(gpus < 1)
        .then(pl.lit(_DEMANDS[1]))
        .when(gpus <= 1)
        .then(pl.lit(_DEMANDS[2]))
        .when(gpus <= 4)
        .then(pl.lit(_DEMANDS[3]))
        .when(gpus <= 8)
        .then(pl.lit(_DEMANDS[4]))
        .otherwise(pl.lit(_DEMANDS[5]))
    )
    table = [_waits(jobs, category) for jobs in runs]
    return [d for d in _DEMANDS if any(d in run for run in table)], table


def by_run_time(runs: Sequence[pl.DataFrame]) -> tuple[list[str], Table]:
    """Return the categories of run time that occur, shortest first, and the waits of each run in them."""
    category = pl.lit(_LENGTHS[-1][1])
    for below_s, name in reversed(_LENGTHS[:-1]):
        category = pl.when(pl.col("duration_s") < below_s).then(pl.lit(name)).otherwise(category)
    table = [_waits(jobs, category) for jobs in runs]
    return [name for _, name in _LENGTHS if any(name in run for run in table)], table


def by_group(runs: Sequence[pl.DataFrame], largest: int = 12) -> tuple[list[str], Table] | None:
    """Return the `largest` groups by jobs, then `others`, and the waits of each run; None for one group."""
    jobs_of = pl.concat([jobs.select("group") for jobs in runs])["group"].value_counts(sort=True)
    jobs_of = jobs_of.sort(["count", "group"], descending=[True, False])
    if jobs_of.height < 2:
        return None
    # One left over is shown by its name: `others` of one group says less than the group.
    shown = jobs_of["group"].to_list() if jobs_of.height <= largest + 1 else jobs_of["group"][:largest].to_list()
    group = pl.col("group")
    unnamed = pl.when(group == "").then(pl.lit("(no group)")).otherwise(group)
    category = pl.when(group.is_in(shown)).then(unnamed).otherwise(pl.lit(OTHERS))
    table = [_waits(jobs, category) for jobs in runs]
    ordered = [name or "(no group)" for name in shown]
    ordered += [OTHERS] if len(shown) < jobs_of.height and OTHERS not in ordered else []
    return [name for name in ordered if any(name in run for run in table)], table


def _waits(jobs: pl.DataFrame, category: pl.Expr) -> dict[str, Waits]:
    wait = pl.col("wait_s")
    rows = (
        jobs.select(category.alias("category"), "wait_s")
        .drop_nulls("wait_s")
        .group_by("category")
        .agg(
            jobs=pl.len(),
            mean=wait.mean(),
            p50=wait.quantile(0.5, "linear"),
            p90=wait.quantile(0.9, "linear"),
            p99=wait.quantile(0.99, "linear"),
        )
    )
    return {row.pop("category"): Waits(**row) for row in rows.to_dicts()}
