"""The two shapes of `sacct` output, delimited and fixed-width, as one table of text."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import polars as pl

from apportion.model.errors import InputError
from apportion.traces.columns import shortened
from apportion.traces.lines import read_lines

_NAMES = """
JobID JobIDRaw JobName User UID Account Group GID Partition QOS QOSRAW Submit Eligible Start End Elapsed
ElapsedRaw Suspended Timelimit TimelimitRaw State ExitCode DerivedExitCode ReqTRES AllocTRES ReqGRES AllocGRES
ReqCPUS NCPUS AllocCPUS ReqMem NNodes ReqNodes AllocNodes NodeList Priority Restarts Dependency Reason Comment
Cluster Constraints Flags WorkDir SubmitLine
"""
FIELDS = tuple(_NAMES.split())
"""Fields whose names are known, so that a header cut by a narrow column (`TimelimitR`) can be completed."""

SEPARATORS = ("|", "\t", ",", ";")
_DASHES = re.compile(r"\s*-{2,}(?:\s+-+)*\s*")


def canonical(name: str) -> str:
    """Return the field that `name` is, also when cut short or in another case; else the name."""
    text = name.strip().rstrip("+")
    for field in FIELDS:
        if field.lower() == text.lower():
            return field
    fitting = [field for field in FIELDS if len(text) >= 5 and field.lower().startswith(text.lower())]
    return fitting[0] if len(fitting) == 1 else text


def find_header(lines: list[str]) -> tuple[int, str | None] | None:
    """Return the header's place and its separator (None = fixed width), or None without a header."""
    for i, line in enumerate(lines[:5]):
        separator = next((s for s in SEPARATORS if s in line), None)
        cells = line.split(separator) if separator else line.split()
        if not {"jobid", "jobidraw"} & {cell.strip().lower() for cell in cells}:
            continue
        if separator is None and not (i + 1 < len(lines) and _DASHES.fullmatch(lines[i + 1])):
            return None
        return i, separator
    return None


def looks_like_sacct(lines: list[str]) -> bool:
    """Say whether the first lines of a file are `sacct` output with the times of jobs."""
    found = find_header(lines)
    if found is None:
        return False
    line, separator = lines[found[0]], found[1]
    names = {canonical(cell) for cell in (line.split(separator) if separator else line.split())}
    return {"Submit", "Start"} <= names and bool(names & {"End", "Elapsed", "ElapsedRaw"})


class SacctTable(NamedTuple):
    """Text cells by field name; a blank line is a row of nulls, so that rows stay line numbers.

    Parameters
    ----------
    header_rows: lines above the first row. mended: rows whose job name contained the separator.
    """

    frame: pl.DataFrame
    header_rows: int
    mended: int


def read_table(path: Path, columns: str | None) -> SacctTable:
    """Read `sacct` output of either shape.

    Parameters
    ----------
    columns: field names of a file without a header (`sacct -n`), separated by commas.

    Raises
    ------
    InputError: no header is found, or a row has too few cells, or too many without a JobName to put them in.
    """
    lines = read_lines(path)
    if columns is not None:
        cut = next((s for s in SEPARATORS if s in lines[0]), "|")
        return _delimited(path, lines, columns.split(","), cut, 0)
    found = find_header(lines)
    if found is None:
        raise InputError(
            f"found {shortened(lines[0], 60)!r}; expected the header of sacct -P (JobID|Submit|...) or "
            "of its table with a line of dashes (columns=JobID,Submit,... names the columns of sacct -n)",
            file=path,
            row=1,
        )
    top, separator = found
    if separator is not None:
        return _delimited(path, lines, lines[top].split(separator), separator, top + 1)
    spans = [match.span() for match in re.finditer(r"-+", lines[top + 1])]
    names = [lines[top][start:end] for start, end in spans]
    body = lines[top + 2 :]
    if body and body[0].count("\t") >= len(names) - 1:
        return _delimited(path, lines, names, "\t", top + 2)
    names = _fields(path, names, top + 1)
    text = pl.Series("line", body, dtype=pl.String)
    starts = [0, *(start for start, _ in spans[1:])]
    lengths = [after - start for start, after in pairwise(starts)]
    cells = {
        name: text.str.slice(start, length).str.strip_chars()
        for name, start, length in zip(names, starts, [*lengths, None])
    }
    frame = pl.DataFrame(cells).with_columns(pl.when((text != "").alias("_")).then(pl.all()))
    return SacctTable(frame, top + 2, 0)


def _fields(path: Path, names: list[str], row: int) -> list[str]:
    fields = [canonical(name) for name in names]
    for field in fields:
        if fields.count(field) > 1:
            raise InputError(f"found the column {field!r} twice, expected it once", file=path, row=max(row, 1))
    return fields


def _delimited(path: Path, lines: list[str], names: list[str], separator: str, top: int) -> SacctTable:
    """Cut lines at `separator`; surplus cells of a row belong to its JobName, the one field of free text."""
    closed = len(names) > 1 and not names[-1].strip()  # `sacct --parsable` ends every line with the separator
    fields = _fields(path, names[:-1] if closed else names, top)
    text = pl.Series("line", lines[top:], dtype=pl.String)
    if closed:
        text = text.str.strip_suffix(separator)
    cells = text.str.split(separator)
    surplus = cells.list.len().cast(pl.Int64) - len(fields)
    blank = text.str.strip_chars() == ""
    name = fields.index("JobName") if "JobName" in fields else None
    wrong = ~blank & ((surplus < 0) if name is not None else (surplus != 0))
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(
            f"found {surplus[row] + len(fields)} cells, expected {len(fields)} ({shortened(separator.join(fields))})",
            file=path,
            row=row + 1 + top,
        )
    frame = pl.DataFrame({"cells": cells, "surplus": surplus})
    place = len(fields) if name is None else name
    column = pl.col("cells")
    frame = frame.select(
        (
            column.list.slice(i, pl.col("surplus") + 1).list.join(separator)
            if i == place
            else column.list.get(i + (pl.col("surplus") if i > place else 0), null_on_oob=True)
        )
        .str.strip_chars()
        .alias(field)
        for i, field in enumerate(fields)
    )
    frame = frame.with_columns(pl.when(~blank.alias("_")).then(pl.all()))
    return SacctTable(frame, top, int(((surplus > 0) & ~blank).sum()))
