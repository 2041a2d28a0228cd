"""What several readers do to job tables: times to seconds, run times of at least a second, GPU shares."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from apportion.model.trace import QualityReport
from apportion.traces.lines import unique_ids

WHOLE_PERCENT = 100


def seconds_since(moments: pl.Series, origin: datetime) -> pl.Series:
    """Return f64 seconds from `origin`, nulls kept."""
    return (moments - origin).dt.total_microseconds().cast(pl.Float64) / 1e6


def earliest(moments: pl.Series) -> datetime | None:
    """Return the first calendar time of a column, or None when it has none."""
    first = moments.min()
    return first if isinstance(first, datetime) else None


def at_least_a_second(duration_s: pl.Series, report: QualityReport) -> pl.Series:
    """Return durations of at least 1 s: an accelerator was held, and a job of no length has no rate."""
    report.repair("run time below 1 s counted as 1 s", int((duration_s < 1).sum()))
    return duration_s.clip(lower_bound=1.0)


def distinct(job_id: pl.Series, report: QualityReport) -> pl.Series:
    """Return job names without repetition (`17`, `17#2`, ...)."""
    names, renamed = unique_ids(job_id)
    report.repair("a job name seen before got #2, #3, ... behind it", renamed)
    return names


def split_gpus(percent: pl.Series) -> tuple[pl.Series, pl.Series, int]:
    """Return devices, milli-GPU of each, and how many requests had to be spread unevenly.

    A request of up to 100 % is a share of one device, a multiple of 100 is whole devices; anything else
    (250 %) becomes equal shares of the fewest devices that can hold it, because all devices of a task are
    asked alike.

    Parameters
    ----------
    percent: whole percent of a GPU that one task asks for, at least 0.
    """
    gpus = (percent / WHOLE_PERCENT).ceil()
    milli = (percent * 10 / pl.select(pl.max_horizontal(gpus, 1.0)).to_series()).round()
    uneven = int(((percent > WHOLE_PERCENT) & (percent % WHOLE_PERCENT != 0)).sum())
    return gpus, milli, uneven
