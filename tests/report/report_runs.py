"""Runs for the tests of reports: random jobs, placed oldest first or shortest first by a few lines."""

from __future__ import annotations

import heapq
from datetime import datetime

import numpy as np
import polars as pl

from apportion.model import Cluster, Workload
from apportion.model.cluster_spec import parse_cluster
from apportion.study.result import Result

Piece = tuple[int, float, float | None, int, float, int]
SIZES = np.array([1, 2, 4, 8, 16])


def workload(jobs: int, seed: int = 0, gpus: int = 128, load: float = 0.95, dated: bool = False) -> Workload:
    """Return random jobs of 1 to 16 GPUs whose demand over time is `load` x `gpus`."""
    rng = np.random.default_rng(seed)
    size = rng.choice(SIZES, jobs, p=[0.55, 0.15, 0.15, 0.1, 0.05])
    duration = np.minimum(rng.lognormal(7.5, 1.9, jobs), 10 * 86400.0)
    span = float((size * duration).sum() / (gpus * load))
    submit = rng.random(jobs) * span
    submit += 0.08 * span / (2 * np.pi * 6) * np.sin(2 * np.pi * 6 * submit / span)  # six busy and quiet spells
    group = rng.zipf(1.6, jobs) % 17
    user = rng.zipf(1.4, jobs) % 211
    frame = pl.DataFrame(
        {
            "submit_s": np.maximum(submit, 0.0),
            "duration_s": duration,
            "gpus": np.minimum(size, 8),
            "tasks": np.maximum(size // 8, 1),
            "group": pl.Series(group).cast(pl.String).str.replace("^", "vc-"),
            "user": pl.Series(user).cast(pl.String).str.replace("^", "u"),
        }
    )
    origin = datetime(2024, 3, 4) if dated else None
    return Workload.of(frame, origin=origin, name="random")


def run(work: Workload, cluster: Cluster | str = "16x8:V100", policy: str = "fifo", until: float = np.inf) -> Result:
    """Run the jobs of `work`; policy `sjf...` starts the shortest pending job first, others the oldest."""
    nodes = parse_cluster(cluster) if isinstance(cluster, str) else cluster
    table = work.table
    submit, duration = table["submit_s"].to_numpy(), table["duration_s"].to_numpy()
    tasks, gpus = table["tasks"].to_numpy(), table["gpus"].to_numpy()
    if nodes.table["pooled"][0]:
        tasks, gpus = np.ones_like(tasks), tasks * gpus
    key = duration if policy.startswith("sjf") else submit
    free = nodes.table["gpus"].to_numpy().astype(np.int64)
    pooled = bool(nodes.table["pooled"][0])
    masks = [(1 << int(g)) - 1 if not pooled else 0 for g in free]
    start, end = np.full(len(work), np.nan), np.full(len(work), np.nan)
    where: list[list[int]] = [[] for _ in range(len(work))]
    pieces: list[Piece] = []
    pending: list[tuple[float, int]] = []
    running: list[tuple[float, int, list[tuple[int, int, int]]]] = []
    arrived, now = 0, 0.0
    while arrived < len(work) or running:
        next_arrival = submit[arrived] if arrived < len(work) else np.inf
        now = min(next_arrival, running[0][0] if running else np.inf)
        if now > until:
            break
        while running and running[0][0] <= now:
            _, _, held = heapq.heappop(running)
            for node, count, bits in held:
                free[node] += count
                masks[node] |= bits
        while arrived < len(work) and submit[arrived] <= now:
            heapq.heappush(pending, (float(key[arrived]), arrived))
            arrived += 1
        while pending:
            job = pending[0][1]
            fit = np.flatnonzero(free >= gpus[job])[: tasks[job]]
            if fit.size < tasks[job]:
                break
            heapq.heappop(pending)
            start[job], finish = now, now + duration[job]
            end[job] = finish if finish <= until else np.nan
            held = []
            for node in fit.tolist():
                count, bits = int(gpus[job]), 0
                for _ in range(count if not pooled else 0):
                    low = masks[node] & -masks[node]
                    bits, masks[node] = bits | low, masks[node] ^ low
                free[node] -= count
                held.append((node, count, bits))
                pieces.append((job, now, finish if finish <= until else None, node, float(count), bits))
            where[job] = fit.tolist()
            heapq.heappush(running, (finish, job, held))
    ended = ~np.isnan(end)
    names = nodes.table["node"].to_list()
    jobs = table.select("job_id", "user", "group", "submit_s", "duration_s").with_columns(
        start_s=pl.Series(start).fill_nan(None),
        end_s=pl.Series(end).fill_nan(None),
        wait_s=pl.Series(start - submit).fill_nan(None),
        jct_s=pl.Series(end - submit).fill_nan(None),
        gpus=pl.Series((tasks * gpus).astype(np.float64)),
        preemptions=pl.lit(0, dtype=pl.Int32),
        restarts=pl.lit(0, dtype=pl.Int32),
        status=pl.Series(np.where(ended, "completed", "unfinished")),
        nodes=pl.Series([[names[n] for n in w] for w in where], dtype=pl.List(pl.String)),
    )
    return Result(policy, "synthetic:random", work, nodes, jobs, placements(pieces))


def placements(pieces: list[Piece]) -> pl.DataFrame:
    """Return the table of placements of `(job, start_s, end_s, node, gpus, devices)` rows."""
    schema = {
        "job": pl.Int32,
        "start_s": pl.Float64,
        "end_s": pl.Float64,
        "node": pl.Int32,
        "gpus": pl.Float64,
        "devices": pl.Int64,
    }
    table = pl.DataFrame(pieces, schema=schema, orient="row")
    return table.with_columns(first=pl.struct("job", "start_s").is_first_distinct())
