"""Philly as Microsoft released it: `cluster_job_log`, a JSON array of jobs with their attempts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import moment, number, read_delimited, shortened, state
from apportion.traces.format import Format
from apportion.traces.json_array import read_objects
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second, distinct, earliest, seconds_since

LOG, MACHINES = "cluster_job_log", "cluster_machine_list"
MACHINE = ("machineId", "number of GPUs", "single GPU mem")
NO_TIME = ("None", "null", "NaT")
"""Words that the log writes where there is no time, beside null."""

JOB = ("jobid", "user", "vc", "status", "submitted_time")


def read(path: Path, options: Options) -> Trace:
    """Read the job log of the Philly release (117,325 jobs, 2017-08-07 to 2017-12-22).

    Times of the file are naive local time without the switch of daylight saving; second 0 is the first
    submission of a job that ran. `group` is the virtual cluster. GPUs are those of the first attempt (later
    attempts may have other numbers), the run time is last end - first start, and the queueing time stays as
    `source_wait_s`, beside `attempts` and `servers`. A last attempt without an end was still running: the
    job is censored at the latest time of the file. With `cluster_machine_list` beside the log the trace has
    its cluster.

    Options
    -------
    attempts: jobs (default), one row a job; each, one row an attempt named jobid/1, jobid/2, ..., submitted
    when the attempt before it ended; an attempt that was tried again has failed.

    Source: Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training Workloads
    (ATC'19).

    Raises
    ------
    InputError: the file cannot be read or a value is wrong; `row` is the number of the job in the array.

    Examples
    --------
    ::

        trace = apportion.load("philly-raw:trace-data?attempts=jobs&from=2017-10-01")
        trace.workload.table.select("job_id", "group", "gpus", "attempts", "status")
    """
    each = options.choice("attempts", ("jobs", "each"), "jobs") == "each"
    log = path / LOG if path.is_dir() else path
    report = QualityReport()
    jobs, attempts = _flatten(log)
    report.rows_read = jobs.height
    jobs = jobs.with_columns(
        submit=moment(jobs, "submitted_time", log, header_rows=0, missing=NO_TIME),
        status=state(jobs["status"]),
        job=pl.int_range(jobs.height, eager=True),
    )
    attempts = attempts.with_columns(
        _attempt_time(attempts, "start_time", log).alias("start"),
        _attempt_time(attempts, "end_time", log).alias("end"),
    )
    latest = pl.concat([jobs["submit"], attempts["start"], attempts["end"]]).max()
    tried = jobs["attempts"] > 0
    report.drop("no attempts: it never started", int((~tried).sum()))
    report.drop("no submitted_time", int((tried & jobs["submit"].is_null()).sum()))
    jobs = jobs.filter(tried & pl.col("submit").is_not_null())
    attempts = attempts.join(jobs.select("job"), on="job", how="semi", maintain_order="left")
    runs = _each(attempts, report) if each else _whole(attempts, report)
    frame = runs.join(jobs, on="job", how="inner", maintain_order="left")
    report.drop("attempt without a GPU" if each else "no GPU in any attempt", int((frame["gpus"] == 0).sum()))
    frame = frame.filter(pl.col("gpus") > 0)
    return _trace(frame, latest, log, report)


def _flatten(log: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the jobs (text, and their number of attempts) and the attempts (`job` counts jobs from 0)."""
    jobs: dict[str, list[Any]] = {name: [] for name in (*JOB, "attempts")}
    rows: list[tuple[int, int, str | None, str | None, int, int]] = []
    for number_of_job, job in enumerate(read_objects(log)):
        attempts = _list_of_objects(job, "attempts", number_of_job, log)
        for name in JOB:
            jobs[name].append(_text(job.get(name)))
        jobs["attempts"].append(len(attempts))
        for k, attempt in enumerate(attempts, start=1):
            servers = _list_of_objects(attempt, "detail", number_of_job, log)
            gpus = sum(len(gpus) for s in servers if isinstance(gpus := s.get("gpus"), list))
            start, end = _text(attempt.get("start_time")), _text(attempt.get("end_time"))
            rows.append((number_of_job, k, start, end, gpus, len(servers)))
    schema = {
        "job": pl.Int64,
        "attempt": pl.Int64,
        "start_time": pl.String,
        "end_time": pl.String,
        "gpus": pl.Int64,
        "servers": pl.Int64,
    }
    return (
        pl.DataFrame(jobs, schema=dict.fromkeys(JOB, pl.String) | {"attempts": pl.Int64}),
        pl.DataFrame(rows, schema=schema, orient="row"),
    )


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _list_of_objects(parent: dict[str, Any], name: str, job: int, log: Path) -> list[dict[str, Any]]:
    found = parent.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InputError(
            f"found {shortened(repr(found), 80)}, expected a list of objects",
            file=log,
            row=job + 1,
            column=name,
        )
    return found


def _attempt_time(attempts: pl.DataFrame, column: str, log: Path) -> pl.Series:
    """Return a column of times; an error names the job, not the row of the table of attempts."""
    try:
        return moment(attempts, column, log, header_rows=0, missing=NO_TIME)
    except InputError as error:
        if error.row is None:
            raise
        row = int(attempts["job"][error.row - 1]) + 1
        what = str(error).removeprefix(f"{log}, row {error.row}, column {column!r}: ")
        raise InputError(what, file=log, row=row, column=column) from None


def _whole(attempts: pl.DataFrame, report: QualityReport) -> pl.DataFrame:
    """Return one row a job: first start, last end, GPUs of the first attempt that had any."""
    held = pl.col("gpus") > 0
    known = pl.col("start").is_not_null() | pl.col("end").is_not_null()
    runs = attempts.group_by("job", maintain_order=True).agg(
        start=pl.col("start").drop_nulls().first(),
        end=pl.col("end").filter(known).last(),
        late=pl.col("start").first().is_null(),
        idle=(~known).sum(),
        gpus=pl.col("gpus").filter(held).first().fill_null(0),
        servers=pl.col("servers").filter(held).first().fill_null(0),
        sizes=pl.col("gpus").filter(held).n_unique(),
    )
    report.repair("the number of GPUs differs between attempts: the first rules", int((runs["sizes"] > 1).sum()))
    report.drop("no attempt has a start", int(runs["start"].null_count()))
    runs = runs.filter(pl.col("start").is_not_null())
    report.repair("attempt without start and end ignored", int(runs["idle"].sum()))
    report.repair("the first attempt has no start: the first known start rules", int(runs["late"].sum()))
    return runs.select(
        "job",
        "start",
        "end",
        "gpus",
        "servers",
        suffix=pl.lit(""),
        queued=pl.lit(None, dtype=pl.Datetime("us")),
        retried=pl.lit(False),
    )


def _each(attempts: pl.DataFrame, report: QualityReport) -> pl.DataFrame:
    """Return one row an attempt; its clock starts when the attempt before it ended."""
    runs = attempts.with_columns(
        suffix=pl.format("/{}", "attempt"),
        queued=pl.col("end").forward_fill().shift(1).over("job"),
        retried=pl.col("attempt") < pl.col("attempt").max().over("job"),
    )
    report.drop("attempt without a start", int(runs["start"].null_count()))
    runs = runs.filter(pl.col("start").is_not_null())
    cut = runs["retried"] & runs["end"].is_null()
    report.drop("attempt without an end that was tried again", int(cut.sum()))
    return runs.filter(~cut).drop("attempt", "start_time", "end_time")


def _trace(frame: pl.DataFrame, latest: Any, log: Path, report: QualityReport) -> Trace:
    origin = earliest(frame["submit"])
    if origin is None:
        raise InputError("found no job that ran, expected at least one", file=log)
    start = seconds_since(frame["start"], origin)
    # An attempt's clock starts when the attempt before it ended.
    submit = seconds_since(frame.select(pl.coalesce("queued", "submit")).to_series(), origin)
    table = frame.select(
        job_id=distinct(frame["jobid"].fill_null("job") + frame["suffix"], report),
        user=pl.col("user").fill_null(""),
        group=pl.col("vc").fill_null(""),
        submit_s=submit,
        duration_s=at_least_a_second(seconds_since(frame["end"].fill_null(latest), origin) - start, report),
        gpus="gpus",
        status=pl.when(pl.col("end").is_null())
        .then(pl.lit("censored"))
        .when("retried")
        .then(pl.lit("failed"))
        .otherwise("status"),
        source_wait_s=start - submit,
        attempts="attempts",
        servers="servers",
    )
    report.jobs = table.height
    report.censored = int((table["status"] == "censored").sum())
    machines = log.parent / MACHINES
    cluster = _cluster(machines) if machines.exists() else None
    if cluster is None:
        report.notes.append(f"no cluster: {MACHINES} is not beside the log")
    return Trace(Workload.of(table, origin=origin, name="philly"), cluster, report=report)


def _cluster(path: Path) -> Cluster:
    """Read `machineId, number of GPUs, single GPU mem` (`m31,8, 24GB`)."""
    raw = read_delimited(path, MACHINE)
    machine, count, size = MACHINE
    memory = raw.with_columns(pl.col(size).str.strip_chars().str.to_uppercase().str.strip_suffix("GB"))
    frame = pl.DataFrame(
        {
            "node": raw[machine].str.strip_chars(),
            "gpus": number(raw, count, path, minimum=0, whole=True, required=True),
            "gpu_memory_mib": number(memory, size, path, minimum=0) * 1024,
        }
    )
    try:
        return Cluster.of(frame, name="philly")
    except InputError as error:
        raise InputError(str(error), file=path) from None


def _sniff(lines: list[str]) -> bool:
    head = "\n".join(lines)
    keys = sum(f'"{name}"' in head for name in (*JOB, "attempts"))
    # The first lines of an indented file hold only some of the keys of its first job.
    return head.lstrip("\ufeff \t\n").startswith("[") and keys >= 3


FORMAT = Format(
    name="philly-raw",
    title="Microsoft Philly 2017 as released: jobs with their attempts",
    paper="Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training Workloads, ATC'19",
    source="https://github.com/msr-fiddle/philly-traces (trace-data.tar.gz)",
    licence="CC-BY-4.0",
    example="philly-raw:trace-data?attempts=jobs",
    read=read,
    directory=(LOG,),
    sniff=_sniff,
)
