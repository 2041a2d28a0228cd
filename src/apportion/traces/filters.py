"""Leaving rows out, each time with a reason that the quality report counts."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.errors import InputError, did_you_mean
from apportion.model.trace import QualityReport
from apportion.traces.columns import shortened


def without(frame: pl.DataFrame, out: pl.Expr, reason: str, report: QualityReport) -> pl.DataFrame:
    """Return the rows for which `out` is not true, and count the others under `reason`."""
    left = frame.filter(~out.fill_null(False))
    report.drop(reason, frame.height - left.height)
    return left


def of_partition(frame: pl.DataFrame, partition: str, path: Path, report: QualityReport) -> pl.DataFrame:
    """Return the jobs of one partition of a cluster.

    Raises
    ------
    InputError: the log names no partitions, or none of that name.
    """
    if "partition" not in frame.columns:
        raise InputError(f"found no column with partitions, which partition={partition} needs", file=path)
    known = frame["partition"].drop_nulls().unique().sort().to_list()
    if partition not in known:
        raise InputError(
            f"found no partition {partition!r}{did_you_mean(partition, known)} "
            f"(there are {shortened(', '.join(known))})",
            file=path,
        )
    return without(frame, pl.col("partition") != partition, f"not in the partition {partition}", report)
