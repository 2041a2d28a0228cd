"""Find the reader of a trace spec: by its format's name, or by the columns of a bare path."""

from __future__ import annotations

import importlib
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import polars as pl

from apportion.model.errors import InputError, did_you_mean
from apportion.model.trace import Trace
from apportion.model.workload import Workload
from apportion.traces.format import Format
from apportion.traces.options import Options

FORMATS: dict[str, str] = {
    "openb": "openb",
    "philly": "philly",
    "philly-raw": "philly_raw",
    "pai": "pai",
    "pai-sim": "pai_sim",
    "helios": "helios",
    "acme": "acme",
    "dlrm2025": "dlrm2025",
    "spot2026": "spot2026",
    "gaia": "gaia",
    "chronus": "chronus",
    "tiresias": "tiresias",
    "muri": "muri",
    "gavel": "gavel",
    "shockwave": "shockwave",
    "slurm": "slurm",
    "supercloud": "supercloud",
    "swf": "swf",
    "native": "native",
    "synthetic": "synthetic",
}
"""Format name -> module of this package; the module's `FORMAT` is imported when it is needed."""


def get_format(name: str) -> Format:
    """Return the format called `name`.

    Raises
    ------
    InputError: there is none; the message suggests the nearest.
    """
    if name not in FORMATS:
        raise InputError(
            f"unknown trace format {name!r}{did_you_mean(name, FORMATS)} (known: {', '.join(FORMATS)})"
        )
    found: Format = importlib.import_module(f"apportion.traces.{FORMATS[name]}").FORMAT
    return found


def all_formats() -> list[Format]:
    """Return every format, in the order of `FORMATS`."""
    return [get_format(name) for name in FORMATS]


def load(spec: str | Path) -> Trace:
    """Read a trace from `FORMAT:LOCATION[?key=value&key=value]` or from a bare path.

    Every format takes `from=` and `to=` (dates, or seconds from the origin), `limit=` and, where it samples, `seed=`.
    With `from=` the given moment becomes second 0.

    Raises
    ------
    InputError: the spec, the file or a value in it is wrong; one line that says where.

    Examples
    --------
    >>> trace = load("synthetic:philly?jobs=100&seed=1")
    >>> len(trace.workload)
    100
    """
    text = str(spec)
    path_text, _, query = text.partition("?")
    name, colon, location = path_text.partition(":")
    if not colon or (name not in FORMATS and Path(path_text).exists()):
        location = path_text
        name = recognise(Path(location)).name
    fmt = get_format(name)
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=False)
    if query and len(pairs) != len([p for p in query.split("&") if p]):
        raise InputError(f"found ?{query}, expected ?key=value&key=value")
    options = Options(dict(pairs), name)
    trace = fmt.read(Path(location), options)
    first, last = options.moment("from"), options.moment("to")
    limit = options.integer("limit", minimum=0)
    options.finish()
    workload = _window(trace.workload, first, last, limit, name)
    if len(workload) != len(trace.workload):
        out = len(trace.workload) - len(workload)
        trace.report.notes.append(f"from, to and limit leave {len(workload):,} jobs ({out:,} outside)")
    return Trace(workload, trace.cluster, trace.signals, trace.report, text)


def _window(
    workload: Workload,
    first: datetime | float | None,
    last: datetime | float | None,
    limit: int | None,
    name: str,
) -> Workload:
    def seconds(moment: datetime | float | None) -> float | None:
        if not isinstance(moment, datetime):
            return moment
        if workload.origin is None:
            raise InputError(f"{name}: this trace has no calendar; give from= and to= in seconds")
        return (moment - workload.origin).total_seconds()

    table, origin = workload.table, workload.origin
    low, high = seconds(first), seconds(last)
    if low is not None:
        table = table.filter(pl.col("submit_s") >= low)
    if high is not None:
        table = table.filter(pl.col("submit_s") < high)
    if low is not None:
        shift = [pl.col("submit_s") - low]
        if "deadline_s" in table.columns:
            shift.append(pl.col("deadline_s") - low)
        table = table.with_columns(shift)
        origin = origin + timedelta(seconds=low) if origin is not None else None
    if limit is not None:
        table = table.head(limit)
    return Workload(table, origin, workload.name)


def recognise(path: Path) -> Format:
    """Return the one format whose columns, ending or file names fit `path`.

    Raises
    ------
    InputError: nothing is there, no format fits, or several do; the message shows how to choose.
    """
    if not path.exists():
        raise InputError("no such file or folder", file=path)
    fitting = [fmt for fmt in all_formats() if _fits(fmt, path)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise InputError(
            f"no known format fits; name it, as in philly:{path} (known: {', '.join(FORMATS)})", file=path
        )
    names = " or ".join(fmt.name for fmt in fitting)
    raise InputError(f"it can be {names}; name it, as in {fitting[0].name}:{path}", file=path)


def _fits(fmt: Format, path: Path) -> bool:
    if path.is_dir():
        return any(any(path.glob(pattern)) for pattern in fmt.directory)
    if fmt.suffixes and not path.name.endswith(fmt.suffixes):
        return False
    if path.name.endswith(".parquet"):
        return ".parquet" in fmt.suffixes
    if not fmt.headers and fmt.sniff is None:
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = [file.readline(20_000).rstrip("\n") for _ in range(8)]
    except OSError:
        return False
    if fmt.sniff is not None and fmt.sniff(lines):
        return True
    separators = (",", "\t", "|")
    header = [{cell.strip().strip('"') for cell in lines[0].split(sep)} for sep in separators]
    return any(needed <= cells for needed in fmt.headers for cells in header)
