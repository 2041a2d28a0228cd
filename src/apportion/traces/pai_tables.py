"""The tables of the PAI release: CSV files without a header row, the largest of them read as a stream."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.traces.columns import LARGEST, read_delimited, shortened

TABLES = {
    "pai_job_table": ("job_name", "inst_id", "user", "status", "start_time", "end_time"),
    "pai_task_table": (
        "job_name",
        "task_name",
        "inst_num",
        "status",
        "start_time",
        "end_time",
        "plan_cpu",
        "plan_mem",
        "plan_gpu",
        "gpu_type",
    ),
    "pai_instance_table": (
        "job_name",
        "task_name",
        "inst_name",
        "worker_name",
        "inst_id",
        "status",
        "start_time",
        "end_time",
        "machine",
    ),
    "pai_group_tag_table": ("inst_id", "user", "gpu_type_spec", "group", "workload"),
    "pai_machine_spec": ("machine", "gpu_type", "cap_cpu", "cap_mem", "cap_gpu"),
}
"""Columns of each table, as its `.header` file has them."""


def local_origin() -> datetime:
    """Return the local time in Asia/Shanghai of second 0, if the seconds of the release were Unix time."""
    return datetime(1970, 1, 1, 8)


def table_path(folder: Path, table: str) -> Path | None:
    """Return the file of `table`, or None."""
    file = folder / f"{table}.csv"
    return file if file.exists() else None


def _layout(file: Path) -> tuple[list[str], bool]:
    """Return the column names of a table (a `.header` file rules) and whether its first row has them."""
    names = list(TABLES[file.stem])
    header = file.with_suffix(".header")
    try:
        if header.exists():
            found = header.read_text(encoding="utf-8").splitlines()
            found = [cell.strip() for cell in found[0].split(",")] if found else []
            if not set(names) <= set(found):
                raise InputError(
                    f"found {shortened(', '.join(found))}; expected {', '.join(names)}", file=header, row=1
                )
            names = found
        with file.open(encoding="utf-8", errors="replace") as lines:
            first = lines.readline(10_000)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read: {str(error).splitlines()[0]}", file=file) from None
    return names, [cell.strip() for cell in first.split(",")] == names


def read_table(folder: Path, table: str) -> tuple[pl.DataFrame, Path, int]:
    """Return a table as text, its file, and its number of header rows (0 as released).

    Raises
    ------
    InputError: the table is missing, or is not a table with these columns.
    """
    file = table_path(folder, table)
    if file is None:
        raise InputError(f"found no {table}.csv, expected the tables of the PAI release", file=folder)
    names, has_header = _layout(file)
    frame = read_delimited(file, TABLES[table], names=None if has_header else names)
    return frame, file, int(has_header)


def instance_times(file: Path) -> pl.DataFrame:
    """Return `first_start`, `last_end` and `mean_s` (mean of end - start) of each `job_name`, `task_name`.

    The table has millions of rows and 2 GB: it is aggregated as a stream and never held whole.

    Raises
    ------
    InputError: the file cannot be read or a time is no number.
    """
    names, has_header = _layout(file)
    table = pl.scan_csv(
        file,
        has_header=has_header,
        new_columns=names,
        infer_schema=False,
        glob=False,
    ).select("job_name", "task_name", "start_time", "end_time")
    start, end = _seconds("start_time"), _seconds("end_time")
    bad = _bad("start_time") | _bad("end_time")
    grouped = (
        table.select("job_name", "task_name", start=start, end=end, bad=bad)
        .group_by("job_name", "task_name")
        .agg(
            first_start=pl.col("start").filter(pl.col("start") > 0).min(),
            last_end=pl.col("end").filter(pl.col("end") > 0).max(),
            mean_s=(pl.col("end") - pl.col("start")).filter((pl.col("start") > 0) & (pl.col("end") > 0)).mean(),
            bad=pl.col("bad").any(),
        )
    )
    times = _collect(grouped, file)
    if times["bad"].any():
        wrong = table.with_row_index("row", offset=1 + int(has_header)).filter(bad)
        row = _collect(wrong.head(1), file).row(0, named=True)
        column = "start_time" if _is_bad(row["start_time"]) else "end_time"
        found = shortened(repr(row[column]), 80)
        raise InputError(f"found {found}, expected seconds", file=file, row=row["row"], column=column)
    return times.drop("bad")


def no_instances() -> pl.DataFrame:
    """Return what `instance_times` does for a release without the table."""
    text, seconds = pl.String(), pl.Float64()
    return pl.DataFrame(
        schema={
            "job_name": text,
            "task_name": text,
            "first_start": seconds,
            "last_end": seconds,
            "mean_s": seconds,
        }
    )


def _seconds(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars().cast(pl.Float64, strict=False)


def _bad(column: str) -> pl.Expr:
    """Return which cells hold something else than a time."""
    text = pl.col(column).str.strip_chars().fill_null("")
    return (text != "") & ~_seconds(column).is_between(0, LARGEST).fill_null(False)


def _is_bad(cell: str | None) -> bool:
    return bool(pl.DataFrame({"cell": [cell]}, schema={"cell": pl.String}).select(_bad("cell")).item())


def _collect(frame: pl.LazyFrame, file: Path) -> pl.DataFrame:
    try:
        return frame.collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"cannot read: {str(error).splitlines()[0]}", file=file) from None
    except BaseException as error:  # a panic of the parser on bytes that are no text
        if type(error).__name__ == "PanicException":
            raise InputError("cannot read: not a table of text", file=file) from None
        raise
