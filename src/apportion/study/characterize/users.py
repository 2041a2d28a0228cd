"""How unevenly users share jobs, GPU time and waiting."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model import words
from apportion.study.characterize import figures
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import groups_for_users, take

PARTS = (1, 5, 10, 20, 50)
"""Percent of users whose share is said."""

CURVE = (0, 1, 2, 5, *range(10, 101, 5))
"""Percent of users at which the Lorenz curve is tabulated, from those who hold most."""

RATES = 10
"""Bins of the users' completion rates."""


def look(subject: Subject) -> Section:
    """Tabulate what the largest users hold; a user whose name is empty is left out."""
    jobs = subject.jobs
    if groups_for_users(jobs):
        return Section("users", "Users", skipped="no column user: the trace gives groups in its place")
    table = (
        take(jobs, "user", "gpu_s", "wait_s", "status")
        .lazy()
        .with_columns(pl.col("user").cast(pl.Categorical))
        .group_by("user")
        .agg(
            pl.len().alias("jobs"),
            (pl.col("gpu_s").sum() / 3600).alias("gpu_h"),
            (pl.col("wait_s").sum() / 3600).alias("wait_h"),
            (pl.col("status") == "completed").mean().alias("completed_share"),
        )
        .with_columns(pl.col("user").cast(pl.String))
        .filter(pl.col("user") != "")
        .sort(["gpu_h", "jobs", "user"], descending=[True, True, False])
        .collect()
    )
    if table.height < 2:
        return Section("users", "Users", skipped="no column user: all jobs are of one user")
    held = {"jobs": table["jobs"], "gpu_time": table["gpu_h"], "wait": table["wait_h"]}
    held = {name: series for name, series in held.items() if float(series.sum()) > 0}
    numbers: dict[str, float] = {
        "users": table.height,
        "jobs_per_user_p50": float(table["jobs"].median()),  # type: ignore[arg-type]
        "jobs_per_user_max": float(table["jobs"].max()),  # type: ignore[arg-type]
    }
    for name, series in held.items():
        amounts = series.cast(pl.Float64).to_numpy()
        numbers |= {f"top_{p}pct_{name}_share": figures.share_of_top(amounts, p / 100) for p in PARTS}
        numbers[f"{name}_gini"] = figures.gini(amounts)
    lorenz = {"users_pct": np.array(CURVE, dtype=np.float64)} | {
        name: np.array([figures.share_of_top(s.cast(pl.Float64).to_numpy(), p / 100) for p in CURVE])
        for name, s in held.items()
    }
    share = pl.col("gpu_h") / pl.col("gpu_h").sum() if "gpu_time" in held else pl.lit(None, pl.Float64)
    tables = {
        "lorenz": pl.DataFrame(lorenz),
        "top": table.with_columns(gpu_time_share=share).head(figures.MOST_ROWS),
    }
    rates = table["completed_share"].drop_nulls()
    if not rates.is_empty():
        counts, _ = np.histogram(rates.to_numpy(), bins=RATES, range=(0, 1))
        tables["completion_rates"] = pl.DataFrame({"from": np.arange(RATES) / RATES, "users": counts})
    return Section("users", "Users", figures.known(numbers), tables, tuple(_sentences(numbers)))


def _sentences(n: dict[str, float]) -> list[str]:
    what, name = ("GPU time", "gpu_time") if "top_5pct_gpu_time_share" in n else ("the jobs", "jobs")
    few = max(0.05 * n["users"], 1.0)
    share = n[f"top_5pct_{name}_share"]
    holders = f"The top 5 % of the {words.count(n['users'])} users (about {words.count(few)})"
    means = "how full the cluster is depends on these" if share >= 0.5 else "how full the cluster is depends on many"
    out = [f"{holders} hold {words.percent(share)} of {what}: {means}."]
    if "top_5pct_wait_share" in n:
        out.append(
            f"Waiting falls on few as well: 5 % of the users bear {words.percent(n['top_5pct_wait_share'])} of it."
            if n["top_5pct_wait_share"] >= 0.5
            else f"5 % of the users bear {words.percent(n['top_5pct_wait_share'])} of all waiting."
        )
    out.append(
        f"Half of the users submitted at most {words.plural(n['jobs_per_user_p50'], 'job')}, the busiest one "
        f"{words.count(n['jobs_per_user_max'])}."
    )
    return out


ANALYSES = (Analysis("users", "Users", ("user",), look, "Hu SC'21, Weng NSDI'22"),)
