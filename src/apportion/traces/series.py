"""What readers of series have in common: counters at rising times become signals, and there are no jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.signal import Signal
from apportion.model.trace import QualityReport
from apportion.model.workload import Workload
from apportion.traces.columns import moment, number, read_delimited
from apportion.traces.repairs import seconds_since

NO_JOBS = "a series, no list of jobs: it can be characterized, there is nothing to simulate"


def read_counters(path: Path, columns: Mapping[str, str], report: QualityReport) -> tuple[dict[str, Signal], datetime]:
    """Read `time` and whole counters of at least 0; empty cells count as 0.

    Parameters
    ----------
    columns: column of the file -> name of the signal; the unit is the last word of the name.

    Returns
    -------
    signals by name in seconds from the first row, and the time of the first row.

    Raises
    ------
    InputError: the file cannot be read, a cell is wrong, or times do not rise.
    """
    raw = read_delimited(path, ("time", *columns))
    if raw.height < 2:
        raise InputError(f"found {raw.height} rows, expected at least two", file=path)
    at = moment(raw, "time", path, required=True)
    first = at[0]
    assert isinstance(first, datetime)
    seconds = seconds_since(at, first)
    back = seconds.diff() <= 0
    if back.any():
        row = int(back.arg_max() or 0)
        raise InputError(f"found {at[row]}, expected a time after {at[row - 1]}", file=path, row=row + 2, column="time")
    report.rows_read += raw.height
    empty = 0
    signals = {}
    for column, name in columns.items():
        values = number(raw, column, path, minimum=0, whole=True)
        empty += values.null_count()
        unit = name.partition("/")[0].rpartition("_")[2]
        signals[name] = Signal(seconds.to_numpy(), values.fill_null(0.0).to_numpy(), unit, name)
    report.repair("empty counters counted as 0", empty)
    step = float(seconds.diff().drop_nulls().median() or 0.0)  # type: ignore[arg-type]
    gaps = int((seconds.diff() > 1.5 * step).sum())
    if gaps:
        report.notes.append(f"rows are missing (gaps in time: {gaps:,}): what was last seen holds over them")
    return signals, first


def no_jobs(origin: datetime, name: str) -> Workload:
    """Return a workload without jobs that knows its calendar."""
    empty = pl.DataFrame(schema={"submit_s": pl.Float64, "duration_s": pl.Float64})
    return Workload.of(empty, origin=origin, name=name)
