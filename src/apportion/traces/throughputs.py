"""Measured steps per second by GPU model, job type and width: the JSON tables of Gavel and Shockwave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from apportion.model.errors import InputError, did_you_mean
from apportion.model.profiles import ALONE, PAIRS, Profiles
from apportion.traces.columns import shortened

_KEY = re.compile(r"\(\s*(['\"])(.+)\1\s*,\s*(\d{1,9})\s*\)")
_SHAPE = """{"v100": {"('ResNet-18 (batch size 16)', 1)": {"null": steps per second}}}"""


def read_throughputs(path: Path) -> pl.DataFrame:
    """Read the throughput of every job type running alone.

    Returns
    -------
    A row for each GPU model, job type and width: `gpu str, job_type str, scale_factor i32, steps_per_s f64`.
    0 means that it does not run there (it needs more memory).

    Raises
    ------
    InputError: no such file, not JSON, or not of that shape.
    """
    return read_profiles(path).alone


def read_profiles(path: Path) -> Profiles:
    """Read the throughput of every job type, alone and beside another one on the same devices.

    Raises
    ------
    InputError: no such file, not JSON, or not of that shape.
    """
    document = _load(path)
    if not isinstance(document, dict) or not document:
        raise InputError(f"expected throughputs such as {_SHAPE}", file=path)
    rows: list[tuple[str, str, int, float]] = []
    pairs: list[tuple[str, str, str, int, float, float]] = []
    for gpu, table in document.items():
        if not isinstance(table, dict):
            raise InputError(f"found no table for {shortened(gpu, 40)!r}, expected {_SHAPE}", file=path)
        for key, entry in table.items():
            match = _KEY.fullmatch(key)
            alone = entry.get("null") if isinstance(entry, dict) else None
            if match is None or not _is_speed(alone):
                raise InputError(
                    f"found {shortened(gpu, 40)!r}, {shortened(key, 60)!r} without a throughput, expected {_SHAPE}",
                    file=path,
                )
            job_type, width = match[2], int(match[3])
            rows.append((gpu, job_type, width, float(alone)))  # type: ignore[arg-type]
            pairs += [(gpu, job_type, *pair) for pair in _pairs(entry, width, gpu, key, path)]
    return Profiles(
        pl.DataFrame(rows, schema=ALONE, orient="row").unique(
            ["gpu", "job_type", "scale_factor"], keep="last", maintain_order=True
        ),
        pl.DataFrame(pairs, schema=PAIRS, orient="row").unique(
            ["gpu", "job_type", "other", "scale_factor"], keep="last", maintain_order=True
        ),
    )


def _pairs(
    entry: dict[str, Any], width: int, gpu: str, key: str, path: Path
) -> Iterator[tuple[str, int, float, float]]:
    """Yield (other job type, width, own steps per second, the other's) of the pairs of equal width."""
    for name, speeds in entry.items():
        if name == "null":
            continue
        match = _KEY.fullmatch(name)
        numbers = isinstance(speeds, list) and len(speeds) == 2
        if match is None or not numbers or not all(_is_speed(value) for value in speeds):
            raise InputError(
                f"found {shortened(gpu, 40)!r}, {shortened(key, 60)!r} beside {shortened(name, 60)!r} without two "
                "throughputs, expected [own steps per second, the other's]",
                file=path,
            )
        if int(match[3]) == width:
            yield match[2], width, float(speeds[0]), float(speeds[1])


def _is_speed(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


def of_gpu(throughputs: pl.DataFrame, gpu: str, path: Path) -> pl.DataFrame:
    """Return the rows of one GPU model without its column; `path` is where they were read.

    Raises
    ------
    InputError: the table has no such GPU model; the message names those it has.
    """
    known = throughputs["gpu"].unique(maintain_order=True).to_list()
    if gpu not in known:
        raise InputError(f"found gpu={gpu}, expected one of {', '.join(known)}{did_you_mean(gpu, known)}", file=path)
    return throughputs.filter(pl.col("gpu") == gpu).drop("gpu")


def table_beside(trace: Path, given: str) -> Path:
    """Return the path of a table named in a trace spec: as written, or else beside the trace."""
    path = Path(given)
    return path if path.exists() or path.is_absolute() else trace.parent / path


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror or error}", file=path) from None
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg} (position {error.colno})", file=path, row=error.lineno) from None
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise InputError("not JSON", file=path) from None
