"""How regular the load is: how much of its movement repeats every day, and how far day and night are apart."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model.words import percent
from apportion.study.characterize.figures import known
from apportion.study.characterize.running import BIN_S, DAY_S, F8, assumed, clock, edges, per_bin, starts
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import says, take

PER_DAY = int(DAY_S / BIN_S)
LEAST_DAYS = 3
DAY_HOURS = (8, 20)
"""Day lasts from the first hour to the second, the rest is night."""
REGULAR = 0.95
"""Seasonality above which a load counts as regular (SoCC 2022)."""
MOST_GROUPS = 20
PAPER = "Zhang et al., Workload Consolidation in Alibaba Clusters, SoCC'22"

KEY, TITLE = "seasonality", "How regular the load is"


def look(subject: Subject) -> Section:
    """Take the busy GPUs apart into trend, what repeats daily, and the rest; all jobs and the largest groups.

    Seasonality is 1 - Var(E) / Var(E + S), with S the mean course of a day and E what is left, after the trend (the
    mean over a day around each moment) is taken off. Diurnal inequality is the median over days of the largest load by
    day less the smallest by night, as a share of the cluster, or of the peak where no cluster is known; without a
    calendar it is the largest less the smallest of each day.
    """
    at = edges(subject)
    if at.size - 1 < LEAST_DAYS * PER_DAY:
        return Section(KEY, TITLE, skipped=f"the trace is shorter than {LEAST_DAYS} days")
    start, end = starts(subject.jobs)
    demand = subject.jobs["gpu_demand"].to_numpy()
    load = per_bin(start, end, demand, at)
    hour = clock(subject, at[:-1])
    peak = float(load.max())
    if peak <= 0:
        return Section(KEY, TITLE, skipped="no job asks for a GPU")
    whole = float(subject.cluster.gpus) if subject.cluster is not None and subject.cluster.gpus else peak
    numbers = {
        "seasonality": seasonality(load),
        "diurnal_inequality": inequality(load, hour) / whole,
        "mean_busy_gpus": float(load.mean()),
        "peak_busy_gpus": peak,
    }
    tables = {"day": course(load, hour)}
    groups = _groups(subject, start, end, demand, at, hour)
    if groups.height > 1:
        tables["groups"] = groups
        numbers["regular_groups_share"] = float((groups["seasonality"] > REGULAR).sum()) / groups.height
    found = known(numbers)
    named = "the cluster" if whole != peak else "its peak"
    of_groups = _of_groups(groups)
    said = (*_sentences(found, named), *assumed(subject.jobs), *of_groups)
    return Section(KEY, TITLE, found, tables, said, beside={"groups": of_groups} if of_groups else {})


def decompose(values: F8, per_day: int = PER_DAY) -> tuple[F8, F8, F8]:
    """Return trend, season and rest, which add up to `values`; the trend is the mean over a day around each bin."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    half = per_day // 2
    low = np.maximum(np.arange(values.size) - half, 0)
    high = np.minimum(low + per_day, values.size)
    low = np.maximum(high - per_day, 0)
    trend = (sums[high] - sums[low]) / (high - low)
    left = values - trend
    place = np.arange(values.size) % per_day
    mean = np.bincount(place, left, per_day) / np.maximum(np.bincount(place, minlength=per_day), 1)
    season = (mean - mean.mean())[place]
    return trend, season, left - season


def seasonality(values: F8, per_day: int = PER_DAY) -> float:
    """Return 1 - Var(E) / Var(E + S), 0 to 1; not a number where nothing moves."""
    _, season, rest = decompose(values, per_day)
    moving = float((season + rest).var())
    return max(0.0, 1.0 - float(rest.var()) / moving) if moving > 1e-12 * max(float(values.var()), 1e-300) else np.nan


def inequality(values: F8, hour: F8 | None, per_day: int = PER_DAY) -> float:
    """Return the median over whole days of the largest by day less the smallest by night, in the unit of `values`."""
    days = values.size // per_day
    if days == 0:
        return np.nan
    by_day = values[: days * per_day].reshape(days, per_day)
    if hour is None:
        return float(np.median(by_day.max(axis=1) - by_day.min(axis=1)))
    hours = hour[: days * per_day].reshape(days, per_day)
    light = (hours >= DAY_HOURS[0]) & (hours < DAY_HOURS[1])
    top = np.where(light, by_day, -np.inf).max(axis=1)
    return float(np.median(top - np.where(light, np.inf, by_day).min(axis=1)))


def course(values: F8, hour: F8 | None, per_day: int = PER_DAY) -> pl.DataFrame:
    """Return `hour, mean`: the mean load of each hour of the day (counted from second 0 without a calendar)."""
    hours = np.arange(values.size) * (24 / per_day) % 24 if hour is None else hour
    frame = pl.DataFrame({"hour": np.floor(hours + 1e-9).astype(np.int64) % 24, "mean": values})
    return frame.group_by("hour").mean().sort("hour")


def _groups(subject: Subject, start: F8, end: F8, demand: F8, at: F8, hour: F8 | None) -> pl.DataFrame:
    """Return `group, mean_gpus, seasonality, inequality` of the groups with the most GPU time."""
    if not says(subject.jobs, "group"):
        return pl.DataFrame()
    named = take(subject.jobs, "group", "gpu_s").with_row_index("row")
    largest = named.group_by("group").agg("row", pl.col("gpu_s").sum()).sort("gpu_s", "group", descending=[True, False])
    rows = []
    for group, mine, _ in largest.head(MOST_GROUPS).iter_rows():
        load = per_bin(start[mine], end[mine], demand[mine], at)
        if load.max() > 0:
            rows.append((group, float(load.mean()), seasonality(load), inequality(load, hour) / float(load.max())))
    schema = {"group": pl.String, "mean_gpus": pl.Float64, "seasonality": pl.Float64, "inequality": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _sentences(numbers: dict[str, float], named: str) -> list[str]:
    out = []
    if "seasonality" in numbers:
        share = numbers["seasonality"]
        told = (
            "tomorrow can be planned from today"
            if share > REGULAR
            else "a forecast by the clock helps"
            if share > 0.5
            else "a forecast by the clock alone tells little"
        )
        out.append(f"{percent(share)} of the movement of the load within days comes again every day: {told}.")
    if "diurnal_inequality" in numbers:
        gap = numbers["diurnal_inequality"]
        if gap >= 0 and numbers.get("seasonality", 0.0) <= 0.5:
            out.append(
                f"On the median day the load by day rises {percent(gap)} of {named} above its lowest by night, but "
                "when it does differs from day to day."
            )
        elif gap >= 0:
            out.append(
                f"Between the busiest time by day and the quietest by night lie {percent(gap)} of {named}: that much "
                "could go to work that can wait for the night, or be switched off."
            )
        else:
            out.append(f"Nights are busier than days, by {percent(-gap)} of {named}.")
    return out


def _of_groups(groups: pl.DataFrame) -> tuple[str, ...]:
    if groups.height < 2:
        return ()
    apart = float(np.median(groups["inequality"].to_numpy()))
    regular = int((groups["seasonality"] > REGULAR).sum())
    return (
        f"The {groups.height} largest groups swing by {percent(apart)} of their own peak between day and night in the "
        f"median; {regular or 'none'} of them {'is' if regular == 1 else 'are'} regular enough to plan by the clock.",
    )


ANALYSES = (Analysis(KEY, TITLE, ("duration_s",), look, PAPER),)
