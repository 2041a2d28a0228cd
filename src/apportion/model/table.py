"""Tables with documented columns: defaults for what is missing, one clear line for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from apportion.model.errors import InputError


@dataclass(frozen=True)
class Column:
    """One column of a table of the model.

    Parameters
    ----------
    dtype: the Polars type the column is cast to.
    default: value of a missing column and of nulls in a non-nullable one; `REQUIRED` has none.
    nullable: nulls are kept (they mean "does not apply").
    minimum: smallest value allowed, checked where given.
    doc: unit and meaning.
    """

    dtype: Any
    default: Any
    doc: str
    nullable: bool = False
    minimum: float | None = None


REQUIRED = object()


def conform(frame: pl.DataFrame, columns: Mapping[str, Column], what: str) -> pl.DataFrame:
    """Cast the known columns of `frame`, add the missing ones, check bounds, and keep unknown columns behind.

    Raises
    ------
    InputError: a required column is missing, a value cannot be cast, is null or is below its minimum; the message
    names the row (counting data rows from 1), the column and the value.
    """
    given = set(frame.columns)
    exprs: list[pl.Expr] = []
    for name, column in columns.items():
        if name not in given:
            if column.default is REQUIRED:
                raise InputError(f"{what} has no column {name!r} ({column.doc}); it has {frame.columns}")
            exprs.append(pl.lit(column.default, dtype=column.dtype).alias(name))
            continue
        series = frame[name]
        cast = _filled(_cast(series, name, column, what), name, column, what)
        _check_bounds(cast, name, column, what)
        exprs.append(pl.col(name) if cast is series else pl.lit(cast).alias(name))
    others = [pl.col(c) for c in frame.columns if c not in columns]
    if frame.height == 0:
        return frame.select([*(pl.lit(pl.Series(n, [], dtype=c.dtype)) for n, c in columns.items()), *others])
    return frame.select([*exprs, *others])


def _cast(series: pl.Series, name: str, column: Column, what: str) -> pl.Series:
    if series.dtype == column.dtype:
        return series
    cast = series.cast(column.dtype, strict=False)
    if cast.null_count() > series.null_count():
        row = int((cast.is_null() & series.is_not_null()).arg_max() or 0)
        raise InputError(f"{what}: found {series[row]!r}, expected {column.doc}", row=row + 1, column=name)
    return cast


def _filled(cast: pl.Series, name: str, column: Column, what: str) -> pl.Series:
    if column.nullable or not cast.null_count():
        return cast
    if column.default is REQUIRED:
        row = int(cast.is_null().arg_max() or 0)
        raise InputError(f"{what}: found nothing, expected {column.doc}", row=row + 1, column=name)
    return pl.select(pl.coalesce(cast, pl.lit(column.default, dtype=column.dtype))).to_series()


def _check_bounds(cast: pl.Series, name: str, column: Column, what: str) -> None:
    # a live controller does this every cycle: the row is looked for only where there is something wrong
    given = cast.drop_nulls() if cast.null_count() else cast
    if column.dtype in (pl.Float64, pl.Float32) and not np.isfinite(given.to_numpy()).all():
        row = int((~cast.is_finite()).fill_null(False).arg_max() or 0)
        raise InputError(f"{what}: found {cast[row]!r}, expected a finite number", row=row + 1, column=name)
    least: Any = None if column.minimum is None else cast.min()
    if least is not None and least < column.minimum:
        row = int((cast < column.minimum).fill_null(False).arg_max() or 0)
        raise InputError(
            f"{what}: found {cast[row]!r}, expected at least {column.minimum:g} ({column.doc})",
            row=row + 1,
            column=name,
        )
