"""What is drawn of each section of a report on a workload: a plot for each table that has something to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from apportion.report import figures, words
from apportion.report.breakdown import Waits
from apportion.report.characterize_figures import PERCENT, Axis, Series, by_clock, by_kind, over_time, share_curves
from apportion.report.characterize_times import DATES, TimeAxis
from apportion.report.figures import Figure
from apportion.study.characterize.rhythm import WEEKDAYS
from apportion.study.characterize.section import Section
from apportion.study.characterize.sizes import gpus
from apportion.study.characterize.waits_by_cause import LEAST_WAIT_S, SHORT

MOST_BARS = 15
"""Groups, models and kinds that are drawn; the table in the folder has more."""
JOBS, GPU_TIME, THIRD = 0, 1, 5
"""Colours of what is the trace's own; those of other clusters follow."""
OTHERS = (2, 4, 3, 6, 7)
ENDS = {"completed": 2, "cancelled": 4, "failed": 1, "censored": 7}
CALLED = {"censored": "end not seen"}
RESOURCES = {"cores": "cores", "memory_gib": "memory"}


@dataclass(frozen=True)
class Look:
    """What plots need beside the tables: names of the clusters that are laid beside, and the axis of time."""

    against: tuple[str, ...]
    times: TimeAxis

    def published(self, table: pl.DataFrame, suffix: str = "", what: str = "") -> list[Series]:
        """Return the columns of other clusters: `philly` and, with the suffix `_gpu_time`, `philly_gpu_time`."""
        return [
            Series(f"{name}{what}", table[f"{name}{suffix}"], OTHERS[i % len(OTHERS)], 2 if suffix else 1)
            for i, name in enumerate(self.against)
            if f"{name}{suffix}" in table.columns
        ]


Draw = Callable[[pl.DataFrame, Section, Look], Figure | None]


def _own(table: pl.DataFrame, **columns: str) -> list[Series]:
    """Return the trace's own columns that are there, by name in the legend."""
    colours = (JOBS, GPU_TIME, THIRD)
    found = [(name.replace("_", " "), table[column]) for name, column in columns.items() if column in table.columns]
    return [Series(name, values, colours[i]) for i, (name, values) in enumerate(found)]


def draw_spans(key: str, what: str) -> Draw:
    """Return the drawing of quantiles by `key`: a dot at the median, a bar to the 90th, a line to the 99th."""

    def draw(table: pl.DataFrame, section: Section, look: Look) -> Figure | None:
        rows = table.head(MOST_BARS) if key != "size" else table
        found = {
            _called(key, row[key]): Waits(row["jobs"], row["mean"], row["p50"], row["p90"], row["p99"])
            for row in rows.iter_rows(named=True)
        }
        return figures.waits_figure(list(found), [found], [what], what)

    return draw


def _called(key: str, value: str) -> str:
    if key == "size":
        return "no GPU" if value == "0" else gpus(value).replace("less than 1", "under 1").replace("more than", "over")
    return CALLED.get(value, value)


