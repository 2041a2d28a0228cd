"""Chronus: Philly jobs with strict deadlines, soft deadlines or none, in minutes."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, read_delimited
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second, distinct

NEEDED = (
    "job_id",
    "user",
    "num_gpu",
    "submit_time",
    "model_name",
    "duration",
    "expect_time_list",
    "expect_value_list",
    "best_effort",
    "job_type",
)
KINDS = ("strict", "soft", "best")
MINUTE_S = 60.0


def read(path: Path, options: Options) -> Trace:
    """Read `trace_job_Philly_{SLO,MIX1,MIX2}.csv` (30,940 jobs each, 14 days).

    Units of the file: minutes. `num_gpu` is the total of a job; rows with 0 GPUs are dropped. `user` is a
    virtual cluster and becomes `user` and `group`; `model_name` is the profile. `expect_time_list` holds
    minutes from the submission, joined by `-`, most wanted first; `expect_value_list` what meeting each is
    worth. `deadline_s` is the first of them. Best-effort jobs have no deadline (their entry only repeats the
    submission time).

    Further columns: `job_type` (strict, soft, best), `expect_times_s` and `expect_values` (lists; empty for
    best effort), `iterations`.

    Arrivals, sizes and run times come from Philly; virtual clusters, models and deadlines were drawn at
    random by the authors.

    Source: Gao et al., Chronus: A Novel Deadline-aware Scheduler for Deep Learning Training Jobs (SoCC'21).

    Raises
    ------
    InputError: the file cannot be read or a cell is wrong.

    Examples
    --------
    ::

        trace = apportion.load("chronus:trace_job_Philly_MIX1.csv?to=4d")
        trace.workload.table["deadline_s"].null_count()  # best-effort jobs
    """
    raw = read_delimited(path, NEEDED)
    report = QualityReport(rows_read=raw.height)
    kind = raw["job_type"].fill_null("").str.strip_chars()
    _refuse(~kind.is_in(KINDS), kind, path, f"one of {', '.join(KINDS)}")
    best = (number(raw, "best_effort", path, minimum=0, maximum=1, whole=True, default=0) == 1) | (kind == "best")
    times = _numbers(raw, "expect_time_list", path)
    values = _numbers(raw, "expect_value_list", path)
    _refuse(
        times.list.len() != values.list.len(),
        raw["expect_value_list"],
        path,
        "as many values as expect_time_list has times",
    )
    submit = number(raw, "submit_time", path, minimum=0, maximum=1e11, required=True) * MINUTE_S
    frame = pl.DataFrame(
        {
            "job_id": distinct(raw["job_id"], report),
            "user": raw["user"],
            "group": raw["user"],
            "submit_s": submit,
            "duration_s": number(raw, "duration", path, minimum=0, maximum=1e11, required=True) * MINUTE_S,
            "gpus": number(raw, "num_gpu", path, minimum=0, whole=True, required=True),
            "profile": raw["model_name"],
            "best_effort": best,
            "job_type": kind,
            "expect_times_s": times,
            "expect_values": values,
        }
    ).with_columns(
        expect_times_s=pl.when("best_effort")
        .then(pl.lit([], dtype=pl.List(pl.Float64)))
        .otherwise(pl.col("expect_times_s").list.eval(pl.element() * MINUTE_S)),
        expect_values=pl.when("best_effort").then(pl.lit([], dtype=pl.List(pl.Float64))).otherwise("expect_values"),
    )
    frame = frame.with_columns(deadline_s=pl.col("submit_s") + pl.col("expect_times_s").list.get(0, null_on_oob=True))
    if "iterations" in raw.columns:
        frame = frame.with_columns(number(raw, "iterations", path, minimum=0))
    report.drop("asks for 0 GPUs", int((frame["gpus"] == 0).sum()))
    frame = frame.filter(pl.col("gpus") > 0)
    frame = frame.with_columns(duration_s=at_least_a_second(frame["duration_s"], report))
    report.jobs = frame.height
    report.notes.append("virtual clusters, models and deadlines were drawn at random by the authors")
    return Trace(Workload.of(frame, name=path.stem), report=report)


def _refuse(bad: pl.Series, cells: pl.Series, path: Path, expected: str) -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(
            f"found {(cells[row] or '')[:60]!r}, expected {expected}",
            file=path,
            row=row + 2,
            column=cells.name,
        )


def _numbers(raw: pl.DataFrame, column: str, path: Path) -> pl.Series:
    """Return lists of numbers of at least 0 from `159-189-229`."""
    text = raw[column].fill_null("").str.strip_chars()
    _refuse(
        ~text.str.contains(r"^\d{1,9}(\.\d{1,9})?(-\d{1,9}(\.\d{1,9})?)*$"),
        raw[column],
        path,
        "minutes joined by -",
    )
    return text.str.split("-").cast(pl.List(pl.Float64)).alias(column)


FORMAT = Format(
    name="chronus",
    title="Philly-derived jobs with strict and soft deadlines",
    paper="Gao et al., Chronus: A Novel Deadline-aware Scheduler for Deep Learning Training Jobs, SoCC'21",
    source="https://github.com/S-Lab-System-Group/ChronusArtifact (code/data/exp)",
    licence="MIT",
    example="chronus:trace_job_Philly_MIX1.csv?to=4d",
    read=read,
    headers=(frozenset(NEEDED),),
)
