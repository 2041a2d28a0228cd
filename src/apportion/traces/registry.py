"""Find the reader of a trace spec: by its format's name, or by the columns of a bare path."""

from __future__ import annotations

import importlib
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import parse_qsl, quote

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
    "venus-counts": "venus_counts",
    "philly-nodes": "philly_nodes",
    "earth-minutes": "earth_minutes",
    "acme": "acme",
    "dlrm2025": "dlrm2025",
    "spot2026": "spot2026",
    "gaia": "gaia",
    "chronus": "chronus",
    "tiresias": "tiresias",
    "muri": "muri",
    "gavel": "gavel",
    "gavel-jobs": "gavel_jobs",
    "shockwave": "shockwave",
    "slurm": "slurm",
    "supercloud": "supercloud",
    "swf": "swf",
    "native": "native",
    "synthetic": "synthetic",
}
"""Format name -> module of this package; the module's `FORMAT` is imported when it is needed."""

SEPARATORS = (",", "\t", "|")
HEAD_LINES, HEAD_CHARACTERS = 8, 20_000
"""How much of a file is looked at to recognise it."""


def get_format(name: str) -> Format:
    """Return the format called `name`.

    Raises
    ------
    InputError: there is none; the message suggests the nearest.
    """
    if name not in FORMATS:
        raise InputError(f"unknown trace format {name!r}{did_you_mean(name, FORMATS)} (known: {', '.join(FORMATS)})")
    found: Format = importlib.import_module(f"apportion.traces.{FORMATS[name]}").FORMAT
    return found


def all_formats() -> list[Format]:
    """Return every format, in the order of `FORMATS`."""
    return [get_format(name) for name in FORMATS]


