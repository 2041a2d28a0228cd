"""A run as a trace for ui.perfetto.dev: a process a node, a thread a GPU, a slice for every placement.

The format is the JSON of Chrome's trace viewer ("Trace Event Format", Google, 2016): `X` complete events, `C`
counters, `M` names; times in microseconds since the first submission.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.model.files import whole_file
from apportion.report.lanes import Ints, lanes
from apportion.study.result import Result

LIMIT = 200_000
COUNTER_POINTS = 20_000
LANES_A_DEVICE = 1000
"""Threads are numbered device x 1000 + lane: shares of one device lie side by side."""

_CLUSTER = 1
_FIRST_NODE = 2
_CHUNK = 10_000
Event = dict[str, Any]


def write_perfetto(result: Result, path: Path, *, limit: int = LIMIT) -> None:
    """Write `result` as a trace that ui.perfetto.dev opens, whole or not at all.

    Parameters
    ----------
    result: the run. path: the file, usually `trace.perfetto.json`.
    limit: most placements written, earliest first; the trace says so where some are left out.

    Raises
    ------
    InputError: the file cannot be written.
    """
    pieces = result.placements
    origin_s = float(result.jobs["submit_s"].min() or 0.0)  # type: ignore[arg-type]
    last_s = max(
        (float(t) for t in (pieces["end_s"].fill_nan(None).max(), pieces["start_s"].max()) if t is not None),  # type: ignore[arg-type]
        default=origin_s,
    )
    note = ""
    if pieces.height > limit:
        note = f"the first {limit:,} of {pieces.height:,} placements"
        pieces = pieces.sort("start_s", "job", maintain_order=True).head(limit)
    pieces = pieces.with_columns(pl.col("end_s").fill_nan(None).fill_null(last_s))
    events = _events(result, pieces, origin_s, note)
    with whole_file(Path(path)) as part, part.open("w", encoding="utf-8") as file:
        _write(file, events, {"policy": result.policy, "trace": result.trace} | ({"note": note} if note else {}))


def _write(file: TextIO, events: Iterable[Event], about: dict[str, str]) -> None:
    file.write('{"displayTimeUnit":"ms","otherData":' + json.dumps(about) + ',"traceEvents":[\n')
    chunk: list[str] = []
    first = True
    for event in events:
        chunk.append(json.dumps(event, separators=(",", ":"), ensure_ascii=False))
        if len(chunk) == _CHUNK:
            file.write(("" if first else ",\n") + ",\n".join(chunk))
            chunk, first = [], False
    if chunk:
        file.write(("" if first else ",\n") + ",\n".join(chunk))
    file.write("\n]}\n")


def _events(result: Result, pieces: pl.DataFrame, origin_s: float, note: str) -> Iterator[Event]:
    yield _meta("process_name", _CLUSTER, 0, name=f"cluster · {result.policy}")
    yield _meta("process_sort_index", _CLUSTER, 0, sort_index=0)
    if note:
        yield _meta("process_labels", _CLUSTER, 0, labels=note)
    yield from _counters(result.timeline, origin_s)
    slices = _slices(pieces, origin_s)
    yield from _names(result, slices)
    yield from _runs(result.jobs, pieces, slices)


def _meta(kind: str, pid: int, tid: int, **args: object) -> Event:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": args}


def _counters(timeline: pl.DataFrame, origin_s: float) -> Iterator[Event]:
    """Yield the queue and the allocated GPUs; long timelines are thinned to every n-th change."""
    every = max(1, -(-timeline.height // COUNTER_POINTS))
    shown = timeline.gather_every(every)
    ts = _microseconds(shown["time_s"].to_numpy(), origin_s)
    for column, name, key in (
        ("pending_jobs", "pending jobs", "jobs"),
        ("allocated_gpus", "allocated GPUs", "GPUs"),
    ):
        for at, value in zip(ts.tolist(), shown[column].to_list()):
            yield {"ph": "C", "name": name, "pid": _CLUSTER, "tid": 0, "ts": at, "args": {key: value}}


class _Slices:
    """A row a slice: `piece` (row of the placements), `node`, `device` (-1 = none), `ts`, `dur` in us.

    A placement on several devices is a slice on each of them.
    """

    def __init__(self, piece: Ints, node: Ints, device: Ints, ts: Ints, end: Ints) -> None:
        self.piece, self.node, self.device, self.ts, self.dur = piece, node, device, ts, end - ts
        width = int(device.max(initial=0)) + 2
        self.lane = lanes(node * width + device + 1, ts, end)
        # Work without a device of its own stands below the devices' lanes.
        self.tid = np.where(device >= 0, device * LANES_A_DEVICE + self.lane, 64 * LANES_A_DEVICE + self.lane)
        self.pid = node + _FIRST_NODE


def _slices(pieces: pl.DataFrame, origin_s: float) -> _Slices:
    node = pieces["node"].to_numpy().astype(np.int64)
    bits = pieces["devices"].to_numpy().astype(np.int64)
    start = _microseconds(pieces["start_s"].to_numpy(), origin_s)
    end = np.maximum(_microseconds(pieces["end_s"].to_numpy(), origin_s), start)
    union = int(np.bitwise_or.reduce(bits)) if bits.size else 0
    devices = [device for device in range(union.bit_length()) if union >> device & 1]
    parts = [(np.flatnonzero(bits == 0), -1)]
    parts += [(np.flatnonzero(bits >> device & 1), device) for device in devices]
    piece = np.concatenate([rows for rows, _ in parts])
    device_of = np.concatenate([np.full(rows.size, device, dtype=np.int64) for rows, device in parts])
    return _Slices(piece, node[piece], device_of, start[piece], end[piece])


def _microseconds(times_s: npt.NDArray[np.float64], origin_s: float) -> Ints:
    return np.round((times_s.astype(np.float64) - origin_s) * 1e6).astype(np.int64)


def _names(result: Result, slices: _Slices) -> Iterator[Event]:
    table = result.cluster.table
    nodes, models = table["node"].to_list(), table["gpu_model"].to_list()
    for node in np.unique(slices.node).tolist():
        model = f" ({models[node]})" if models[node] else ""
        yield _meta("process_name", node + _FIRST_NODE, 0, name=f"{nodes[node]}{model}")
        yield _meta("process_sort_index", node + _FIRST_NODE, 0, sort_index=node + 1)
    rows = np.unique(np.stack([slices.pid, slices.tid, slices.device, slices.lane], axis=1), axis=0)
    for pid, tid, device, lane in rows.tolist():
        name = f"GPU {device}" if device >= 0 else f"lane {lane}"
        yield _meta("thread_name", pid, tid, name=f"{name} · share {lane + 1}" if device >= 0 and lane else name)
        yield _meta("thread_sort_index", pid, tid, sort_index=tid)


def _runs(jobs: pl.DataFrame, pieces: pl.DataFrame, slices: _Slices) -> Iterator[Event]:
    row = pieces["job"].to_numpy()[slices.piece]
    shown = jobs.select("job_id", "user", "group", "wait_s")[row]
    gpus = pieces["gpus"].to_numpy()[slices.piece]
    columns = (slices.pid, slices.tid, slices.ts, slices.dur, gpus)
    for (job, user, group, wait), pid, tid, ts, dur, held in zip(shown.iter_rows(), *(c.tolist() for c in columns)):
        args = {"job_id": job, "user": user, "group": group, "gpus": held, "wait_s": wait}
        yield {
            "ph": "X",
            "name": job,
            "cat": "job",
            "pid": pid,
            "tid": tid,
            "ts": ts,
            "dur": dur,
            "args": args,
        }
