"""Measured steps per second by GPU model, job type and width: the JSON tables of Gavel and Shockwave."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl

from apportion.model.errors import InputError, did_you_mean
from apportion.traces.columns import shortened

_KEY = re.compile(r"\(\s*(['\"])(.+)\1\s*,\s*(\d{1,9})\s*\)")
_SCHEMA = {"gpu": pl.String, "job_type": pl.String, "scale_factor": pl.Int32, "steps_per_s": pl.Float64}
_SHAPE = """{"v100": {"('ResNet-18 (batch size 16)', 1)": {"null": steps per second}}}"""


def read_throughputs(path: Path) -> pl.DataFrame:
    """Read the throughput of every job type running alone.

    Returns
    -------
    A row for each GPU model, job type and width: `gpu str, job_type str, scale_factor i32, steps_per_s f64`.
    0 means that it does not run there (it needs more memory). Throughputs of pairs that share a GPU are left
    aside.

    Raises
    ------
    InputError: no such file, not JSON, or not of that shape.
    """
    document = _load(path)
    if not isinstance(document, dict) or not document:
        raise InputError(f"expected throughputs such as {_SHAPE}", file=path)
    rows: list[tuple[str, str, int, float]] = []
    for gpu, table in document.items():
        if not isinstance(table, dict):
            raise InputError(f"found no table for {shortened(gpu, 40)!r}, expected {_SHAPE}", file=path)
        for key, entry in table.items():
            match = _KEY.fullmatch(key)
            alone = entry.get("null") if isinstance(entry, dict) else None
            known = isinstance(alone, int | float) and not isinstance(alone, bool) and 0 <= alone < 1e12
            if match is None or not known:
                raise InputError(
                    f"found {shortened(gpu, 40)!r}, {shortened(key, 60)!r} without a throughput, expected {_SHAPE}",
                    file=path,
                )
            rows.append((gpu, match[2], int(match[3]), float(alone)))  # type: ignore[arg-type]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").unique(
        ["gpu", "job_type", "scale_factor"], keep="last", maintain_order=True
    )


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