def load(spec: str | Path, timeless: bool = False) -> Trace:
    """Read a trace from `FORMAT:LOCATION[?key=value&key=value]` or from a bare path.

    Every format takes `from=` and `to=` (dates, or seconds from the origin), `limit=` and, where it samples,
    `seed=`.
    With `from=` the given moment becomes second 0. With `timeless` the format's options for uses where times play no
    part hold by default: what a schedule has no use for, such as tasks that never ran, is then kept.

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
    fmt, location, query = _parts(text)
    name = fmt.name
    given = _pairs(query)
    options = Options({**fmt.timeless, **given} if timeless else given, name)
    trace = _read(fmt, location, options)
    first, last = options.moment("from"), options.moment("to")
    limit = options.integer("limit", minimum=0)
    options.finish()
    low, high = _span(trace.workload.origin, first, last, name)
    workload = _window(trace.workload, low, high, limit, name)
    signals = {key: signal.between(low, high) for key, signal in trace.signals.items()}
    if len(workload) != len(trace.workload):
        out = len(trace.workload) - len(workload)
        trace.report.notes.append(f"from, to and limit leave {len(workload):,} jobs ({out:,} outside)")
    return Trace(workload, trace.cluster, signals, trace.report, text)


def expand(spec: str | Path) -> list[str]:
    """Return the specs that `spec` stands for: itself, or one for each variant of the format that it asks for.

    The option that names a format's variant may hold a list and shell patterns: `pods=default,gpu*`, `pods=*`. The
    order is that of the list; of those that fit a pattern, names without digits come first, numbers in their order.

    Raises
    ------
    InputError: no file in the folder fits a pattern, or the list has an empty place.

    Examples
    --------
    >>> expand("synthetic:philly?jobs=100")
    ['synthetic:philly?jobs=100']
    """
    text = str(spec)
    query = "" if Path(text).exists() else text.partition("?")[2]
    if not any("*" in value or "," in value for value in _pairs(query).values()):
        return [text]
    fmt, location, query = _parts(text)
    wanted = _pairs(query).get(fmt.variants, "")
    if "*" not in wanted and "," not in wanted:
        return [text]
    found: dict[str, None] = {}
    for part in wanted.split(","):
        if not part:
            raise InputError(f"{fmt.name}: found {fmt.variants}={wanted}, expected a name on each side of a comma")
        found |= dict.fromkeys(_variants(fmt, location, part) if "*" in part else [part])
    start = text.removesuffix(query)
    pairs = [pair.partition("=") for pair in query.split("&")]
    return [
        start + "&".join(f"{key}={quote(name) if key == fmt.variants else value}" for key, _, value in pairs)
        for name in found
    ]


def _variants(fmt: Format, folder: Path, pattern: str) -> list[str]:
    """Return the variants in `folder` that fit `pattern`."""
    if not folder.is_dir():
        raise InputError(f"{fmt.name}: found {fmt.variants}={pattern} beside what is no folder", file=folder)
    before, _, after = fmt.directory[0].partition("*")
    names = [path.name.removeprefix(before).removesuffix(after) for path in folder.glob(fmt.directory[0])]
    fitting = [name for name in names if fnmatchcase(name, pattern)]
    if not fitting:
        what = f"{fmt.name}: found {fmt.variants}={pattern}, but no {fmt.directory[0]} there fits it"
        raise InputError(what, file=folder)
    return sorted(fitting, key=_natural)


def _natural(name: str) -> tuple[bool, list[str | int]]:
    """Return a key that sorts `a`, `b2`, `b10`: names without digits first, numbers by their value."""
    pieces = re.split(r"(\d+)", name)  # text and digits in turn
    return len(pieces) > 1, [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]


def _parts(text: str) -> tuple[Format, Path, str]:
    """Return the format, the location and the query of a spec."""
    path_text, _, query = (text, "", "") if Path(text).exists() else text.partition("?")
    name, colon, location = path_text.partition(":")
    if not colon or (name not in FORMATS and Path(path_text).exists()):
        location = path_text
        name = recognise(Path(location)).name
    fmt = get_format(name)
    if not location:
        raise InputError(f"found no location after {name}:, expected for example {fmt.example}")
    return fmt, Path(location), query


def _pairs(query: str) -> dict[str, str]:
    if query and not all("=" in pair for pair in query.split("&")):
        raise InputError(f"found ?{query}, expected ?key=value&key=value")
    pairs = parse_qsl(query, keep_blank_values=True)
    keys = [key for key, _ in pairs]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise InputError(f"found {twice[0]}= twice in ?{query}, expected it once")
    return dict(pairs)


def _read(fmt: Format, location: Path, options: Options) -> Trace:
    """Call the reader; what a damaged file makes a library raise becomes one line for the user."""
    try:
        return fmt.read(location, options)
    except (OSError, UnicodeError, OverflowError, pl.exceptions.PolarsError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"cannot read as {fmt.name}: {lines[0]}", file=location) from error


def _span(
    origin: datetime | None, first: datetime | float | None, last: datetime | float | None, name: str
) -> tuple[float | None, float | None]:
    """Return from= and to= in seconds from the origin."""

    def seconds(moment: datetime | float | None) -> float | None:
        if isinstance(moment, datetime):
            if origin is None:
                raise InputError(f"{name}: this trace has no calendar; give from= and to= in seconds")
            return (moment - origin).total_seconds()
        if moment is not None and not math.isfinite(moment):
            raise InputError(f"{name}: found {moment} for from= or to=, expected a date or seconds")
        return moment

    low, high = seconds(first), seconds(last)
    if low is not None and high is not None and high < low:
        raise InputError(f"{name}: to= is before from=, expected it after")
    return low, high


def _window(workload: Workload, low: float | None, high: float | None, limit: int | None, name: str) -> Workload:
    """Return the jobs submitted in a span, which begins at second 0, and of these the first `limit`."""
    table, origin = workload.table, workload.origin
    if low is not None:
        table = table.filter(pl.col("submit_s") >= low)
    if high is not None:
        table = table.filter(pl.col("submit_s") < high)
    if low is not None:
        shift = [pl.col("submit_s") - low]
        if "deadline_s" in table.columns:
            shift.append(pl.col("deadline_s") - low)
        table = table.with_columns(shift)
        origin = _later(origin, low, name)
    if limit is not None:
        table = table.head(min(limit, table.height))
    return Workload(table, origin, workload.name, workload.profiles)


def _later(origin: datetime | None, seconds: float, name: str) -> datetime | None:
    if origin is None:
        return None
    try:
        return origin + timedelta(seconds=seconds)
    except OverflowError:
        raise InputError(f"{name}: found from={seconds:g}, which is beyond the calendar") from None


def recognise(path: Path) -> Format:
    """Return the one format whose columns, ending or file names fit `path`.

    A format whose columns include all those of another that fits is the more specific one and wins.

    Raises
    ------
    InputError: nothing is there, no format fits, or several do; the message shows how to choose.
    """
    if not path.exists():
        name = str(path)
        if name in FORMATS:
            raise InputError(f"found only a format's name, expected {name}:LOCATION")
        raise InputError("no such file or folder", file=path)
    head = None if path.is_dir() else _head(path)
    found = {fmt: columns for fmt in all_formats() if (columns := _fits(fmt, path, head)) is not None}
    wider = list(found.values())
    fitting = [fmt for fmt, columns in found.items() if not any(columns < other for other in wider)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise InputError(f"no known format fits; name it, as in philly:{path} (known: {', '.join(FORMATS)})", file=path)
    names = " or ".join(fmt.name for fmt in fitting)
    raise InputError(f"it can be {names}; name it, as in {fitting[0].name}:{path}", file=path)


@dataclass(frozen=True)
class _Head:
    """The first lines of a text file, and its header's cells by each separator."""

    lines: list[str]
    headers: list[frozenset[str]]


def _head(path: Path) -> _Head:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = [file.readline(HEAD_CHARACTERS).rstrip("\n") for _ in range(HEAD_LINES)]
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror or error}", file=path) from None
    first = lines[0].lstrip("\ufeff")
    headers = [frozenset(cell.strip().strip('"') for cell in first.split(sep)) for sep in SEPARATORS]
    return _Head(lines, headers)


def _fits(fmt: Format, path: Path, head: _Head | None) -> frozenset[str] | None:
    """Return the columns by which `path` is of the format (a mark where no columns decide), or None."""
    mark = frozenset({f"{fmt.name}:"})
    if head is None:
        return mark if any(any(path.glob(pattern)) for pattern in fmt.directory) else None
    if fmt.suffixes and not path.name.endswith(fmt.suffixes):
        return None
    if path.name.endswith(".parquet"):
        return mark if ".parquet" in fmt.suffixes else None
    fitting = [needed for needed in fmt.headers for cells in head.headers if needed <= cells]
    if fitting:
        return max(fitting, key=len)
    return mark if fmt.sniff is not None and fmt.sniff(head.lines) else None
