"""A finished run as a list of what was taken and given back, node by node, for those who replay it."""

from __future__ import annotations

import numpy as np

from apportion.engine.encode import Encoded
from apportion.engine.layout import F8, I8, Records
from apportion.engine.replay import CHANGE
from apportion.model.signal import NodeEvents
from apportion.study.result import Result


def takes(result: Result, encoded: Encoded, rows: I8) -> Records:
    """Return `CHANGE` records of what these rows of the placements take."""
    placed = result.placements
    first = placed["first"].to_numpy()
    job = placed["job"].to_numpy()[rows].astype(np.int64)
    run_start = np.maximum.accumulate(np.where(first, np.arange(first.size), 0))
    kind = encoded.kinds[encoded.kind[job]]
    last = (rows - run_start[rows] >= kind["count"]) & (kind["rest"] >= 0)
    task = encoded.tasks[np.where(last, kind["rest"], kind["shape"])]
    out = np.zeros(rows.size, CHANGE)
    out["node"], out["milli"], out["sign"] = placed["node"].to_numpy()[rows], task["milli"], 1
    out["mask"] = placed["devices"].to_numpy()[rows]
    out["gpu"] = np.rint(placed["gpus"].to_numpy()[rows] * 1000)
    # an allocator may have given another number of GPUs: CPU and memory went with them
    asked = task["gpus"] * task["milli"]
    other = (out["gpu"] != asked) & (asked > 0)
    for field in ("cpu", "memory"):
        out[field] = np.where(other, task[field] * out["gpu"] // np.maximum(asked, 1), task[field])
    return out


def node_changes(result: Result, events: NodeEvents | None) -> tuple[F8, Records]:
    """Return the failures and repairs: their times in seconds and `CHANGE` records."""
    out = np.zeros(0 if events is None else len(events.nodes), CHANGE)
    if events is None:
        return np.zeros(0), out
    number = {name: i for i, name in enumerate(result.cluster.table["node"])}
    out["node"] = [number[name] for name in events.nodes]
    out["up"] = events.up
    return np.asarray(events.times_s, np.float64), out


def all_changes(result: Result, encoded: Encoded) -> tuple[F8, Records]:
    """Return every take, release, failure and repair in the order in which they happened, with their times.

    At one moment what ended is given back before nodes change and before anything is taken.
    """
    placed = result.placements
    taken = takes(result, encoded, np.arange(placed.height))
    start = placed["start_s"].to_numpy()
    end = placed["end_s"].fill_null(np.inf).to_numpy()
    ended = np.flatnonzero(np.isfinite(end) & (end > start))
    lasting = np.flatnonzero(end > start)
    given = taken[ended]
    given["sign"] = -1
    outside_at, outside = node_changes(result, result.facts.get("failures"))
    time = np.concatenate([end[ended], outside_at, start[lasting]])
    changes = np.concatenate([given, outside, taken[lasting]])
    by_time = np.argsort(time, kind="stable")
    return time[by_time], changes[by_time]
