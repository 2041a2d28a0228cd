"""The package's own format: the columns of `Workload.table` in Parquet or CSV, unknown columns kept."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.cluster_spec import read_cluster
from apportion.model.errors import InputError
from apportion.model.files import whole_file
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import COLUMNS, Workload
from apportion.traces.columns import number, read_delimited, shortened
from apportion.traces.format import Format
from apportion.traces.options import Options

NEEDED = ("submit_s", "duration_s")
METADATA = "apportion"
"""Key of the Parquet file's metadata under which origin and name stand, as JSON."""

ORIGIN = "origin"
"""Constant column of a CSV file (ISO time) that carries the origin, for CSV has no place for metadata."""

SEPARATOR = "|"
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


def read(location: Path, options: Options) -> Trace:
    """Read a workload from Parquet or CSV.

    The columns are those of `Workload.table` (seconds, milli-GPU, milli-CPU, MiB); submit_s and duration_s
    must be there, others take their defaults, unknown ones are kept. In CSV a list is `A|B` and an optional
    column `origin` holds the calendar time of second 0.

    Options: `cluster=` a YAML or CSV file with the nodes, found from here or beside the trace.

    Raises
    ------
    InputError: the file cannot be read, a column is missing, or a value is wrong.

    Examples
    --------
    ::

        write_native(workload, "jobs.parquet")
        trace = apportion.load("native:jobs.parquet?cluster=nodes.yaml")
    """
    beside = options.text("cluster")
    parquet = location.name.endswith(".parquet")
    frame, origin, name = _read_parquet(location) if parquet else _read_csv(location)
    try:
        workload = Workload.of(frame, origin=origin, name=name)
    except InputError as error:
        raise InputError(str(error), file=location) from None
    censored = int((workload.table["status"] == "censored").sum())
    report = QualityReport(rows_read=frame.height, jobs=len(workload), censored=censored)
    return Trace(workload, _cluster(location, beside) if beside else None, report=report)


def write_native(workload: Workload, path: str | Path) -> None:
    """Write `workload` to a `.parquet` or `.csv` file that `native:` reads back; the whole file or none.

    Parquet keeps the origin and the name in the file's metadata; CSV keeps the origin as a constant column
    `origin` (seconds are whole), takes its name from the file, and writes lists as `A|B`.

    Raises
    ------
    InputError: the ending is neither, a column cannot be written as CSV, or the file cannot be written.
    """
    target = Path(path)
    check_ending(target)
    with whole_file(target) as part:
        if target.suffix == ".parquet":
            start = workload.origin.isoformat() if workload.origin else None
            facts = json.dumps({"origin": start, "name": workload.name})
            workload.table.write_parquet(part, metadata={METADATA: facts})
        else:
            _as_csv(workload, target).write_csv(part)


def check_ending(path: Path) -> None:
    """Raise `InputError` for a file that `write_native` does not write; worth asking before long work."""
    if path.suffix not in (".parquet", ".csv"):
        raise InputError(f"found the ending {path.suffix!r}, expected .parquet or .csv", file=path)


def _as_csv(workload: Workload, path: Path) -> pl.DataFrame:
    table = workload.table
    for name, kind in table.schema.items():
        if isinstance(kind, pl.List):
            table = table.with_columns(pl.col(name).cast(pl.List(pl.String)).list.join(SEPARATOR))
        elif kind.is_nested():
            raise InputError(f"found a column of {kind}, which CSV cannot hold", file=path, column=name)
    if workload.origin is not None:
        table = table.with_columns(pl.lit(workload.origin.isoformat()).alias(ORIGIN))
    return table


