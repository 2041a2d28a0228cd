"""Reading delimited files: every bad value is reported with its file, row and column, never with a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from apportion.model.errors import InputError

STATES = {
    "pass": "completed",
    "terminated": "completed",
    "completed": "completed",
    "succeeded": "completed",
    "killed": "cancelled",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "failed": "failed",
    "timeout": "failed",
    "node_fail": "failed",
    "out_of_memory": "failed",
    "oom": "failed",
    "running": "censored",
    "pending": "censored",
    "waiting": "censored",
}
"""States of the public traces (lower case, first word) -> the four words of `Workload.table['status']`."""


def read_delimited(
    path: Path,
    needed: Sequence[str],
    *,
    separator: str = ",",
    names: Sequence[str] | None = None,
    quote: str | None = '"',
) -> pl.DataFrame:
    """Read a delimited file with every column as text (cast later with `number`, `seconds`, ...).

    Parameters
    ----------
    needed: columns that must exist. names: column names of a file that has no header row.

    Raises
    ------
    InputError: no file, not text, no rows, ragged rows, or a needed column is missing.
    """
    try:
        frame = pl.read_csv(
            path,
            separator=separator,
            infer_schema=False,
            has_header=names is None,
            new_columns=list(names) if names is not None else None,
            quote_char=quote,
            raise_if_empty=True,
        )
    except pl.exceptions.NoDataError:
        raise InputError("found an empty file, expected a table", file=path) from None
    except (OSError, pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError):
            raise InputError("no such file", file=path) from None
        raise InputError(f"cannot read: {str(error).splitlines()[0]}", file=path) from None
    except BaseException as error:  # a panic of the parser on bytes that are no text
        if type(error).__name__ == "PanicException":
            raise InputError("cannot read: not a table of text", file=path) from None
        raise
    for column in needed:
        if column not in frame.columns:
            raise InputError(
                f"found columns {', '.join(frame.columns)}; expected {', '.join(needed)}",
                file=path,
                row=1,
                column=column,
            )
    return frame


def number(
    frame: pl.DataFrame,
    column: str,
    path: Path,
    *,
    default: float | None = None,
    minimum: float | None = None,
    header_rows: int = 1,
) -> pl.Series:
    """Return `column` as f64; an empty cell becomes `default` (null by default).

    Raises
    ------
    InputError: a cell is not a finite number or is below `minimum`; the message has file, row and column.
    """
    text = frame[column].str.strip_chars()
    text = pl.select(pl.when(text == "").then(None).otherwise(text)).to_series()
    values = text.cast(pl.Float64, strict=False)
    bad = (values.is_null() & text.is_not_null()) | (values.is_nan() | values.is_infinite()).fill_null(False)
    what = "a number"
    if minimum is not None and not bad.any():
        bad = (values < minimum).fill_null(False)
        what = f"a number of at least {minimum:g}"
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(
            f"found {frame[column][row]!r}, expected {what}",
            file=path,
            row=row + 1 + header_rows,
            column=column,
        )
    if default is not None:
        values = values.fill_null(default)
    return values.alias(column)


def moment(
    frame: pl.DataFrame, column: str, path: Path, *, header_rows: int = 1, missing: Sequence[str] = ()
) -> pl.Series:
    """Return `column` as a naive datetime from `YYYY-MM-DD HH:MM:SS` or ISO text; a zone is converted to UTC.

    Empty cells and the words in `missing` become null.

    Raises
    ------
    InputError: a cell is no date; the message has file, row and column.
    """
    text = frame[column].str.strip_chars()
    empty = text.is_in(["", *missing])
    text = pl.select(pl.when(empty).then(None).otherwise(text)).to_series().str.replace("T", " ", literal=True)
    values = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
    left = values.is_null() & text.is_not_null()
    if left.any():
        zoned = (
            text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", strict=False, time_unit="us")
            .dt.convert_time_zone("UTC")
            .dt.replace_time_zone(None)
        )
        values = pl.select(pl.coalesce(values, zoned)).to_series()
        left = values.is_null() & text.is_not_null()
    if left.any():
        row = int(left.arg_max() or 0)
        raise InputError(
            f"found {frame[column][row]!r}, expected a date such as 2017-10-01 12:30:00",
            file=path,
            row=row + 1 + header_rows,
            column=column,
        )
    return values.alias(column)


def state(series: pl.Series) -> pl.Series:
    """Map a column of job states to completed, cancelled, failed or censored; anything else is null."""
    first = series.cast(pl.String).str.strip_chars().str.to_lowercase().str.extract(r"^([a-z_]+)", 1)
    return first.replace_strict(STATES, default=None, return_dtype=pl.String).alias("status")
