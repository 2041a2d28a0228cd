"""Reading text files whose rows are not plain delimited lines, so that a row's place is its line number."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.traces.columns import shortened


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file without their ends; bytes that are no UTF-8 become U+FFFD.

    Raises
    ------
    InputError: no such file, a folder, an empty file, or not text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror or error}", file=path) from None
    if b"\0" in data:
        raise InputError("found NUL bytes, expected a text file", file=path)
    # Only newlines end a row: str.splitlines would also split at form feeds and the like inside a job name.
    lines = [line.removesuffix("\r") for line in data.decode("utf-8", errors="replace").split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError("found an empty file, expected a table", file=path)
    return lines


def at_most(
    values: pl.Series, maximum: float, text: pl.Series, path: Path, *, column: str, header_rows: int
) -> pl.Series:
    """Return `values` when none is above `maximum`.

    Raises
    ------
    InputError: one is; the message has file, row and column, and the cell of `text` as found.
    """
    bad = (values > maximum).fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(
            f"found {shortened(repr(text[row]), 80)}, expected at most {maximum:g}",
            file=path,
            row=row + 1 + header_rows,
            column=column,
        )
    return values


def unique_ids(ids: pl.Series) -> tuple[pl.Series, int]:
    """Return job names without repetition (`17`, `17#2`, ...) and how many were renamed."""
    name = ids.name or "job_id"
    frame = ids.alias(name).to_frame().with_columns(pl.int_range(1, pl.len() + 1).over(name).alias("#"))
    named = pl.when(pl.col("#") > 1).then(pl.concat_str(pl.col(name), pl.lit("#"), pl.col("#")))
    return frame.select(named.otherwise(pl.col(name)).alias(name)).to_series(), int((frame["#"] > 1).sum())
