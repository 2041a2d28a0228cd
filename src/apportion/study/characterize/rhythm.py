"""When jobs come: hours, weekdays, months, and how bursty the stream is."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.model import words
from apportion.study.characterize import figures
from apportion.study.characterize.section import Analysis, Section, Subject

DAY_S = 86_400.0
HOUR_S = 3_600.0
FEW_BINS = 20
"""A stream with fewer bins says nothing about their spread."""

MOST_BINS = 5_000_000
"""A stream with more bins than this is stretched beyond what its counts could tell."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def look(subject: Subject) -> Section:
    """Fold the submissions of all jobs by the clock; without a calendar, hours count from second 0 of the trace."""
    origin = subject.trace.workload.origin
    submit = subject.jobs["submit_s"].to_numpy()
    span = float(submit[-1] - submit[0])
    if span <= 0:
        return Section("rhythm", "When jobs come", skipped="all jobs are submitted at the same time")
    if span > MOST_BINS * 600:
        return Section(
            "rhythm", "When jobs come", skipped=f"{words.duration(span)} are too long to count in ten minutes"
        )
    midnight = _since_midnight(origin) if origin else 0.0
    numbers = {"span_s": span, "jobs_per_day": len(submit) / (span / DAY_S)} | _gaps(np.diff(submit))
    for name, width in (("10min", 600.0), ("1h", HOUR_S)):
        counts, _ = _counts(submit + midnight, width)
        if len(counts) >= FEW_BINS:
            numbers[f"dispersion_{name}"] = figures.dispersion(counts)
            numbers |= {f"jobs_in_{name}_{key}": v for key, v in _of_counts(counts).items()}
    hours = _hours(submit, subject.jobs["gpu_demand"].to_numpy(), midnight)
    tables = {"hours": _folded(hours, "hour", pl.col("clock") % 24, 24), "days": _days(hours, midnight, origin)}
    numbers |= {f"jobs_in_day_{key}": v for key, v in _of_counts(tables["days"]["jobs"].to_numpy()).items()}
    if origin is not None:
        tables["weekdays"] = _weekdays(hours, tables["days"])
        tables["months"] = _months(tables["days"])
    weights = tables["hours"]["weight"].to_numpy()
    lowest = float(weights.min())
    numbers |= {"busiest_hour": float(weights.argmax()), "quietest_hour": float(weights.argmin())}
    numbers["hour_peak_over_trough"] = float(weights.max()) / lowest if lowest > 0 else float("nan")
    numbers = figures.known(numbers)
    beside = {}
    if span >= 2 * DAY_S:
        beside["hours"] = (_of_hours(numbers, origin is not None),)
        if weekend := _of_weekdays(tables):
            beside["weekdays"] = (weekend,)
    said = (*_sentences(numbers), *(sentence for (sentence,) in beside.values()))
    return Section("rhythm", "When jobs come", numbers, tables, said, beside=beside)


def _since_midnight(moment: datetime) -> float:
    return moment.hour * 3600.0 + moment.minute * 60.0 + moment.second + moment.microsecond / 1e6


def _gaps(gaps: figures.F8) -> dict[str, float]:
    """Return what the times between submissions are like; a CV of 1 is that of independent arrivals."""
    p50, p90 = np.quantile(gaps, [0.5, 0.9])
    return {
        "gap_p50_s": float(p50),
        "gap_p90_s": float(p90),
        "gap_zero_share": float(np.mean(gaps == 0)),
        "gap_cv": float(gaps.std() / gaps.mean()),
    }


def _counts(clock: figures.F8, width: float, weights: figures.F8 | None = None) -> tuple[figures.F8, int]:
    """Return the jobs (or weights) in each bin of the clock, empty ones included, and the number of the first bin."""
    bins = np.floor(clock / width).astype(np.int64)
    first = int(bins[0])
    return np.bincount(bins - first, weights).astype(np.float64), first


def _of_counts(counts: npt.NDArray[np.float64]) -> dict[str, float]:
    levels = (0.25, 0.5, 0.75, 0.9, 0.99)
    found = {figures.name(q): float(v) for q, v in zip(levels, np.quantile(counts, levels))}
    return {"mean": float(counts.mean())} | found | {"max": float(counts.max())}


def _hours(submit: figures.F8, demand: figures.F8, midnight: float) -> pl.DataFrame:
    """Return jobs and GPUs asked for in each hour; `clock` counts hours from midnight of the day of second 0."""
    jobs, first = _counts(submit + midnight, HOUR_S)
    gpus, _ = _counts(submit + midnight, HOUR_S, demand)
    clock = first + np.arange(len(jobs))
    return pl.DataFrame({"clock": clock, "jobs": jobs.astype(np.int64), "gpus": gpus})


