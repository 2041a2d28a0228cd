"""Published curves beside those of a trace: further columns of its tables, and where the two are furthest apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from apportion.model import words
from apportion.study.characterize.published import DURATION_S, Reference
from apportion.study.characterize.rhythm import WEEKDAYS
from apportion.study.characterize.section import Section
from apportion.study.characterize.states import STATES

Points = Mapping[float, float] | Mapping[str, float]


@dataclass(frozen=True)
class _Curve:
    """A column of a table that is published for others too: `points` finds it, `say` writes one of its points."""

    table: str
    at: str
    own: str
    suffix: str
    points: Callable[[Reference], Points]
    say: Callable[[float | str, float], str]


def overlay(section: Section, references: Mapping[str, Reference]) -> Section:
    """Return the section with a column for each reference, and a sentence on each.

    Shares are 0 to 1, weights have mean 1. A column is named after the reference, with what it is where the table has
    several (`philly`, `philly_gpu_time`). Where nothing is published the section is as it was.
    """
    tables, said, numbers = dict(section.tables), list(section.sentences), dict(section.numbers)
    beside = dict(section.beside)
    if section.skipped or not references:
        return section
    if section.key == "overview":
        tables["against"] = _against(section, references)
    for name, reference in references.items():
        for curve in CURVES.get(section.key, ()):
            points = curve.points(reference)
            if not points or curve.own not in tables[curve.table].columns:
                continue
            table = _joined(tables[curve.table], curve, points, name + curve.suffix)
            tables[curve.table] = table
            gap, sentence = _widest(table, curve, name)
            numbers[f"gap_to_{name}{curve.suffix}"] = gap
            if not curve.suffix:
                said.append(
                    sentence + (f" ({reference.note}.)" if reference.note and section.key == "durations" else "")
                )
                beside[curve.table] = (*beside.get(curve.table, ()), said[-1])
    return replace(section, tables=tables, sentences=tuple(said), numbers=numbers, beside=beside)


def _joined(table: pl.DataFrame, curve: _Curve, points: Points, name: str) -> pl.DataFrame:
    frame = pl.DataFrame({curve.at: list(points), name: [float(v) for v in points.values()]})
    frame = frame.with_columns(pl.col(curve.at).cast(table.schema[curve.at]))
    return table.join(frame, on=curve.at, how="left", maintain_order="left")


def _widest(table: pl.DataFrame, curve: _Curve, name: str) -> tuple[float, str]:
    """Return the largest distance between the two curves, and the sentence that says where it is."""
    theirs = name + curve.suffix
    both = table.filter(pl.col(theirs).is_not_null() & pl.col(curve.own).is_not_null())
    gaps = (both[theirs] - both[curve.own]).abs()
    row = both.row(int(gaps.arg_max() or 0), named=True)
    where, here, there = row[curve.at], row[curve.own], row[theirs]
    return float(gaps.max()), f"Furthest from {name}: {curve.say(where, here)} here, {_value(curve, there)} there."  # type: ignore[arg-type]


def _value(curve: _Curve, value: float) -> str:
    return f"{words.amount(value)} times" if curve.own.endswith("weight") else words.percent(value)


def _against(section: Section, references: Mapping[str, Reference]) -> pl.DataFrame:
    """Return the numbers of the overview, a row each, beside those of the references."""
    rows = [key for key in OVERVIEW if any(key in r.overview for r in references.values())]
    here = {"here": [section.numbers.get(key) for key in rows]}
    theirs = {name: [r.overview.get(key) for key in rows] for name, r in references.items() if r.overview}
    schema = {"number": pl.String} | dict.fromkeys([*here, *theirs], pl.Float64)
    return pl.DataFrame({"number": rows} | here | theirs, schema=schema, strict=False)


def _shares(percent: Mapping[float, float | None]) -> dict[float, float]:
    return {at: value / 100 for at, value in percent.items() if value is not None}


def _durations(reference: Reference) -> dict[float, float]:
    return {at: percent / 100 for at, percent in zip(DURATION_S, reference.durations)}


def _weights(values: Sequence[float]) -> dict[float, float]:
    return {i: value * len(values) / sum(values) for i, value in enumerate(values)}


def _states(percent: Sequence[float]) -> dict[str, float]:
    return {state: value / 100 for state, value in zip(STATES, percent)}


OVERVIEW = (
    "gpu_jobs", "gpus_mean", "gpus_max", "duration_mean_s", "duration_p50_s", "duration_max_s", "wait_mean_s",
    "wait_p50_s",
)  # fmt: skip

CURVES: Mapping[str, tuple[_Curve, ...]] = {
    "durations": (
        _Curve(
            "cdf", "duration_s", "jobs", "", _durations,
            lambda at, v: f"{words.percent(v)} of the jobs end within {words.duration(float(at))}",
        ),
    ),
    "sizes": (
        _Curve(
            "cdf", "gpus", "jobs", "", lambda r: _shares({g: jobs for g, (jobs, _) in r.sizes.items()}),
            lambda at, v: f"{words.percent(v)} of the jobs ask for at most {words.plural(float(at), 'GPU')}",
        ),
        _Curve(
            "cdf", "gpus", "gpu_time", "_gpu_time", lambda r: _shares({g: time for g, (_, time) in r.sizes.items()}),
            lambda at, v: f"{words.percent(v)} of GPU time is of jobs of at most {words.plural(float(at), 'GPU')}",
        ),
    ),
    "rhythm": (
        _Curve(
            "hours", "hour", "weight", "", lambda r: _weights(r.hours),
            lambda at, v: f"the hour from {at} h brings {words.amount(v)} times the mean",
        ),
        _Curve(
            "weekdays", "weekday", "per_day_weight", "_weekday", lambda r: _weights(r.weekdays),
            lambda at, v: f"{WEEKDAYS[int(at)]} brings {words.amount(v)} times the mean day",
        ),
    ),
    "states": (
        _Curve(
            "by_state", "status", "share", "", lambda r: _states(r.states),
            lambda at, v: f"{words.percent(v)} of the jobs are {at}",
        ),
        _Curve(
            "by_state", "status", "gpu_time_share", "_gpu_time", lambda r: _states(r.gpu_time_states),
            lambda at, v: f"{words.percent(v)} of GPU time is of {at} jobs",
        ),
    ),
    "users": (
        _Curve(
            "lorenz", "users_pct", "gpu_time", "", lambda r: _shares(r.top_gpu_time),
            lambda at, v: f"the top {at:g} % of users hold {words.percent(v)} of GPU time",
        ),
        _Curve(
            "lorenz", "users_pct", "wait", "_wait", lambda r: _shares(r.top_wait),
            lambda at, v: f"the top {at:g} % of users bear {words.percent(v)} of the waiting",
        ),
    ),
}  # fmt: skip
"""Section -> its curves that are published for others."""
