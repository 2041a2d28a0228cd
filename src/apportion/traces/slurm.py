"""Slurm accounting: `sacct --parsable2` and the fixed-width table that plain `sacct` prints.

Everything the reader can use comes out of::

    SLURM_TIME_FORMAT=%s sacct -a -X -D -P -S 2024-01-01 -o
    JobIDRaw,JobID,User,Account,Partition,QOS,Submit,\\
        Eligible,Start,End,Suspended,TimelimitRaw,State,NNodes,NCPUS,ReqTRES,AllocTRES,Priority > jobs.txt

Fewer fields do: JobID, Submit, Start and End (or Elapsed) are enough; what else is there is used.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces import slurm_fields as fields
from apportion.traces.columns import moment, number, shortened
from apportion.traces.filters import of_partition, without
from apportion.traces.format import Format
from apportion.traces.lines import unique_ids
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second
from apportion.traces.slurm_demand import demand
from apportion.traces.slurm_table import SacctTable, looks_like_sacct, read_table

KEPT = {
    "Partition": "partition",
    "QOS": "qos",
    "JobName": "job_name",
    "ExitCode": "exit_code",
    "Dependency": "dependency",
}
"""Fields that come along as columns of their own."""

SCRATCH = ("id", "shown", "state", "exit", "start_s", "end_s", "elapsed", "suspended", "unplaced", "scattered")


def read(location: Path, options: Options) -> Trace:
    """Read `sacct` output.

    Steps (123.batch) are not jobs; tasks of an array (123_4) and parts of a heterogeneous job (123+0) are
    jobs of their own; a requeued attempt is folded into the job's last record. Times are seconds from the
    first submission. Columns kept beside the documented ones: `source_wait_s` (start - submission),
    `source_hold_s` (eligible - submission: dependencies and holds), `source_queue_s` (start - eligible: the wait for
    GPUs), `source_restarts`, `source_earlier_s` (run time of earlier attempts), `source_gpu_model` (where it ran),
    `array_job`, partition, qos, job_name, exit_code and dependency.

    Options: `partition=` one partition; `gpus_per_node=` where no GPUs are recorded; `cpu=drop|keep` jobs
    without GPUs; `columns=` field names of output without a header.

    Raises
    ------
    InputError: a field is missing, or a cell is not what its field holds.

    Examples
    --------
    ::

        trace = apportion.load("slurm:jobs.txt?partition=gpu")
        trace = apportion.load("slurm:ls6-a100.log?gpus_per_node=3")  # a log without GPU counts
        print(*trace.report.lines(), sep="\\n")
    """
    per_node = options.integer("gpus_per_node", minimum=1)
    partition = options.text("partition")
    keep_cpu = options.choice("cpu", ("drop", "keep"), "drop") == "keep"
    table = read_table(location, options.text("columns"))
    report = QualityReport()
    frame, origin = _jobs(table, location)
    frame = pl.concat([frame, demand(table, location, per_node, report)], how="horizontal")
    report.repair("the job name contained the separator", table.mended)
    frame = frame.filter(pl.col("id").is_not_null())
    report.rows_read = frame.height
    if partition is not None:
        frame = of_partition(frame, partition, location, report)
    frame = _finished(_attempts(frame, report), report)
    if not keep_cpu:
        frame = without(frame, pl.col("gpus") == 0, "asks for no GPU (cpu=keep keeps them)", report)
    frame = _timed(frame, report)
    ids, renamed = unique_ids(frame["id"])
    report.repair("the job id occurred before; numbered", renamed)
    report.jobs = frame.height
    report.censored = int((frame["status"] == "censored").sum())
    frame = frame.with_columns(job_id=ids).drop(*SCRATCH)
    return Trace(Workload.of(frame, origin=origin, name=location.stem), report=report)


def _jobs(table: SacctTable, path: Path) -> tuple[pl.DataFrame, datetime | None]:
    """Return who, when and how it ended for each row; times in seconds from the first submission."""
    text, top = table.frame, table.header_rows
    there = f"found columns {shortened(', '.join(text.columns))}"
    raw = next((name for name in ("JobIDRaw", "JobID") if name in text.columns), None)
    for missing in (
        "JobID" if raw is None else None,
        *(n for n in ("Submit", "Start") if n not in text.columns),
    ):
        if missing is not None:
            raise InputError(
                f"{there}; expected JobID, Submit, Start and End or Elapsed",
                file=path,
                row=max(top, 1),
                column=missing,
            )
    assert raw is not None
    if not {"End", "Elapsed", "ElapsedRaw"} & set(text.columns):
        raise InputError(
            f"{there}; expected End or Elapsed",
            file=path,
            row=max(top, 1),
            column="End",
        )
    times = {
        name: _time(text, name, path, top) for name in ("Submit", "Eligible", "Start", "End") if name in text.columns
    }
    origin = times["Submit"].min()
    assert origin is None or isinstance(origin, datetime)
    seconds = {
        name: (values - pl.Series([origin], dtype=pl.Datetime("us"))).dt.total_microseconds().cast(pl.Float64) / 1e6
        if origin is not None
        else pl.Series(name, [None] * len(values), dtype=pl.Float64)
        for name, values in times.items()
    }
    nothing = pl.Series([None] * text.height, dtype=pl.String)
    shown = text["JobID"] if "JobID" in text.columns else text[raw]
    columns = {
        "id": text[raw].replace("", None),
        "shown": shown,
        "array_job": shown.str.extract(r"^(\d+)_", 1),
        "user": _first(text, ("User", "UID")),
        "group": _first(text, ("Account", "Group", "GID")),
        "submit_s": seconds["Submit"],
        "start_s": seconds["Start"],
        "end_s": seconds.get("End", nothing.cast(pl.Float64)),
        "elapsed": _clock(text, ("ElapsedRaw", "Elapsed"), path, top),
        "suspended": _clock(text, ("Suspended",), path, top),
        "estimate_s": _limit(text, path, top),
        "state": fields.state_words(text["State"]) if "State" in text.columns else nothing,
        "exit": text["ExitCode"] if "ExitCode" in text.columns else nothing,
        "unplaced": _unplaced(text),
        **{name: text[field] for field, name in KEPT.items() if field in text.columns},
    }
    if "Priority" in text.columns:
        priority = number(text, "Priority", path, minimum=0, default=0, header_rows=top)
        # where Slurm counts down from 2**32 the upper half of the numbers is used, and their order is all that matters
        high = int((priority.max() or 0) >= 2**31)  # type: ignore[operator]
        columns["priority"] = (priority - high * 2**31).clip(-(2**31), 2**31 - 1).cast(pl.Int32)
    if "Restarts" in text.columns:
        columns["source_restarts"] = number(text, "Restarts", path, minimum=0, default=0, header_rows=top)
    if "Eligible" in seconds:
        columns["source_hold_s"] = (seconds["Eligible"] - seconds["Submit"]).clip(0)
    return pl.DataFrame([values.alias(name) for name, values in columns.items()]), origin


def _time(text: pl.DataFrame, column: str, path: Path, top: int) -> pl.Series:
    """Return a column of times: ISO text, or seconds since 1970 when `SLURM_TIME_FORMAT=%s` was set."""
    cell = text[column].replace("", None)
    epoch = cell.str.contains(r"^\d{1,11}$")
    if not epoch.any():
        return moment(text, column, path, header_rows=top, missing=fields.UNKNOWN_TIMES)
    dates = text.select(pl.when(~epoch).then(pl.col(column)).alias(column))
    rest = moment(dates, column, path, header_rows=top, missing=fields.UNKNOWN_TIMES)
    numbers = pl.select(pl.when(epoch).then(cell).cast(pl.Int64, strict=False)).to_series()
    # Slurm stores 0 for a time that has not come.
    some = pl.when(numbers > 0).then(pl.from_epoch(numbers, time_unit="s").cast(pl.Datetime("us")))
    return pl.select(pl.coalesce(some, rest)).to_series()


def _first(text: pl.DataFrame, names: tuple[str, ...]) -> pl.Series:
    found = [text[name].replace("", None) for name in names if name in text.columns]
    if not found:
        return pl.Series([""] * text.height, dtype=pl.String)
    return pl.select(pl.coalesce(found)).to_series()


def _clock(text: pl.DataFrame, names: tuple[str, ...], path: Path, top: int) -> pl.Series:
    """Return seconds of the first of the fields `names`: a number, or `[DD-]HH:MM:SS`."""
    for name in names:
        if name not in text.columns:
            continue
        cell = text[name].replace(dict.fromkeys(("", *fields.UNKNOWN_TIMES)))
        values = pl.select(
            pl.coalesce(fields.seconds_of_clock(cell), cell.str.extract(r"^(\d{1,15})$", 1).cast(pl.Float64))
        ).to_series()
        _check(values.is_null() & cell.is_not_null(), cell, "a duration such as 1-02:03:04", path, name, top)
        return values
    return pl.Series([None] * text.height, dtype=pl.Float64)


def _limit(text: pl.DataFrame, path: Path, top: int) -> pl.Series:
    """Return the time limit in seconds: TimelimitRaw is minutes, Timelimit a clock; null without a limit."""
    name = next((n for n in ("TimelimitRaw", "Timelimit") if n in text.columns), None)
    if name is None:
        return pl.Series([None] * text.height, dtype=pl.Float64)
    cell = pl.select(pl.when(~text[name].str.to_lowercase().is_in(fields.NO_LIMIT)).then(text[name])).to_series()
    minutes = cell.str.extract(r"^(\d{1,12})$", 1).cast(pl.Float64) * 60
    values = pl.select(pl.coalesce(fields.seconds_of_clock(cell), minutes)).to_series()
    _check(values.is_null() & cell.is_not_null(), cell, "a limit such as 2-00:00:00 or minutes", path, name, top)
    return values


def _unplaced(text: pl.DataFrame) -> pl.Series:
    """Say which jobs never got a node (an early `scancel` leaves equal start and end times)."""
    signs = [
        text[name].is_in(values).fill_null(False)
        for name, values in (
            ("AllocTRES", [""]),
            ("AllocNodes", ["0"]),
            ("AllocCPUS", ["0"]),
            ("NodeList", ["None assigned", "(null)"]),
        )
        if name in text.columns
    ]
    return pl.select(pl.any_horizontal(signs)).to_series() if signs else pl.Series([False] * text.height)


def _check(bad: pl.Series, cell: pl.Series, expected: str, path: Path, column: str, top: int) -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(
            f"found {shortened(repr(cell[row]), 80)}, expected {expected}",
            file=path,
            row=row + 1 + top,
            column=column,
        )


def _attempts(frame: pl.DataFrame, report: QualityReport) -> pl.DataFrame:
    """Drop steps and fold the attempts that `sacct -D` lists into the last record of their job."""
    frame = without(frame, pl.col("shown").str.contains(".", literal=True), "a step of a job", report)
    parts = int(frame["shown"].str.contains(r"^\d+\+\d").sum())
    if parts:
        report.notes.append(f"{parts:,} parts of heterogeneous jobs are jobs of their own here")
    again = pl.col("state") == "REQUEUED"
    ran = pl.coalesce("elapsed", pl.col("end_s") - pl.col("start_s")).clip(0)
    tries = (
        frame.filter(again)
        .group_by("id")
        .agg(tries=pl.len(), first=pl.col("submit_s").min(), source_earlier_s=ran.sum())
    )
    if not tries.is_empty():
        if "source_restarts" not in frame.columns:
            frame = frame.with_columns(source_restarts=pl.lit(0.0))
        frame = frame.join(tries, on="id", how="left", maintain_order="left").with_columns(
            submit_s=pl.min_horizontal("submit_s", "first"),
            source_restarts=pl.max_horizontal("source_restarts", pl.col("tries").cast(pl.Float64)),
            source_earlier_s=pl.col("source_earlier_s").fill_null(0.0),
        )
        frame = frame.drop("tries", "first")
    frame = without(frame, again, "an earlier attempt of a requeued job", report)
    odd = pl.col("state").is_in(["RESIZING", "REVOKED"])
    return without(frame, odd, "a record of a resize or a revoked copy", report)


def _finished(frame: pl.DataFrame, report: QualityReport) -> pl.DataFrame:
    """Drop what never ran, with the reason."""
    frame = without(frame, pl.col("submit_s").is_null(), "no submission time", report)
    never = pl.col("start_s").is_null()
    cancelled = pl.col("state") == "CANCELLED"
    frame = without(frame, cancelled & (never | pl.col("unplaced")), "cancelled before start", report)
    array = pl.col("shown").str.contains("[", literal=True)
    frame = without(frame, never & array, "pending array (one record for many jobs)", report)
    frame = without(frame, never & (pl.col("state") == "PENDING"), "pending: never started", report)
    return without(frame, never, "never started", report)


def _timed(frame: pl.DataFrame, report: QualityReport) -> pl.DataFrame:
    """Add duration_s, status and source_wait_s; a job without an end ran until the last time in the log."""
    times = [frame[name].max() for name in ("submit_s", "start_s", "end_s")]
    last = max((float(t) for t in times if isinstance(t, int | float)), default=0.0)
    ran = pl.col("end_s") - pl.col("start_s") - pl.col("suspended").fill_null(0)
    open_end = pl.col("end_s").is_null() & pl.col("elapsed").is_null()
    status = pl.col("state").replace_strict(fields.STATUS, default=None, return_dtype=pl.String)
    by_exit = pl.when(pl.col("exit").str.contains(r"^0:0$")).then(pl.lit("completed")).otherwise(pl.lit("failed"))
    if frame["state"].null_count() == frame.height and frame["exit"].null_count() < frame.height:
        status = pl.when(pl.col("exit") != "").then(by_exit)
        report.notes.append("no State recorded: completed or failed is taken from ExitCode")
    running = open_end | (pl.col("end_s").is_null() & frame["end_s"].is_not_null().any())
    frame = frame.with_columns(
        duration_s=pl.coalesce(ran, pl.col("elapsed"), last - pl.col("start_s")),
        status=pl.when(running).then(pl.lit("censored")).otherwise(status),
        source_wait_s=pl.col("start_s") - pl.col("submit_s"),
    )
    if "source_hold_s" in frame.columns:
        frame = frame.with_columns(source_queue_s=(pl.col("source_wait_s") - pl.col("source_hold_s")).clip(0))
    frame = without(frame, pl.col("duration_s") < 0, "ends before it starts", report)
    report.repair("started before its submission: waited 0 s", int((frame["source_wait_s"] < 0).sum()))
    report.repair("GPUs not dealt out evenly over the nodes: a task a GPU", int(frame["scattered"].sum()))
    return frame.with_columns(
        pl.col("source_wait_s").clip(0), duration_s=at_least_a_second(frame["duration_s"], report)
    )


FORMAT = Format(
    name="slurm",
    title="Slurm accounting as sacct prints it (delimited or fixed-width)",
    paper="Yoo, Jette, Grondona: SLURM, JSSPP 2003",
    source="sacct -a -X -D -P on your own cluster; TACC Lonestar6 log: zhaozhang/Mirage",
    licence="yours",
    example="slurm:jobs.txt?partition=gpu",
    read=read,
    sniff=looks_like_sacct,
)