def _read_parquet(path: Path) -> tuple[pl.DataFrame, datetime | None, str]:
    try:
        frame = pl.read_parquet(path)
        facts = json.loads(pl.read_parquet_metadata(path).get(METADATA, "{}"))
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except (OSError, pl.exceptions.PolarsError, ValueError) as error:
        raise InputError(f"cannot read as Parquet: {str(error).splitlines()[0]}", file=path) from None
    except BaseException as error:  # a panic of the decoder on damaged pages
        if type(error).__name__ == "PanicException":
            raise InputError("cannot read: not a Parquet file", file=path) from None
        raise
    for name in NEEDED:
        if name not in frame.columns:
            raise InputError(
                f"found columns {shortened(', '.join(frame.columns))}; expected {', '.join(NEEDED)}",
                file=path,
                column=name,
            )
    for name, column in COLUMNS.items():
        if name in frame.columns and not _fits(frame.schema[name], column.dtype):
            raise InputError(f"found {frame.schema[name]}, expected {column.doc}", file=path, column=name)
    models = "gpu_models"
    if frame.schema.get(models) == pl.String:
        frame = frame.with_columns(_models(frame[models]))
    elif models in frame.columns:
        frame = frame.with_columns(pl.col(models).fill_null(pl.lit([], dtype=pl.List(pl.String))))
    facts = facts if isinstance(facts, dict) else {}
    return frame, _moment(facts.get("origin"), path), str(facts.get("name") or path.stem)


def _fits(found: pl.DataType, wanted: pl.DataType) -> bool:
    """Say whether a Parquet column can be one of ours: a time is not seconds, a list is not a number."""
    if wanted == pl.List(pl.String):
        return isinstance(found, pl.List) or found in (pl.String, pl.Null)
    return not (found.is_nested() or found.is_temporal() or found == pl.Binary)


def _read_csv(path: Path) -> tuple[pl.DataFrame, datetime | None, str]:
    text = read_delimited(path, NEEDED)
    origin = None
    if ORIGIN in text.columns:
        starts = text[ORIGIN].drop_nulls().unique().to_list()
        if len(starts) > 1:
            raise InputError(f"found {len(starts)} values, expected the same in every row", file=path, column=ORIGIN)
        origin = _moment(starts[0] if starts else None, path)
        text = text.drop(ORIGIN)
    return pl.DataFrame([_typed(text, name, path) for name in text.columns]), origin, path.stem


def _typed(text: pl.DataFrame, name: str, path: Path) -> pl.Series:
    """Return a CSV column in the type of `Workload.table`; an unknown one as numbers where all cells are."""
    column = COLUMNS.get(name)
    cells = text[name].replace("", None)
    if column is None:
        plain = cells.str.contains(r"^-?(0|[1-9]\d{0,14})(\.\d+)?([eE][+-]?\d{1,2})?$").fill_null(True)
        return cells.cast(pl.Float64) if plain.all() and cells.null_count() < len(cells) else cells
    if column.dtype == pl.List(pl.String):
        return _models(cells)
    if column.dtype == pl.String:
        return cells
    if column.dtype == pl.Boolean:
        return _flags(cells, name, path)
    values = number(text, name, path, minimum=column.minimum)
    if column.dtype == pl.Float64:
        return values
    low, high = (-(2**31), 2**31 - 1) if column.dtype == pl.Int32 else (-(2**53), 2**53)
    bad = ((values != values.floor()) | (values < low) | (values > high)).fill_null(False)
    _check(bad, cells, f"a whole number, {column.doc}", path, name)
    return values.cast(column.dtype)


def _flags(cells: pl.Series, name: str, path: Path) -> pl.Series:
    words = cells.str.to_lowercase()
    _check(~words.is_in([*_TRUE, *_FALSE]).fill_null(True), cells, "true or false", path, name)
    return words.replace_strict({**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}, default=None)


def _models(cells: pl.Series) -> pl.Series:
    split = pl.when(cells != "").then(cells.str.split(SEPARATOR))
    return pl.select(pl.coalesce(split, pl.lit([], dtype=pl.List(pl.String)))).to_series().alias(cells.name)


def _check(bad: pl.Series, cells: pl.Series, expected: str, path: Path, column: str) -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(
            f"found {shortened(repr(cells[row]), 80)}, expected {expected}",
            file=path,
            row=row + 2,
            column=column,
        )


def _moment(text: object, path: Path) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=None)
    except ValueError:
        raise InputError(
            f"found {text!r}, expected a time such as 2017-10-01T00:00:00", file=path, column=ORIGIN
        ) from None


def _cluster(location: Path, beside: str) -> Cluster:
    given = Path(beside)
    return read_cluster(given if given.exists() else location.parent / given)


FORMAT = Format(
    name="native",
    title="the package's own workload table, Parquet or CSV",
    paper="-",
    source="apportion generate, or write_native",
    licence="yours",
    example="native:jobs.parquet",
    read=read,
    headers=(frozenset(NEEDED),),
    suffixes=(".parquet", ".csv"),
)
