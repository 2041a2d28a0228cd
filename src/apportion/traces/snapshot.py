"""Reading a snapshot: the tasks that run on a cluster, from CSV or Parquet."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.snapshot import COLUMNS, Snapshot
from apportion.traces.columns import number, read_delimited, shortened

_TRUE, _FALSE = ("true", "1", "yes", "y"), ("false", "0", "no", "n")


def read_snapshot(path: str | Path) -> Snapshot:
    """Read the columns of `Snapshot.table` from a `.csv` or `.parquet` file; unknown columns are kept.

    `node` and one of `gpus` and `devices` must be there. In CSV a list of devices is `0;3`, `0-3` or `"0,3"`, a list of
    models `A|B`, and `movable` is yes or no.

    Raises
    ------
    InputError: the file cannot be read, a column is missing, or a value is wrong; the message says where.
    """
    file = Path(path)
    if file.suffix not in (".csv", ".parquet"):
        raise InputError(f"found the ending {file.suffix!r}, expected .csv or .parquet", file=file)
    if file.suffix == ".parquet":
        return Snapshot.of(_read_parquet(file), file=file, name=file.stem)
    text = read_delimited(file, ("node",))
    frame = pl.DataFrame([_typed(text, name, file) for name in text.columns])
    return Snapshot.of(frame, file=file, header_rows=1, name=file.stem)


def _typed(text: pl.DataFrame, name: str, file: Path) -> pl.Series:
    column = COLUMNS.get(name)
    cells = text[name].str.strip_chars().replace("", None)
    if name == "node" and cells.null_count():
        _refuse(cells.is_null(), text[name], "the name of a node", file)
    if column is None or column.dtype == pl.String or name == "devices":
        return cells
    if name == "gpu_models":
        return cells.fill_null("").str.split("|").list.eval(pl.element().filter(pl.element() != ""))
    if column.dtype == pl.Boolean:
        words = cells.str.to_lowercase()
        _refuse(~words.is_in([*_TRUE, *_FALSE]).fill_null(True), cells, "yes or no", file)
        return words.replace_strict({**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}, default=None)
    most = 1000 if name == "gpu_milli" else 2**31 - 1
    return number(text, name, file, minimum=0, maximum=most, whole=True).cast(column.dtype)


def _refuse(bad: pl.Series, cells: pl.Series, expected: str, file: Path) -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        found = shortened(repr(cells[row]), 80) if cells[row] else "nothing"
        raise InputError(f"found {found}, expected {expected}", file=file, row=row + 2, column=cells.name)


def _read_parquet(file: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(file, glob=False)
    except FileNotFoundError:
        raise InputError("no such file", file=file) from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"cannot read as Parquet: {str(error).splitlines()[0]}", file=file) from None
    except BaseException as error:  # a panic of the decoder on damaged pages
        if type(error).__name__ == "PanicException":
            raise InputError("cannot read: not a Parquet file", file=file) from None
        raise
    for name, column in COLUMNS.items():
        kind = frame.schema.get(name)
        lists = name in ("gpu_models", "devices")
        if kind is not None and (
            kind.is_temporal() or (kind.is_nested() and not (lists and isinstance(kind, pl.List)))
        ):
            raise InputError(f"found {kind}, expected {column.doc}", file=file, column=name)
    if frame.schema.get("gpu_models") == pl.String:
        models = pl.col("gpu_models").fill_null("").str.split("|")
        frame = frame.with_columns(models.list.eval(pl.element().filter(pl.element() != "")))
    return frame
