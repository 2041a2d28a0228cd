"""Philly as one job a line: `timestamp,duration,num_gpus,gpu_time,cluster`."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import moment, number, read_delimited
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second, earliest, seconds_since

NEEDED = ("timestamp", "duration", "num_gpus", "cluster")


def read(path: Path, options: Options) -> Trace:
    """Read the job-level Philly CSV (82,247 jobs of Microsoft's cluster, 2017-09-04 to 2017-12-22).

    Units of the file: `timestamp` is the submission in naive local time, `duration` seconds, `num_gpus` the
    total of a job. The file is not sorted: rows are sorted by time, ties keep their order, and jobs are
    numbered in that order. It names no users, so the virtual cluster is both `user` and `group`; second 0
    is the first submission.

    Source: Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training Workloads
    (ATC'19), in the form published with Sia (SOSP'23).

    Raises
    ------
    InputError: the file cannot be read or a cell is wrong.

    Examples
    --------
    ::

        trace = apportion.load("philly:philly.csv?from=2017-10-09&to=2017-10-16")
        trace.workload.table.select("job_id", "group", "submit_s", "duration_s", "gpus")
    """
    raw = read_delimited(path, NEEDED)
    report = QualityReport(rows_read=raw.height)
    submitted = moment(raw, "timestamp", path, required=True)
    origin = earliest(submitted)
    if origin is None:
        raise InputError("found no jobs, expected at least one", file=path, row=2)
    frame = pl.DataFrame(
        {
            "submit_s": seconds_since(submitted, origin),
            "duration_s": number(raw, "duration", path, required=True),
            "gpus": number(raw, "num_gpus", path, minimum=1, whole=True, required=True),
            "user": raw["cluster"],
            "group": raw["cluster"],
        }
    ).sort("submit_s", maintain_order=True)
    frame = frame.with_columns(duration_s=at_least_a_second(frame["duration_s"], report))
    report.jobs = frame.height
    report.notes.append("the file names no users: user and group are the virtual cluster")
    return Trace(Workload.of(frame, origin=origin, name="philly"), report=report)


FORMAT = Format(
    name="philly",
    title="Microsoft Philly 2017, one job a line",
    paper="Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training Workloads, ATC'19",
    source="https://github.com/siasosp23/artifacts (sia-simulator/traces/philly.csv)",
    licence="CC-BY-4.0",
    example="philly:philly.csv?from=2017-10-09&to=2017-10-16",
    read=read,
    headers=(frozenset(NEEDED),),
)
