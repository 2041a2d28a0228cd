"""The accounting columns that the Helios and Acme releases share, turned into jobs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.trace import QualityReport
from apportion.traces.columns import moment, number, state
from apportion.traces.repairs import at_least_a_second, distinct, earliest, seconds_since

NEEDED = ("job_id", "user", "gpu_num", "state", "submit_time", "start_time", "end_time")
MISSING = ("None", "NaT", "nan", "Unknown", "N/A")
"""Words that the releases write where there is no time."""


def accounting(
    raw: pl.DataFrame,
    extra: list[pl.Series],
    path: Path,
    report: QualityReport,
    *,
    keep_cpu: bool,
    only: pl.Series | None = None,
) -> tuple[pl.DataFrame, datetime]:
    """Return the jobs of a log and the calendar time of second 0, the first submission among them.

    The run time is end - start: the column `duration` is never trusted, for some releases count the queue
    in it. A missing start is submit + queue where both are known. A job without an end runs until the
    latest time of the file and is censored. Jobs without a start, without GPUs (unless `keep_cpu`) and
    suspended ones are left out.

    Parameters
    ----------
    raw: text columns, at least `NEEDED`. extra: further columns of the jobs, as long as `raw`. only: the
    rows of `raw` to keep; the others still say when the log ends.

    Raises
    ------
    InputError: a cell is wrong, or no job is left.
    """
    report.rows_read = raw.height
    submit, start, end = (
        moment(raw, name, path, missing=MISSING) for name in ("submit_time", "start_time", "end_time")
    )
    gpus = number(raw, "gpu_num", path, minimum=0, whole=True, default=0)
    frame = pl.DataFrame(
        {
            "job_id": distinct(raw["job_id"], report),
            "user": raw["user"],
            "submit": submit,
            "start": start,
            "end": end,
            "gpus": gpus,
            "gpu_milli": (gpus > 0).cast(pl.Int32) * 1000,
            "cpu_milli": _optional(raw, "cpu_num", path).fill_null(0) * 1000,
            "node_num": _optional(raw, "node_num", path),
            "queue": _optional(raw, "queue", path),
            "claimed": _optional(raw, "duration", path),
            "state": raw["state"].fill_null("").str.strip_chars().str.to_uppercase(),
            "status": state(raw["state"]),
        }
    ).with_columns(extra)
    latest = pl.concat([submit, start, end]).max()
    frame = _started(frame if only is None else frame.filter(only), report)
    if not keep_cpu:
        report.drop("CPU job: asks for no GPU (cpu=keep keeps them)", int((frame["gpus"] == 0).sum()))
        frame = frame.filter(pl.col("gpus") > 0)
    origin = earliest(frame["submit"])
    if origin is None:
        raise InputError("found no job with a submission and a start, expected at least one", file=path)
    frame = frame.with_columns(
        end=pl.col("end").fill_null(latest),
        status=pl.when(pl.col("end").is_null()).then(pl.lit("censored")).otherwise("status"),
    )
    run_s = seconds_since(frame["end"], origin) - seconds_since(frame["start"], origin)
    # A second of difference is rounding; more is another meaning of the column.
    differs = ((frame["claimed"] - run_s).abs() > 1).sum()
    report.repair("duration in the file is not end - start, which is used", int(differs))
    frame = frame.with_columns(
        submit_s=seconds_since(frame["submit"], origin),
        duration_s=at_least_a_second(run_s, report),
        source_wait_s=seconds_since(frame["start"], origin) - seconds_since(frame["submit"], origin),
    ).drop("submit", "start", "end", "queue", "claimed", "state")
    report.jobs = frame.height
    report.censored = int((frame["status"] == "censored").sum())
    return frame, origin


def _optional(raw: pl.DataFrame, column: str, path: Path) -> pl.Series:
    if column not in raw.columns:
        return pl.repeat(None, raw.height, dtype=pl.Float64, eager=True).alias(column)
    return number(raw, column, path)


def _started(frame: pl.DataFrame, report: QualityReport) -> pl.DataFrame:
    """Leave out what never ran, and derive a missing start from the queueing time."""
    report.drop("suspended in the log", int((frame["state"] == "SUSPENDED").sum()))
    frame = frame.filter(pl.col("state") != "SUSPENDED")
    report.drop("no submit_time", int(frame["submit"].null_count()))
    frame = frame.filter(pl.col("submit").is_not_null())
    # A job that still waits also has a queueing time; only one that ended can have started after it.
    derived = pl.col("submit") + pl.duration(microseconds=(pl.col("queue") * 1e6).cast(pl.Int64))
    derived = pl.when(pl.col("end").is_not_null()).then(derived)
    unknown = frame["start"].null_count()
    frame = frame.with_columns(start=pl.coalesce("start", derived))
    left = frame["start"].null_count()
    report.repair("missing start_time taken as submit_time + queue", unknown - left)
    report.drop("never started: no start_time", left)
    return frame.filter(pl.col("start").is_not_null())
