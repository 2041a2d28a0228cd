"""What a controller's file says at a glance: who leads, the nodes, the queue, who has what, what was done lately."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from apportion.live import backend as seen
from apportion.live.memory import Memory
from apportion.live.metrics import gpus_by_model, held_by_node
from apportion.model.units import format_duration

SILENT_S = 180.0
"""A controller that was not heard of for so long is thought to be gone."""
ROWS = 200
"""Rows shown of each table."""

Table = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]
"""Head and rows, as text."""


@dataclass(frozen=True)
class Glance:
    """One look; the tables are by their titles."""

    headline: str
    tables: dict[str, Table]


def glance(path: str | Path, now_s: float | None = None) -> Glance:
    """Look at a controller's file.

    Raises
    ------
    InputError: there is no such file, or it is none.
    """
    memory = Memory.reading(path)
    try:
        now = time.time() if now_s is None else now_s
        picture = memory.picture()
        if picture is None:
            return Glance(_leader(memory, now) + "; it has seen nothing yet", {})
        # what was simulated has a clock of its own, and nobody leads it
        when = now if memory.leader() else picture.time_s
        jobs = picture.jobs
        counts = dict(jobs.group_by("state").len().iter_rows())
        words = ", ".join(f"{counts.get(state, 0):,} {state}" for state in (seen.RUNNING, seen.WAITING, seen.BLOCKED))
        tables = {
            "GPUs": _models(gpus_by_model(picture)),
            "nodes": _nodes(picture.nodes, jobs),
            "queue": _queue(jobs, when),
            "users": _shares(jobs, memory, "user"),
            "groups": _shares(jobs, memory, "group"),
            "decisions": _decisions(memory, when),
        }
        return Glance(f"{_leader(memory, now)}; jobs: {words}", tables)
    finally:
        memory.close()


def _leader(memory: Memory, now: float) -> str:
    leader = memory.leader()
    policy = memory.fact("policy", "no policy")
    if leader is None:
        return f"{policy}; no controller was in charge yet"
    ago = max(now - float(leader["time_s"]), 0.0)
    what = "watches" if memory.fact("watching") == "1" else "is in charge"
    if ago > SILENT_S:
        return f"{policy}; {leader['host']} pid {leader['pid']} has been silent for {format_duration(ago)}"
    return f"{policy} {what}, from {leader['host']} pid {leader['pid']}, {format_duration(ago)} ago"


def _models(table: pl.DataFrame) -> Table:
    rows = [
        (str(m), f"{t:g}", f"{a:g}", f"{c:g}", f"{100 * a / t if t else 0:.0f} %") for m, t, a, c in table.iter_rows()
    ]
    return ("model", "GPUs", "in use", "closed", "use"), rows


def _nodes(nodes: pl.DataFrame, jobs: pl.DataFrame) -> Table:
    table = nodes.join(held_by_node(jobs), on="node", how="left", maintain_order="left").with_columns(
        pl.col("held").fill_null(0)
    )
    rows = [
        (node, model or "", f"{used:g}/{gpus}", "open" if is_open else f"closed: {reason or ''}".rstrip(": "))
        for node, model, used, gpus, is_open, reason in table.select(
            "node", "gpu_model", "held", "gpus", "open", "reason"
        ).iter_rows()
    ]
    return ("node", "model", "GPUs in use", "state"), rows[:ROWS]


def _queue(jobs: pl.DataFrame, now: float) -> Table:
    shown = jobs.filter(pl.col("state") != seen.ENDED).sort(pl.col("state") == seen.RUNNING, "submit_s")
    rows = [
        (
            job, user, name, state, f"{tasks * gpus * milli / 1000:g}", format_duration(max(now - submit, 0.0)),
            ",".join((nodes or [])[:3]) or (why or ""),
        )
        for job, user, name, state, tasks, gpus, milli, submit, nodes, why in shown.select(
            "job_id", "user", "name", "state", "tasks", "gpus", "gpu_milli", "submit_s", "nodes", "why"
        ).head(ROWS).iter_rows()
    ]  # fmt: skip
    return ("job", "user", "name", "state", "GPUs", "age", "where, or why not"), rows


def _shares(jobs: pl.DataFrame, memory: Memory, by: str) -> Table:
    gpus = pl.col("tasks") * pl.col("gpus") * pl.col("gpu_milli") / 1000
    now = jobs.group_by(by).agg(
        held=gpus.filter(pl.col("state").is_in([seen.RUNNING, seen.STOPPING, seen.LAUNCHING])).sum(),
        waiting=(pl.col("state") == seen.WAITING).sum(),
    )
    found = {name: (held, waiting) for name, held, waiting in now.iter_rows()}
    served = memory.served()[by]
    total = sum(served.values()) or 1.0
    names = sorted({*found, *served}, key=lambda name: (-found.get(name, (0, 0))[0], -served.get(name, 0.0), name))
    rows = [
        (name or "-", f"{found.get(name, (0, 0))[0]:g}", str(found.get(name, (0, 0))[1]),
         f"{served.get(name, 0.0) / 3600:,.1f}", f"{100 * served.get(name, 0.0) / total:.0f} %")
        for name in names[:ROWS]
    ]  # fmt: skip
    return (by, "GPUs now", "waiting", "GPU hours before", "share"), rows


def _decisions(memory: Memory, now: float) -> Table:
    rows = [
        (format_duration(max(now - at, 0.0)), action, job, nodes or "", outcome, message or "")
        for at, _, action, job, nodes, outcome, message in memory.decisions(limit=50).iter_rows()
    ]
    return ("ago", "action", "job", "nodes", "outcome", "message"), rows