def _folded(hours: pl.DataFrame, name: str, place: pl.Expr, places: int) -> pl.DataFrame:
    """Return jobs and relative weights (mean 1) of each place of a cycle."""
    found = hours.group_by(place.cast(pl.Int64).alias(name)).agg(pl.col("jobs").sum(), pl.col("gpus").sum())
    table = pl.DataFrame({name: pl.int_range(places, eager=True)}).join(
        found, on=name, how="left", maintain_order="left"
    )
    gpus = pl.col("gpus").fill_null(0.0)
    return table.with_columns(pl.col("jobs").fill_null(0)).select(
        name,
        "jobs",
        weight=pl.col("jobs") / pl.col("jobs").mean(),
        gpu_weight=pl.when(gpus.sum() > 0).then(gpus / gpus.mean()),
    )


def _days(hours: pl.DataFrame, midnight: float, origin: datetime | None) -> pl.DataFrame:
    """Return jobs and GPUs asked for on each day, days without any included."""
    day = (pl.col("clock") // 24).alias("day")
    table = hours.group_by(day, maintain_order=True).agg(pl.col("jobs").sum(), pl.col("gpus").sum())
    table = table.select((pl.col("day") * DAY_S - midnight).alias("time_s"), "jobs", "gpus")
    if origin is None:
        return table
    moment = pl.lit(origin) + pl.duration(microseconds=(pl.col("time_s") * 1e6).round().cast(pl.Int64))
    return table.with_columns(moment.dt.date().alias("date"))


def _weekdays(hours: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Return the weekdays; `per_day_weight` knows that a trace of nine days has two Mondays."""
    of_day = days.with_row_index("day").select("day", (pl.col("date").dt.weekday() - 1).cast(pl.Int64).alias("weekday"))
    index = ((pl.col("clock") // 24) - (pl.col("clock").first() // 24)).cast(pl.UInt32).alias("day")
    table = _folded(hours.with_columns(index).join(of_day, on="day", how="left"), "weekday", pl.col("weekday"), 7)
    table = table.join(
        of_day.group_by("weekday").agg(pl.len().alias("days")), on="weekday", how="left", maintain_order="left"
    )
    per_day = pl.col("jobs") / pl.col("days")
    return table.with_columns(name=pl.Series(WEEKDAYS), per_day_weight=per_day / per_day.mean())


def _months(days: pl.DataFrame) -> pl.DataFrame:
    month = pl.col("date").dt.strftime("%Y-%m").alias("month")
    return days.group_by(month, maintain_order=True).agg(
        pl.len().alias("days"), pl.col("jobs").sum(), pl.col("gpus").sum()
    )


def _sentences(n: dict[str, float]) -> list[str]:
    out = [f"{words.amount(n['jobs_per_day'])} jobs come a day."]
    if "dispersion_10min" in n:
        times = n["dispersion_10min"]
        means = "jobs come almost independently of each other"
        if times >= 2:
            means = "jobs come in bursts, and after one even a cluster that is large enough on average has a queue"
        elif times < 0.5:
            means = "jobs come more evenly than by chance, as from a clock"
        out = [
            f"Counts in ten minutes vary {words.amount(times)} times as much as independent arrivals would ("
            f"{words.amount(n['jobs_in_10min_mean'])} jobs on average, at most {words.count(n['jobs_in_10min_max'])}): "
            f"{means}."
        ]
    if n["span_s"] >= 2 * DAY_S:
        half = n["jobs_in_day_p50"]
        most = f"at most {words.plural(half, 'job')}" if half > 0 else "no job"
        out.append(f"Half of the days bring {most}, the busiest {words.count(n['jobs_in_day_max'])}.")
    return out


def _of_hours(n: dict[str, float], calendar: bool) -> str:
    clock = "" if calendar else " (hours count from second 0 of the trace, which has no calendar)"
    busiest, quietest = f"{n['busiest_hour']:.0f} h", f"{n['quietest_hour']:.0f} h"
    if "hour_peak_over_trough" in n:
        return (
            f"Most jobs come in the hour from {busiest}, {words.amount(n['hour_peak_over_trough'])} times as many as "
            f"in the quietest, from {quietest}{clock}."
        )
    return f"Most jobs come in the hour from {busiest}, none in the hour from {quietest}{clock}."


def _of_weekdays(tables: dict[str, pl.DataFrame]) -> str:
    if "weekdays" not in tables or tables["weekdays"]["days"].null_count():
        return ""
    weight = tables["weekdays"]["per_day_weight"].to_numpy()
    weekend, week = float(weight[5:].mean()), float(weight[:5].mean())
    if week <= 0:
        return ""
    return f"A day of the weekend brings {words.percent(weekend / week)} of the jobs of a working day."


ANALYSES = (Analysis("rhythm", "When jobs come", ("submit_s",), look, "Hu SC'21, Weng NSDI'22"),)