def draw_durations(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    series = [*_own(table, jobs="jobs", GPU_time="gpu_time"), *look.published(table)]
    return share_curves(table["duration_s"], series, "run time", kind="duration")


def draw_sizes(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    names = [_called("size", size) for size in table["size"]]
    shares = table.with_columns(pl.col("share", "gpu_time_share") * 100)
    return by_kind(names, _own(shares, jobs="share", GPU_time="gpu_time_share"), Axis("", " %"))


def draw_sizes_curve(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    theirs = [*look.published(table), *look.published(table, "_gpu_time", ": GPU time")]
    return share_curves(
        table["gpus"], [*_own(table, jobs="jobs", GPU_time="gpu_time"), *theirs], "GPUs of a job, at most", kind="count"
    )


def draw_gangs(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    series = _own(table, jobs="jobs", tasks="task_share")
    return share_curves(table["tasks"], series, "tasks of a job, at least", kind="count")


def draw_lorenz(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    series = [*_own(table, jobs="jobs", GPU_time="gpu_time", waiting="wait"), *look.published(table)]
    theirs = look.published(table, "_wait", ": waiting")
    return share_curves(table["users_pct"], [*series, *theirs], "users, those with most first", kind="percent")


def draw_shares(key: str) -> Draw:
    """Return the drawing of the shares of jobs and of GPU time by `key`."""

    def draw(table: pl.DataFrame, section: Section, look: Look) -> Figure | None:
        if table.height < 2:
            return None
        rows = table.head(MOST_BARS).with_columns(pl.col("share", "gpu_time_share") * 100)
        names = [str(name).replace("|", " or ") for name in rows[key]]
        return by_kind(names, _own(rows, jobs="share", GPU_time="gpu_time_share"), Axis("", " %"))

    return draw


def draw_models(table: pl.DataFrame, section: Section, look: Look) -> Figure | None:
    if table.height < 2:
        return None
    return by_kind(table["gpu_model"].to_list(), [Series("GPUs", table["gpus"], JOBS)], Axis("GPUs"))


def draw_ends(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    table = table.filter((pl.col("status") != "censored") | (pl.col("jobs") > 0))
    series = _own(table, jobs="share", GPU_time="gpu_time_share")
    series += [*look.published(table), *look.published(table, "_gpu_time", ": GPU time")]
    scaled = [Series(one.name, 100 * one.values.cast(pl.Float64), one.colour, one.dash) for one in series]
    return by_kind([CALLED.get(name, name) for name in table["status"]], scaled, Axis("", " %"))


def draw_ends_by_size(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    kept = [end for end in ENDS if float(table[end].sum()) > 0]
    series = [Series(CALLED.get(end, end), 100 * table[end], ENDS[end]) for end in kept]
    return by_kind([_called("size", size) for size in table["size"]], series, PERCENT, stacked=True)


def draw_waits(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    return share_curves(table["wait_s"], _own(table, jobs="jobs"), "wait", kind="duration")


def draw_causes(table: pl.DataFrame, section: Section, look: Look) -> Figure | None:
    waited = table.filter(pl.col("mean_wait_s") >= LEAST_WAIT_S)
    if not waited.height:
        return None
    names = [
        f"{_called('size', row['size'])}, {words.duration(row['mean_wait_s'])}" for row in waited.iter_rows(named=True)
    ]
    kept = [cause for cause in SHORT if float(waited[cause].sum()) > 0.0005]
    colours = dict(zip(SHORT, (JOBS, GPU_TIME, 4, 3, 7)))
    series = [Series(SHORT[cause], 100 * waited[cause], colours[cause]) for cause in kept]
    return by_kind(names, series, PERCENT, stacked=True)


def draw_hours(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    own = Series("jobs", table["weight"], JOBS)
    return by_clock([f"{hour} h" for hour in table["hour"]], [own], look.published(table), Axis("times the mean hour"))


def draw_weekdays(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    own = Series("jobs", table["per_day_weight"], JOBS)
    theirs = look.published(table, "_weekday")
    return by_clock([name[:3] for name in table["name"]], [own], theirs, Axis("times the mean day"))


def draw_days(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    axis = look.times.axis(table["time_s"])
    return over_time(look.times.places(table["time_s"]), _own(table, jobs="jobs"), axis, Axis("jobs a day"))


def draw_counted_hours(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    series = _own(table, jobs="jobs", GPUs_they_ask_for="gpus")
    return by_clock([f"{hour} h" for hour in table["hour"]], series, [], Axis("times the mean"))


def draw_counted_weekdays(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    series = _own(table, jobs="jobs", GPUs_they_ask_for="gpus")
    return by_clock([WEEKDAYS[day][:3] for day in table["weekday"]], series, [], Axis("times the mean"))


def draw_day(what: str, total: str = "") -> Draw:
    """Return the drawing of the mean course of a day, under what there is."""

    def draw(table: pl.DataFrame, section: Section, look: Look) -> Figure | None:
        hours = [f"{hour} h" for hour in table["hour"]]
        whole = section.numbers.get(total)
        lines = [] if whole is None else [Series("all", pl.Series([whole] * table.height), 7, 2)]
        return by_clock(hours, [Series("in use", table["mean"], JOBS)], lines, Axis(what))

    return draw


def draw_one(key: str, column: str, what: str) -> Draw:
    """Return the drawing of a single share by `key`; `what` it is stands below."""

    def draw(table: pl.DataFrame, section: Section, look: Look) -> Figure | None:
        rows = table.filter(pl.col(column).is_not_nan()).head(MOST_BARS)
        names = [CALLED.get(name, name) for name in rows[key]]
        return by_kind(names, [Series(what, 100 * rows[column], JOBS)], Axis(what, " %", 100))

    return draw


def draw_busy_by_end(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    names = [CALLED.get(name, name) for name in table["status"]]
    return by_kind(names, [Series("GPU busy", table["mean"], JOBS)], PERCENT)


def draw_repeats(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    series = _own(table, jobs="jobs_share", kinds_of_work="groups_share")
    return share_curves(table["runs"], series, "times that the work came, at least", kind="count")


def draw_per_gpu(table: pl.DataFrame, section: Section, look: Look) -> Figure | None:
    rows = table.filter(pl.col("offered") > 0)
    if not rows.height:
        return None
    text = [
        f"{words.amount(row['asked'])} asked for, nodes have {words.amount(row['offered'])}"
        for row in rows.iter_rows(named=True)
    ]
    part = Series("for each GPU", 100 * rows["asked"] / rows["offered"], JOBS, 0, text)
    return by_kind([RESOURCES[name] for name in rows["resource"]], [part], Axis("asked for, of what nodes have", " %"))


def draw_sharing(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    series = _own(table, a_device_for_each_task="alone_gpus", shared="shared_gpus")
    axis = look.times.axis(table["time_s"])
    return over_time(look.times.places(table["time_s"]), series, axis, Axis("GPUs needed"))


def draw_utilisation(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    series = _own(table, jobs="jobs_share", GPU_time="gpu_time_share")
    return share_curves(table["gpu_util_pct"], series, "GPU busy at most", kind="percent")


def draw_watts(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    kilo = table.with_columns(pl.col("busy_w", "idle_w") / 1000)
    series = [Series("held by jobs", kilo["busy_w"], JOBS), Series("idle", kilo["idle_w"], 7)]
    axis = look.times.axis(table["time_s"])
    return over_time(look.times.places(table["time_s"]), series, axis, Axis("kW", " kW"), stacked=True)


def draw_nodes_on(table: pl.DataFrame, section: Section, look: Look) -> Figure:
    series = [
        Series("in use", table["used"], JOBS),
        Series("switched on", table["on"], GPU_TIME),
        Series("all", table["total"], 7, 2),
    ]
    moments = table["time"].dt.strftime("%Y-%m-%d %H:%M").to_list()
    return over_time(moments, series, DATES, Axis("nodes"))
