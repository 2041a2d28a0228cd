"""A moment of a finished run as a snapshot: what ran then, where, and on which devices."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.engine.encode import encode
from apportion.engine.layout import Records
from apportion.model.errors import InputError
from apportion.model.snapshot import Snapshot
from apportion.study.changes import takes
from apportion.study.result import Result


def running_at(result: Result, at_s: float) -> Snapshot:
    """Return the tasks that ran at a moment of a run; what starts at that moment is among them, what ends is not.

    Parameters
    ----------
    at_s: seconds from the origin.

    Raises
    ------
    InputError: the moment is not a number.

    Examples
    --------
    >>> import apportion as ap
    >>> trace = ap.load("synthetic:philly?jobs=200&seed=1")
    >>> result = ap.simulate(trace.workload, trace.cluster, "fifo")
    >>> len(running_at(result, result.jobs["start_s"][0])) > 0
    True
    """
    if not np.isfinite(at_s):
        raise InputError(f"found the moment {at_s}, expected seconds")
    placed = result.placements
    now = (placed["start_s"] <= at_s) & (placed["end_s"].is_null() | (placed["end_s"] > at_s))
    rows = np.flatnonzero(now.to_numpy())
    taken = takes(result, encode(result.workload, result.cluster), rows)
    jobs = result.workload.table[placed["job"].to_numpy()[rows]]
    share = taken["milli"]
    return Snapshot.of(
        jobs.select("job_id", "group", "gpu_models", movable="preemptible").with_columns(
            pl.Series("node", result.cluster.table["node"].gather(taken["node"])),
            pl.Series("devices", _indices(taken), pl.List(pl.Int64)),
            pl.Series("gpus", np.where(share > 0, taken["gpu"] // np.maximum(share, 1), 0)),
            pl.Series("gpu_milli", share),
            pl.Series("cpu_milli", taken["cpu"]),
            pl.Series("memory_mib", taken["memory"]),
        ),
        name=result.trace,
    )


def most_stranded(result: Result) -> float:
    """Return when most GPUs were stranded while jobs waited (or, if none ever did, at all), in seconds from the origin.

    Raises
    ------
    InputError: nothing happened in the run.
    """
    line = result.timeline
    if line.height == 0:
        raise InputError(f"{result.trace}: nothing happened in this run")
    waiting = line.filter(pl.col("pending_jobs") > 0)
    line = waiting if waiting.height else line
    return float(line["time_s"][int(line["fragmented_gpus"].arg_max() or 0)])


def _indices(taken: Records) -> list[list[int]]:
    return [[d for d in range(mask.bit_length()) if mask >> d & 1] for mask in taken["mask"].tolist()]
