"""A moment of a finished run as the live controller would have seen it: what ran, what waited, what had ended."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.live.situation import ENDED, PENDING, RUNNING, Situation
from apportion.model.errors import InputError
from apportion.study.result import Result

HISTORY = 2000
"""Ended jobs of a situation, the last ones."""


def situation_at(result: Result, time_s: float, *, history: int = HISTORY, truth: bool = False) -> Situation:
    """Return the situation of a finished run at a time, after all that happened then.

    Parameters
    ----------
    time_s: seconds from the origin of the run. history: how many ended jobs it looks back on.
    truth: whether jobs that have not ended show how long they will take; otherwise `estimate_s` where the workload has
    it, as at submission.

    Raises
    ------
    InputError: the time is not a number, or jobs of the run were resized (by an allocator), which a situation cannot
    tell.
    """
    if not np.isfinite(time_s):
        raise InputError(f"found time {time_s!r}, expected seconds")
    jobs, runs = result.jobs, result.placements
    first = runs.filter("first").select("job", "start_s", "end_s")
    begun = first.filter(pl.col("start_s") <= time_s)
    over = pl.col("end_s").is_not_null() & (pl.col("end_s") <= time_s)
    now = begun.filter(~over)
    earlier = begun.filter(over).group_by("job").agg(ran=(pl.col("end_s") - pl.col("start_s")).sum(), runs=pl.len())
    table = result.workload.table.with_row_index("number").with_columns(
        end=jobs["end_s"], status=jobs["status"], number=pl.col("number").cast(pl.Int64)
    )
    if "name" not in table.columns and "job_name" in table.columns:
        table = table.with_columns(name="job_name")
    table = table.join(now.select(number=pl.col("job").cast(pl.Int64), started_s="start_s"), on="number", how="left")
    table = table.join(
        earlier.select(number=pl.col("job").cast(pl.Int64), ran="ran", runs="runs"), on="number", how="left"
    )
    here = (pl.col("submit_s") <= time_s) & (pl.col("status") != "rejected")
    ended = pl.col("end").is_not_null() & (pl.col("end") <= time_s)
    past = table.filter(here & ended).sort("end", maintain_order=True).tail(history)
    open_ = table.filter(here & ~ended)
    running = pl.col("started_s").is_not_null()
    shown = pl.concat(
        [
            past.with_columns(state=pl.lit(ENDED), attained_s=pl.lit(0.0), preemptions=pl.lit(0, pl.Int32)),
            open_.with_columns(
                state=pl.when(running).then(pl.lit(RUNNING)).otherwise(pl.lit(PENDING)),
                attained_s=pl.col("ran").fill_null(0.0),
                preemptions=pl.col("runs").fill_null(0).cast(pl.Int32),
            ),
        ]
    )
    if not truth:
        guess = pl.coalesce("estimate_s", "duration_s")
        ran = pl.col("attained_s") + pl.coalesce(time_s - pl.col("started_s"), pl.lit(0.0))
        guess = pl.when(pl.col("state") == ENDED).then("duration_s").otherwise(pl.max_horizontal(guess, ran))
        shown = shown.with_columns(duration_s=guess)
    names = result.cluster.table["node"]
    at = runs.filter((pl.col("start_s") <= time_s) & (pl.col("end_s").is_null() | (pl.col("end_s") > time_s)))
    places = pl.DataFrame(
        {
            "job_id": result.workload.table["job_id"].gather(at["job"]),
            "node": names.gather(at["node"]),
            "devices": at["devices"],
        }
    )
    served = _served(result, begun.filter(over))
    shown = shown.drop("end", "status", "ran", "runs")
    return Situation.of(time_s, result.cluster, shown, places, _closed(result, time_s), served)


def history_at(result: Result, time_s: float) -> pl.DataFrame:
    """Return every job of a finished run that had ended by a time, oldest end first, as rows of a workload."""
    table = result.workload.table.with_columns(ended_s=result.jobs["end_s"])
    if "name" not in table.columns and "job_name" in table.columns:
        table = table.with_columns(name="job_name")
    return table.filter(pl.col("ended_s").is_not_null() & (pl.col("ended_s") <= time_s)).sort(
        "ended_s", maintain_order=True
    )


def _served(result: Result, over: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Return, by user and by group, the GPU-seconds of runs that are over."""
    gpu_s = (over["end_s"] - over["start_s"]) * result.jobs["gpus"].gather(over["job"])
    out = {}
    for by in ("user", "group"):
        frame = pl.DataFrame({"who": result.jobs[by].gather(over["job"]), "gpu_s": gpu_s})
        out[by] = {str(who): float(s) for who, s in frame.group_by("who").agg(pl.col("gpu_s").sum()).iter_rows()}
    return out


def _closed(result: Result, time_s: float) -> frozenset[str]:
    events = result.facts.get("failures")
    up: dict[str, bool] = {}
    if events is not None:
        for at, node, is_up in zip(events.times_s, events.nodes, events.up, strict=True):
            if at <= time_s:
                up[node] = bool(is_up)
    return frozenset(node for node, is_up in up.items() if not is_up)
