"""Inputs on which the simulator published with Alibaba PAI was run: P1K, P10K and P65K, made from Philly.

They are derived, byte for byte, from the job-level Philly file. The published simulator's results on them
are golden values for the engine; a derived file that differs in a byte would make that comparison
worthless, so its MD5 is known.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

START = datetime(2017, 10, 9)
"""Second 0; earlier submissions are left out."""

CORES_PER_GPU = 6


@dataclass(frozen=True)
class Derived:
    """One derived input: the first `rows` jobs (None = all), run times cut at `longest_s`, the CSV's MD5."""

    name: str
    rows: int | None
    longest_s: int | None
    md5: str
    mean_duration_s: float | None


P1K = Derived("P1K", 1_000, None, "3cf8adf1562e4ebdf24e9c259e2630db", 3163.4)
P10K = Derived("P10K", 10_000, 21_600, "857a972a2933be54520b0beb24301589", 3673.43)
P65K = Derived("P65K", None, None, "6bfdaf4be9e8b85762722a974f4b5a91", None)


def derive(philly: Path, which: Derived) -> pl.DataFrame:
    """Return the job list `which`, with the columns that the published simulator reads.

    Rows are sorted by timestamp (ties keep the file's order). The estimates are mean run times of strictly
    earlier rows with the same key, from `START` on and never cut: the virtual cluster for `user_dur`, with
    the GPUs for `user_gpu_dur` and `group_dur`, with the hour of the day as well for `group_gpu_dur`; 0
    without an earlier row.

    Parameters
    ----------
    philly: the CSV `timestamp,duration,num_gpus,gpu_time,cluster`.
    """
    moment = pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S")
    jobs = (
        pl.read_csv(philly)
        .filter(pl.col("timestamp").is_not_null())
        .with_columns(moment=moment, duration=pl.col("duration").cast(pl.Int64))
        .sort("moment", maintain_order=True)
        .filter(pl.col("moment") >= START)
        .with_columns(hour=pl.col("moment").dt.hour())
    )
    listed = jobs.select(
        job_id=pl.int_range(pl.len()),
        user="cluster",
        num_gpu="num_gpus",
        num_cpu=CORES_PER_GPU * pl.col("num_gpus"),
        num_inst=pl.lit(1),
        gpu_type=pl.lit("MISC"),
        submit_time=(pl.col("moment") - START).dt.total_seconds(),
        duration="duration",
        wait_time=pl.lit(0),
        user_dur=_mean_of_earlier("cluster"),
        user_gpu_dur=_mean_of_earlier("cluster", "num_gpus"),
        group_dur=_mean_of_earlier("cluster", "num_gpus"),
        group_gpu_dur=_mean_of_earlier("cluster", "num_gpus", "hour"),
    )
    listed = listed if which.rows is None else listed.head(which.rows)
    return listed.with_columns(pl.col("duration").clip(upper_bound=which.longest_s))


def _mean_of_earlier(*key: str) -> pl.Expr:
    """Return the mean `duration` of the rows above with the same key, to 2 decimals."""
    earlier = pl.int_range(pl.len()).over(*key)
    total = (pl.col("duration").cum_sum() - pl.col("duration")).over(*key)
    return pl.when(earlier > 0).then(total / earlier).otherwise(0.0).round(2)


def write(philly: Path, which: Derived, folder: Path) -> Path:
    """Write the job list `which` as CSV into `folder` (newline ends, `0.0` for no estimate); return its path.

    Raises
    ------
    ValueError: the bytes are not those on which the published simulator was run.
    """
    text = derive(philly, which).write_csv()
    found = hashlib.md5(text.encode()).hexdigest()
    if found != which.md5:
        raise ValueError(f"{which.name}: found MD5 {found}, expected {which.md5}")
    path = folder / f"{which.name}.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path
