"""What switching idle nodes off would have saved, from the nodes that were in use (Helios' Cluster Energy Saving)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from apportion.model.signal import Signal
from apportion.model.words import percent
from apportion.study.characterize.section import Analysis, Section, Subject

if TYPE_CHECKING:
    from apportion.study.power_off_series import Replay

LEAST_DAYS = 10
SOURCE = "Hu et al., Characterization and Prediction of Deep Learning Workloads, SC'21"


def power_off(subject: Subject) -> Section:
    """Replay the control on the last days of the series, with a forecast that does not look ahead, and as published.

    As in the paper the last month is replayed where there are three; the last fifth otherwise.
    """
    # compiled code takes a second to load: only a series of nodes waits for it
    from apportion.predict.nodes import DAY
    from apportion.study.power_off import PowerOff
    from apportion.study.power_off_series import replay, replay_published

    key, title = "power_off", "What switching idle nodes off would save"
    frame = _steps(subject)
    days = frame.height / DAY
    if days < LEAST_DAYS:
        return Section(key, title, skipped=f"{days:.0f} days of active nodes, at least {LEAST_DAYS} are needed")
    try:
        import lightgbm  # noqa: F401
    except ImportError:
        return Section(key, title, skipped="lightgbm is not installed")
    nodes = round(float(frame["total"].drop_nulls().to_numpy().mean()))
    saving = PowerOff().saving(nodes)
    validate, test, end = _parts(frame)
    honest = replay(frame, saving, test, end)
    published = replay_published(frame, saving, validate, test, end)
    return Section(
        key,
        title,
        _numbers(honest, "") | _numbers(published, "published_"),
        {"steps": honest.steps},
        _sentences(honest, published, nodes),
    )


def _steps(subject: Subject) -> pl.DataFrame:
    from apportion.predict.nodes import ten_minutes

    active, total = (subject.trace.signals[f"{name}_nodes"] for name in ("active", "total"))
    assert isinstance(active, Signal)
    assert isinstance(total, Signal)
    origin = subject.trace.workload.origin or datetime(2000, 1, 3)
    time = pl.Series([origin.replace(tzinfo=None)]).dt.cast_time_unit("us")[0] + pl.Series(
        "time", active.times_s * 1e6
    ).cast(pl.Duration("us"))
    values = pl.Series(total.values[total.times_s.searchsorted(active.times_s, side="right").clip(1) - 1])
    return ten_minutes(time, used=pl.Series(active.values), total=values)


def _parts(frame: pl.DataFrame) -> tuple[datetime, datetime, datetime]:
    """Return where the data that stops the training, the replay and its end begin."""
    first: datetime = frame["time"][0]
    last: datetime = frame["time"][-1]
    end = datetime(last.year, last.month, last.day)
    month = datetime(end.year, end.month, 1)
    before = (month - timedelta(days=1)).replace(day=1)
    if end - month >= timedelta(days=LEAST_DAYS) and before - first >= timedelta(days=14):
        return before, month, end
    whole = end - first
    return first + 0.5 * whole, first + 0.8 * whole, end


def _numbers(found: Replay, prefix: str) -> dict[str, float]:
    numbers = {
        "rmse_nodes": found.rmse,
        "smape": found.smape_pct / 100,
        "nodes_off_mean": found.off,
        "use": found.use,
        "use_of_nodes_on": found.use_on,
        "switched_on_per_day": found.ups_per_day,
        "nodes_switched_on_mean": found.woken,
        "lacking_node_h": found.lacking / 6,
    }
    return {f"{prefix}{name}": float(value) for name, value in numbers.items()}


def _sentences(found: Replay, published: Replay, nodes: int) -> tuple[str, ...]:
    from apportion.predict.nodes import DAY

    days = found.steps.height / DAY
    off = (
        f"Over the last {days:.0f} days {found.off:.0f} of {nodes} nodes could have been off on average: those that "
        f"are on would have been used {percent(found.use_on)} instead of {percent(found.use)}, nodes would have been "
        f"switched on {found.ups_per_day:.1f} times a day, {found.woken:.0f} at a time."
    )
    cost = (
        f"Nodes would have been lacking for {found.lacking / 6:,.0f} node-hours, until they had come up."
        if found.lacking
        else "No node would have been lacking."
    )
    leak = (
        f"With the forecast of the published code, which looks ahead, it seems to be {published.off:.0f} nodes and "
        f"{percent(published.use_on)}: what it promises beyond {found.off:.0f} cannot be had on a running cluster."
        if published.off > found.off
        else f"The published code, whose forecast looks ahead, would save no more ({published.off:.0f} nodes)."
    )
    return off, cost, leak


ANALYSES = (
    Analysis(
        "power_off",
        "What switching idle nodes off would save",
        ("signal:active_nodes", "signal:total_nodes"),
        power_off,
        SOURCE,
    ),
)
