"""What a run's log amounts to: a row a job, a row a piece of every run."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from apportion.engine.encode import Encoded
from apportion.engine.layout import ENDED, REJECTED, Records
from apportion.engine.round_log import RoundLog
from apportion.engine.run import Log
from apportion.model.cluster import Cluster
from apportion.model.workload import Workload
from apportion.study.result import Result


def outcome(
    policy: str,
    trace: str,
    workload: Workload,
    cluster: Cluster,
    encoded: Encoded,
    log: Log,
    how: dict[str, Any],
) -> Result:
    """Return the result of a run from its log; `how` it was run goes into the facts."""
    placements = _placements(log)
    asked = how.get("rounds")
    given_up = asked.given_up if isinstance(asked, RoundLog) else []
    return Result(
        policy,
        trace,
        workload,
        cluster,
        _jobs(workload, cluster, encoded, log, given_up),
        placements,
        {
            "events": log.events,
            "wall_s": log.wall_s,
            "end_s": log.end_s,
            **how,
        },
    )


def _placements(log: Log) -> pl.DataFrame:
    pieces = log.runs["pieces"]
    run = np.repeat(np.arange(log.runs.size), pieces)
    shapes = log.tasks
    put = log.puts
    gpus = (shapes["gpus"] * shapes["milli"] / 1000)[put["shape"]] if put.size else np.zeros(0)
    first = np.zeros(put.size, bool)
    first[log.runs["put"]] = True
    end = log.runs["end"][run]
    return pl.DataFrame(
        {
            "job": log.runs["job"][run],
            "start_s": log.runs["start"][run],
            "end_s": pl.Series(np.where(np.isinf(end), np.nan, end)).fill_nan(None),
            "node": put["node"],
            "gpus": gpus,
            "devices": put["mask"],
            "first": first,
        }
    )


def _jobs(workload: Workload, cluster: Cluster, encoded: Encoded, log: Log, given_up: list[int]) -> pl.DataFrame:
    n = len(workload)
    runs, table = log.runs, log.jobs
    start = np.full(n, np.inf)
    last_start = np.full(n, -np.inf)
    # runs are logged in the order of their starts: assigning backwards leaves the first, forwards the last
    start[runs["job"][::-1]] = runs["start"][::-1]
    last_start[runs["job"]] = runs["start"]
    end = np.full(n, np.nan)
    ended = table["state"] == ENDED
    end[runs["job"]] = runs["end"]
    end[~ended] = np.nan
    closed = np.isfinite(runs["end"])
    ran = np.bincount(runs["job"][closed], (runs["end"] - runs["start"])[closed], minlength=n)
    last_run = np.zeros(n)
    last_run[runs["job"]] = np.where(closed, runs["end"] - runs["start"], 0.0)
    submit = workload.table["submit_s"].to_numpy()
    # up to its end; for a job that has not ended, up to its last start
    waited = np.where(ended, end - ran, last_start - (ran - last_run)) - submit
    wait = np.where(np.isfinite(start), waited, np.nan)
    once = (table["preemptions"] == 0) & (table["restarts"] == 0)
    wait = np.where(once & np.isfinite(start), start - submit, wait)
    start[~np.isfinite(start)] = np.nan
    status = np.where(ended, 0, np.where(table["state"] == REJECTED, 1, 2))
    status[given_up] = 3
    words = pl.Series(["completed", "rejected", "unfinished", "failed"])
    jct = end - submit
    jct[given_up] = np.nan
    return pl.DataFrame(
        {
            "job_id": workload.table["job_id"],
            "user": workload.table["user"],
            "group": workload.table["group"],
            "submit_s": workload.table["submit_s"],
            "start_s": pl.Series(start).fill_nan(None),
            "end_s": pl.Series(end).fill_nan(None),
            "wait_s": pl.Series(wait).fill_nan(None),
            "jct_s": pl.Series(jct).fill_nan(None),
            "duration_s": workload.table["duration_s"],
            "gpus": encoded.milli / 1000,
            "preemptions": table["preemptions"].copy(),
            "restarts": table["restarts"].copy(),
            "status": words.gather(status),
            "nodes": _node_names(n, cluster, runs, log),
        }
    )


def _node_names(n: int, cluster: Cluster, runs: Records, log: Log) -> pl.Series:
    """Return where each job ran last: names joined by commas, null when it never ran."""
    names = cluster.table["node"]
    node = np.full(n, -1, np.int64)
    one = runs["pieces"] == 1
    node[runs["job"]] = np.where(one, log.puts["node"][runs["put"]] if runs.size else 0, -2)
    single = pl.Series(node)
    text = names.gather(pl.select(pl.when(single >= 0).then(single)).to_series())
    many = np.flatnonzero(node == -2)
    if not many.size:
        return text.alias("nodes")
    last = np.zeros(n, np.int64)
    last[runs["job"]] = np.arange(runs.size)
    pieces = runs["pieces"][last[many]]
    job = np.repeat(many, pieces)
    at = np.repeat(runs["put"][last[many]], pieces) + (
        np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    )
    joined = (
        pl.DataFrame({"job": job, "name": names.gather(log.puts["node"][at].astype(np.int64))})
        .unique(maintain_order=True)
        .group_by("job", maintain_order=True)
        .agg(pl.col("name").str.join(","))
    )
    return text.scatter(joined["job"].to_numpy(), joined["name"]).alias("nodes")
