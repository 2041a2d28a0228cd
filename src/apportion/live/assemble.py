"""From what is observed and what is remembered to the situation that a policy is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Set

import polars as pl

from apportion.live import backend as seen
from apportion.live.backend import Launch, Observation
from apportion.live.memory import Memory
from apportion.live.situation import ENDED, PENDING, RUNNING, Situation
from apportion.model.cluster import Cluster
from apportion.predict.run_time import RunTimes

_SHOWN = (seen.WAITING, seen.LAUNCHING, seen.RUNNING, seen.STOPPING)
_LEFT_OUT = ("state", "started_s", "ended_s", "nodes", "devices", "why")
_NOTHING: Mapping[str, Launch] = {}


def assemble(
    observation: Observation,
    memory: Memory,
    run_times: RunTimes,
    *,
    promised: Mapping[str, Launch] = _NOTHING,
    aside: Set[str] = frozenset(),
    name: str = "cluster",
) -> Situation:
    """Return what the policy is shown: jobs that we may start or stop, and all that hold nodes.

    A job that is on its way out waits again, and its nodes are free: what is started there has to wait until it is gone
    (see `Controller`). Run times are predicted from the history.

    Parameters
    ----------
    promised: starts that were decided and not yet carried out: these jobs are shown as if they ran there.
    aside: jobs not to be shown although they wait.
    """
    nodes, now = observation.nodes, observation.time_s
    jobs = observation.jobs.filter(pl.col("state").is_in(_SHOWN))
    if aside:
        jobs = jobs.filter(~((pl.col("state") == seen.WAITING) & pl.col("job_id").is_in(list(aside))))
    if promised:
        jobs = _with_promises(jobs, promised, now)
    held = jobs["state"].is_in([seen.LAUNCHING, seen.RUNNING])
    history = memory.history()
    known = memory.remembered(jobs["job_id"])
    started = jobs["started_s"].fill_null(now).clip(upper_bound=now)
    table = jobs.with_columns(held.alias("_held"), started.alias("_started"), run_times.predict(history, jobs), *known)
    ran = pl.col("attained_s") + pl.when("_held").then(now - pl.col("_started")).otherwise(0.0)
    table = table.with_columns(
        submit_s=pl.col("submit_s").clip(upper_bound=now),  # by another clock it may be in the future
        duration_s=pl.max_horizontal("duration_s", ran),
        started_s=pl.when("_held").then("_started"),
        state=pl.when("_held").then(pl.lit(RUNNING)).otherwise(pl.lit(PENDING)),
    ).with_columns(estimate_s=pl.col("duration_s"))
    table = table.drop(*(name for name in _LEFT_OUT if name not in ("state", "started_s")), "_held", "_started")
    past = history.with_columns(
        state=pl.lit(ENDED), attained_s=pl.lit(0.0), preemptions=pl.lit(0, pl.Int32), sequence=pl.lit(0, pl.Int64)
    )
    pieces = jobs.filter(held).with_columns(
        devices=pl.when(pl.col("devices").list.len() == pl.col("nodes").list.len())
        .then("devices")
        .otherwise(pl.col("nodes").list.eval(pl.lit(-1, pl.Int64)))
    )
    places = pieces.select("job_id", node="nodes", devices="devices").explode("node", "devices")
    return Situation.of(
        now,
        Cluster.of(nodes.drop("open", "reason"), name=name),
        pl.concat([past, table], how="diagonal_relaxed") if past.height else table,
        places.drop_nulls("node"),
        frozenset(nodes.filter(~pl.col("open"))["node"]),
        memory.served(),
        memory.state(),
    )


def _with_promises(jobs: pl.DataFrame, promised: Mapping[str, Launch], now: float) -> pl.DataFrame:
    kept = pl.DataFrame(
        {
            "job_id": list(promised),
            "_nodes": [list(launch.nodes) for launch in promised.values()],
            "_devices": [list(launch.devices) for launch in promised.values()],
        },
        schema={"job_id": pl.String, "_nodes": pl.List(pl.String), "_devices": pl.List(pl.Int64)},
    )
    there = pl.col("_nodes").is_not_null()
    return (
        jobs.join(kept, on="job_id", how="left", maintain_order="left")
        .with_columns(
            state=pl.when(there).then(pl.lit(seen.LAUNCHING)).otherwise("state"),
            started_s=pl.when(there).then(pl.lit(now)).otherwise("started_s"),
            nodes=pl.when(there).then("_nodes").otherwise("nodes"),
            devices=pl.when(there).then("_devices").otherwise("devices"),
        )
        .drop("_nodes", "_devices")
    )
