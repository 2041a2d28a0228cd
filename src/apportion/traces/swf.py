"""Standard Workload Format of the Parallel Workloads Archive: 18 numbers a job, header in `;` comments."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from apportion.model.cluster import MAX_DEVICES, Cluster
from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number
from apportion.traces.filters import without
from apportion.traces.format import Format
from apportion.traces.lines import at_most, read_lines, unique_ids
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second

FIELDS = (
    "job",
    "submit",
    "wait",
    "run",
    "allocated",
    "cpu_used",
    "memory_used",
    "requested",
    "time",
    "memory",
    "status",
    "user",
    "group",
    "executable",
    "queue",
    "partition",
    "preceding",
    "think",
)
"""The 18 columns, in order; -1 stands for a missing value in all of them."""

STATUS = {0: "failed", 1: "completed", 3: "completed", 4: "failed", 5: "cancelled"}
_PARTS = (2.0, 3.0, 4.0)
_MOST_PROCESSORS = 1e7
_MOST_NODES = 1_000_000
_MOST_KIB = 1e15
_HEADER = re.compile(r";\s*([A-Za-z]+)\s*:\s*(.*)")


def read(location: Path, options: Options) -> Trace:
    """Read an SWF log.

    Submission, wait, run and requested times are seconds (from UnixStartTime), memory is KiB a processor. A
    processor becomes a task of one GPU (`resource=gpu`, the default) or of one core (`resource=cpu`); the
    header's MaxNodes and MaxProcs become the cluster. Executions in parts (status 2-4) are folded into their
    summary line. Kept beside the documented columns: `source_wait_s`, `queue`, `partition`, `executable`,
    `think_s`, `after_job`.

    Raises
    ------
    InputError: a line has not 18 numbers, or a number is out of range.

    Examples
    --------
    ::

        trace = apportion.load("swf:SDSC-SP2-1998.swf?resource=cpu")
        len(trace.cluster)
    """
    resource = options.choice("resource", ("gpu", "cpu"), "gpu")
    lines = read_lines(location)
    header = _header(lines)
    report = QualityReport()
    frame = _parts(_jobs(lines, location, report), report)
    frame = without(frame, pl.col("submit").is_null(), "no submission time", report)
    never = pl.col("run").is_null()
    frame = without(frame, never & (pl.col("status") == 5), "cancelled before start", report)
    frame = without(frame, never, "no run time", report)
    processors = pl.coalesce(*(pl.when(pl.col(name) > 0).then(pl.col(name)) for name in ("requested", "allocated")))
    frame = without(frame.with_columns(tasks=processors), pl.col("tasks").is_null(), "no processors", report)
    ids, renamed = unique_ids(frame["job"].cast(pl.Int64).cast(pl.String))
    report.repair("the job number occurred before; numbered", renamed)
    report.jobs = frame.height
    gpus = resource == "gpu"
    table = frame.select(
        ids.alias("job_id"),
        *(pl.col(name).cast(pl.Int64).cast(pl.String).fill_null("").alias(name) for name in ("user", "group")),
        submit_s="submit",
        duration_s=at_least_a_second(frame["run"], report),
        tasks=pl.col("tasks").cast(pl.Int32),
        gpus=pl.lit(1 if gpus else 0, dtype=pl.Int32),
        cpu_milli=pl.lit(0 if gpus else 1000, dtype=pl.Int64),
        memory_mib=(pl.col("memory").fill_null(0) / 1024).ceil().cast(pl.Int64),
        estimate_s="time",
        status=pl.col("status").cast(pl.Int64).replace_strict(STATUS, default=None, return_dtype=pl.String),
        source_wait_s="wait",
        queue="queue",
        partition="partition",
        executable="executable",
        think_s="think",
        after_job="preceding",
    )
    cluster = _cluster(header, gpus, location.stem, report)
    origin = _origin(header, report)
    return Trace(Workload.of(table, origin=origin, name=location.stem), cluster, report=report)


def _header(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        if not line.lstrip().startswith(";"):
            if line.strip():
                break
            continue
        match = _HEADER.match(line.strip())
        if match:
            found.setdefault(match[1].lower(), match[2].strip())
    return found


def _jobs(lines: list[str], path: Path, report: QualityReport) -> pl.DataFrame:
    """Return the 18 columns as f64 with -1 as null; comments and blank lines are gone."""
    text = pl.Series("line", lines, dtype=pl.String).str.strip_chars()
    job = (text != "") & ~text.str.starts_with(";")
    cells = pl.select(pl.when(job).then(text.str.replace_all(r"\s+", " ").str.split(" "))).to_series()
    wrong = (cells.list.len() != len(FIELDS)).fill_null(False)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(
            f"found {len(cells[row])} values, expected the {len(FIELDS)} of the Standard Workload Format",
            file=path,
            row=row + 1,
        )
    words = pl.select(pl.lit(cells).list.get(i).alias(name) for i, name in enumerate(FIELDS))
    most = {"requested": _MOST_PROCESSORS, "allocated": _MOST_PROCESSORS, "memory": _MOST_KIB}
    values = []
    for name in FIELDS:
        column = number(words, name, path, minimum=-1, header_rows=0)
        at_most(column, most.get(name, 1e15), words[name], path, column=name, header_rows=0)
        values.append(column.replace(-1.0, None))
    frame = pl.DataFrame(values).filter(job)
    report.rows_read = frame.height
    return frame


def _parts(frame: pl.DataFrame, report: QualityReport) -> pl.DataFrame:
    """Leave one line for a job that ran in parts: its summary line, else the sum of its parts."""
    part = pl.col("status").is_in(_PARTS)
    parts = frame.filter(part)
    if parts.is_empty():
        return frame
    whole = frame.filter(~part.fill_null(False))
    orphans = parts.join(whole.select("job"), on="job", how="anti", nulls_equal=True, maintain_order="left")
    summed = (
        orphans.group_by("job", maintain_order=True)
        .agg(
            pl.col("submit").min(),
            pl.col("wait").first(),
            pl.col("run").sum(),
            pl.exclude("job", "submit", "wait", "run", "status").last(),
            pl.col("status").last(),
        )
        .select(frame.columns)
    )
    report.drop("a part of an execution; its job is kept", parts.height - summed.height)
    return pl.concat([whole, summed])


def _integer(header: dict[str, str], key: str) -> int | None:
    match = re.match(r"\d{1,15}", header.get(key, ""))
    return int(match[0]) if match else None


def _cluster(header: dict[str, str], gpus: bool, name: str, report: QualityReport) -> Cluster | None:
    nodes, processors = _integer(header, "maxnodes"), _integer(header, "maxprocs")
    if not processors or not nodes:
        nodes = processors = nodes or processors
    if not nodes or not processors or max(nodes, processors) > _MOST_NODES:
        return None
    each, rest = divmod(processors, nodes)
    if rest or not each or (gpus and each > MAX_DEVICES):
        report.notes.append(f"the header's {processors:,} processors on {nodes:,} nodes are taken as one pool")
        row = {"gpus": [processors if gpus else 0], "cpu_milli": [processors * 1000], "pooled": [True]}
        return Cluster.of(pl.DataFrame(row), name=name)
    columns = {"gpus": [each if gpus else 0] * nodes, "cpu_milli": [each * 1000] * nodes}
    return Cluster.of(pl.DataFrame(columns), name=name)


def _origin(header: dict[str, str], report: QualityReport) -> datetime | None:
    """Return the calendar time of second 0, in the log's own time zone where the header names one."""
    start = _integer(header, "unixstarttime")
    if not start:
        return None
    try:
        moment = datetime.fromtimestamp(start, UTC)
    except (ValueError, OverflowError, OSError):
        report.notes.append(f"UnixStartTime {start} is no time: the calendar is unknown")
        return None
    try:
        return moment.astimezone(ZoneInfo(header["timezonestring"])).replace(tzinfo=None)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return moment.replace(tzinfo=None)


def looks_like_swf(lines: list[str]) -> bool:
    """Say whether the first lines are SWF: comments that name header fields, or lines of 18 numbers."""
    filled = [line.strip() for line in lines if line.strip()]
    jobs = [line.split() for line in filled if not line.startswith(";")]
    if not jobs:
        return any(re.match(r";\s*(Version|Computer|MaxJobs|MaxNodes|UnixStartTime)\s*:", line) for line in filled)
    return all(len(job) == len(FIELDS) and all(re.fullmatch(r"-?\d+(\.\d+)?", cell) for cell in job) for job in jobs)


FORMAT = Format(
    name="swf",
    title="Standard Workload Format of the Parallel Workloads Archive",
    paper="Chapin et al.: Benchmarks and standards for the evaluation of parallel job schedulers, JSSPP 1999",
    source="https://www.cs.huji.ac.il/labs/parallel/workload/",
    licence="as stated for each log",
    example="swf:SDSC-SP2-1998.swf?resource=cpu",
    read=read,
    sniff=looks_like_swf,
)
