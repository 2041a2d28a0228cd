"""Traces that are series, not lists of jobs: arrivals counted, nodes or GPUs in use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from apportion.model.signal import Signal
from apportion.model.words import percent
from apportion.study.characterize.figures import dispersion, known
from apportion.study.characterize.running import DAY_S, F8, HOUR_S, clock
from apportion.study.characterize.seasonality import course, inequality, seasonality
from apportion.study.characterize.section import Analysis, Section, Subject

LEAST_DAYS = 3
SOURCE = "Hu et al., Characterization and Prediction of Deep Learning Workloads, SC'21"
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def arrivals(subject: Subject) -> Section:
    """Look at counted submissions: by hour, weekday and month, and in bursts.

    Weights by hour and weekday have the mean 1. Dispersion is variance over mean of the counts: 1 for arrivals that
    know nothing of each other.
    """
    key, title = "arrivals_series", "When jobs arrive (counts)"
    jobs = _values(subject, "submitted_jobs")
    signal = subject.trace.signals["submitted_jobs"]
    assert isinstance(signal, Signal)
    step = _step(signal)
    hours = jobs.size * step / HOUR_S
    hourly = _sums(jobs, max(round(HOUR_S / step), 1))
    numbers = {
        "jobs": jobs.sum(),
        "jobs_per_hour": jobs.sum() / hours,
        "mean_count": jobs.mean(),
        "p90_count": np.quantile(jobs, 0.9),
        "p99_count": np.quantile(jobs, 0.99),
        "max_count": jobs.max(),
        "dispersion": dispersion(jobs),
        "hourly_dispersion": dispersion(hourly),
        "bin_s": step,
    }
    tables = {}
    frame = pl.DataFrame({"at": _calendar(subject, signal), "jobs": jobs})
    if "submitted_gpus" in subject.trace.signals:
        frame = frame.with_columns(gpus=pl.Series(_values(subject, "submitted_gpus")))
        numbers["gpus"] = frame["gpus"].sum()
        numbers["gpus_per_job"] = frame["gpus"].sum() / max(jobs.sum(), 1)
    counted: Sequence[str] = [name for name in ("jobs", "gpus") if name in frame.columns]
    at = pl.col("at")
    tables["hour"] = _weights(frame, at.dt.hour().alias("hour"), counted)
    tables["weekday"] = _weights(frame, (at.dt.weekday() - 1).alias("weekday"), counted)
    tables["month"] = (
        frame.group_by(month=at.dt.strftime("%Y-%m")).agg(pl.col(name).sum() for name in counted).sort("month")
    )
    top, bottom = (tables["hour"].sort("jobs", descending=down).row(0) for down in (True, False))
    sentences = [
        f"{numbers['jobs']:,.0f} jobs in {hours / 24:,.0f} days, {numbers['jobs_per_hour']:.1f} an hour; most come at "
        f"{top[0]}:00 ({top[1]:.1f} times the mean), fewest at {bottom[0]}:00 ({bottom[1]:.1f} times).",
        f"Counts vary {numbers['dispersion']:.0f} times as much as chance would have it: jobs come in bursts, up to "
        f"{numbers['max_count']:,.0f} in {step / 60:.0f} min against {numbers['mean_count']:.1f} on average."
        if numbers["dispersion"] > 2
        else "Jobs come about as evenly as chance would have it.",
    ]
    days = tables["weekday"]
    if days.height == 7:
        rest = float(days.filter(pl.col("weekday") >= 5)["jobs"].to_numpy().mean())
        busiest = WEEKDAYS[int(days.sort("jobs", descending=True)["weekday"][0])]
        sentences.append(f"The busiest weekday is {busiest}; weekends bring {percent(rest)} of the mean day.")
    beside = {"hour": (sentences[0],)} | ({"weekday": (sentences[2],)} if days.height == 7 else {})
    return Section(key, title, known(numbers), tables, tuple(sentences), beside=beside)


def nodes(subject: Subject) -> Section:
    """Look at active nodes: how many of all, how far day and night are apart, how regular."""
    return _in_use(subject, "active_nodes", "total_nodes", "nodes_series", "Nodes in use", "nodes")


def gpus(subject: Subject) -> Section:
    """Look at busy GPUs: how many of all, by virtual cluster, and what waits beside idle ones."""
    section = _in_use(subject, "busy_gpus", "total_gpus", "gpus_series", "GPUs in use", "GPUs")
    groups = _groups(subject)
    if groups.height < 2:
        return section
    numbers, sentences = dict(section.numbers), list(section.sentences)
    busy, total, waiting = (_values(subject, name) for name in ("busy_gpus", "total_gpus", "waiting_gpus"))
    idle = np.maximum(total - busy, 0)
    some = waiting > 0
    numbers |= {
        "waiting_time_share": float(some.mean()),
        "idle_while_waiting_gpus": float(idle[some].mean()) if some.any() else 0.0,
        "waiting_gpus_mean": float(waiting.mean()),
    }
    first, last = groups.row(0, named=True), groups.row(-1, named=True)
    sentences.append(
        f"Virtual clusters differ: {first['group']} uses {percent(first['in_use'])} of its GPUs, {last['group']} "
        f"{percent(last['in_use'])}."
    )
    if some.any():
        sentences.append(
            f"In {percent(numbers['waiting_time_share'])} of the time something waits, and meanwhile "
            f"{numbers['idle_while_waiting_gpus']:,.0f} GPUs are idle on average: in other virtual clusters, or "
            "scattered."
        )
    tables = {**section.tables, "groups": groups}
    beside = {"groups": tuple(sentences[len(section.sentences) :])}
    return Section(section.key, section.title, known(numbers), tables, tuple(sentences), beside=beside)


def _in_use(subject: Subject, used: str, all_: str, key: str, title: str, what: str) -> Section:
    signal = subject.trace.signals[used]
    assert isinstance(signal, Signal)
    active = _values(subject, used)
    total = _values(subject, all_) if all_ in subject.trace.signals else np.full(active.size, active.max())
    whole = float(total.mean())
    step = _step(signal)
    hour = clock(subject, signal.times_s)
    numbers = {
        f"mean_{used}": active.mean(),
        f"max_{used}": active.max(),
        f"mean_{all_}": whole,
        "in_use_share": active.sum() / total.sum() if total.sum() else np.nan,
        f"smallest_{all_}": total.min(),
        f"largest_{all_}": total.max(),
    }
    per_day = round(DAY_S / step)
    tables = {}
    sentences = [
        f"{active.mean():,.0f} of {whole:,.0f} {what} are in use on average, {percent(numbers['in_use_share'])}; "
        f"{whole - active.mean():,.0f} are idle."
    ]
    if active.size >= LEAST_DAYS * per_day:
        tables["day"] = course(active, hour, per_day)
        swing = float(np.ptp(tables["day"]["mean"].to_numpy())) / whole
        numbers["diurnal_swing"] = swing
        numbers["diurnal_inequality"] = inequality(active, hour, per_day) / whole
        numbers["seasonality"] = seasonality(active, per_day)
        sentences.append(
            f"Between the busiest and the quietest hour of the mean day lie {100 * swing:.1f} points: "
            + (
                "night and day hardly differ, so idle ones are idle at all hours."
                if swing < 0.1
                else "nights have room for work that can wait."
            )
        )
    return Section(key, title, known(numbers), tables, tuple(sentences))


def _groups(subject: Subject) -> pl.DataFrame:
    """Return `group, total_gpus, in_use, p25, p50, p75, waiting_gpus` of each virtual cluster, busiest first."""
    rows = []
    for name in subject.trace.signals:
        kind, _, group = name.partition("/")
        if kind != "busy_gpus" or not group:
            continue
        busy, total = _values(subject, name), _values(subject, f"total_gpus/{group}")
        used = busy[total > 0] / total[total > 0]
        if used.size:
            waiting = _values(subject, f"waiting_gpus/{group}").mean()
            rows.append((group, total.mean(), used.mean(), *np.quantile(used, (0.25, 0.5, 0.75)), waiting))
    names = ["group", "total_gpus", "in_use", "p25", "p50", "p75", "waiting_gpus"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return frame.sort("in_use", "group", descending=[True, False]) if rows else frame


def _values(subject: Subject, name: str) -> F8:
    signal = subject.trace.signals[name]
    assert isinstance(signal, Signal)
    return signal.values


def _step(signal: Signal) -> float:
    """Return the usual step of a series in seconds."""
    return float(np.median(np.diff(signal.times_s))) if signal.times_s.size > 1 else HOUR_S


def _sums(values: F8, together: int) -> F8:
    whole = values.size // together
    return np.asarray(values[: whole * together].reshape(whole, together).sum(axis=1))


def _calendar(subject: Subject, signal: Signal) -> pl.Series:
    origin = subject.trace.workload.origin
    assert origin is not None  # every reader of series gives one
    passed = pl.Series((signal.times_s * 1e6).astype(np.int64)).cast(pl.Duration("us"))
    return pl.select(pl.lit(origin) + pl.lit(passed)).to_series()


def _weights(frame: pl.DataFrame, key: pl.Expr, counted: Sequence[str]) -> pl.DataFrame:
    """Return counts by the key as multiples of their mean: the mean day or hour has 1."""
    means = frame.group_by(key).agg(pl.col(name).mean() for name in counted).sort(pl.col(key.meta.output_name()))
    return means.with_columns(pl.col(name) / pl.col(name).mean() for name in counted)


ANALYSES = (
    Analysis("arrivals_series", "When jobs arrive (counts)", ("signal:submitted_jobs",), arrivals, SOURCE),
    Analysis("nodes_series", "Nodes in use", ("signal:active_nodes",), nodes, SOURCE),
    Analysis("gpus_series", "GPUs in use", ("signal:busy_gpus",), gpus, SOURCE),
)
