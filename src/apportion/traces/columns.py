"""Reading delimited files: a bad value is reported with its file, row and column, never with a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
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


LARGEST = 1e15
"""Largest number believed of any column: thousandths of it still fit 64 bits."""


def read_delimited(
    path: Path,
    needed: Sequence[str],
    *,
    separator: str = ",",
    names: Sequence[str] | None = None,
    quote: str | None = '"',
) -> pl.DataFrame:
    """Read a delimited file with every column as text (cast later with `number`, `moment`, ...).

    Column names lose the blanks around them; blank lines at the end of the file are no rows.

    Parameters
    ----------
    needed: columns that must exist. names: column names of a file that has no header row.

    Raises
    ------
    InputError: no file, not text, no rows, ragged rows, or a needed column is missing.
    """
    if not path.is_file():
        raise InputError("found a folder, expected a file" if path.is_dir() else "no such file", file=path)
    try:
        frame = pl.read_csv(
            path,
            glob=False,  # a star or a bracket in a file's name is part of the name
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
        raise InputError(f"cannot read: {str(error).splitlines()[0]}", file=path) from None
    except BaseException as error:  # a panic of the parser on bytes that are no text
        if type(error).__name__ == "PanicException":
            raise InputError("cannot read: not a table of text", file=path) from None
        raise
    stripped = [name.strip() for name in frame.columns]
    if len(set(stripped)) == len(stripped):
        frame.columns = stripped
    for column in needed:
        if column not in frame.columns:
            raise InputError(
                f"found columns {shortened(', '.join(frame.columns))}; expected {', '.join(needed)}",
                file=path,
                row=1,
                column=column,
            )
    filled = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    return frame.head(frame.height - (filled.reverse().arg_max() or 0)) if filled.any() else frame.clear()


def shortened(text: str, length: int = 200) -> str:
    """Return `text` on one line, without control characters, and cut to `length`: fit for a message."""
    line = "".join(c if c.isprintable() else "?" for c in text)
    return line if len(line) <= length else line[:length] + "..."


def _refuse(bad: pl.Series, frame: pl.DataFrame, column: str, path: Path, expected: str, header_rows: int) -> None:
    """Raise for the first row that is `bad` (nulls are not)."""
    if not bad.any():
        return
    row = int(bad.fill_null(False).arg_max() or 0)
    cell = frame[column][row]
    raise InputError(
        f"found {shortened(repr(cell), 80) if cell else 'nothing'}, expected {expected}",
        file=path,
        row=row + 1 + header_rows,
        column=column,
    )


def number(
    frame: pl.DataFrame,
    column: str,
    path: Path,
    *,
    default: float | None = None,
    minimum: float | None = None,
    maximum: float = LARGEST,
    whole: bool = False,
    required: bool = False,
    header_rows: int = 1,
) -> pl.Series:
    """Return `column` as f64; an empty cell becomes `default` (null by default).

    Parameters
    ----------
    minimum, maximum: bounds, both allowed. whole: no fraction, and it fits 32 bits. required: no empty cell.

    Raises
    ------
    InputError: a cell is not a finite number or is out of bounds; the message has file, row and column.
    """
    text = frame[column].str.strip_chars()
    text = pl.select(pl.when(text == "").then(None).otherwise(text)).to_series()
    values = text.cast(pl.Float64, strict=False)
    maximum = min(maximum, 2**31 - 1) if whole else maximum
    bounds = f" of at least {minimum:g}" if minimum is not None else ""
    checks = [
        ((values.is_null() & text.is_not_null()) | values.is_nan() | values.is_infinite(), "a number"),
        (values.is_null() if required else pl.Series([False]), "a number"),
        (values < (minimum if minimum is not None else -maximum), "a number" + bounds),
        (values > maximum, f"a number of at most {maximum:.16g}"),
        (values != values.round() if whole else pl.Series([False]), "a whole number" + bounds),
    ]
    for bad, expected in checks:
        _refuse(bad, frame, column, path, expected, header_rows)
    if default is not None:
        values = values.fill_null(default)
    return values.alias(column)


def moment(
    frame: pl.DataFrame,
    column: str,
    path: Path,
    *,
    header_rows: int = 1,
    missing: Sequence[str] = (),
    required: bool = False,
) -> pl.Series:
    """Return `column` as a naive datetime from `YYYY-MM-DD HH:MM:SS` or ISO text; a zone is converted to UTC.

    Empty cells and the words in `missing` become null, unless `required`.

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
    left = left | ~values.is_between(datetime(1900, 1, 1), datetime(2200, 1, 1))
    _refuse(left, frame, column, path, "a date such as 2017-10-01 12:30:00", header_rows)
    if required:
        _refuse(values.is_null(), frame, column, path, "a date such as 2017-10-01 12:30:00", header_rows)
    return values.alias(column)


def state(series: pl.Series) -> pl.Series:
    """Map a column of job states to completed, cancelled, failed or censored; anything else is null."""
    first = series.cast(pl.String).str.strip_chars().str.to_lowercase().str.extract(r"^([a-z_]+)", 1)
    return first.replace_strict(STATES, default=None, return_dtype=pl.String).alias("status")
