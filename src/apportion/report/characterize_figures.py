"""The plots of a report on a workload as plotly figures without colours: the page paints them in its theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import polars as pl

from apportion.report.figures import Figure, rounded

HEIGHT = 330
ROW = 30
"""Pixels of a bar that lies."""
LONGEST_NAME = 24


@dataclass(frozen=True)
class Series:
    """One line or row of bars.

    Parameters
    ----------
    name: in the legend. values: null where nothing is known. colour: number in the page's palette. dash: 0 solid,
    1 dashed, 2 dotted. text: what is said on pointing at each, in place of the value.
    """

    name: str
    values: pl.Series
    colour: int
    dash: int = 0
    text: Sequence[str] = ()


@dataclass(frozen=True)
class Axis:
    """A numerical axis: its title, what stands behind numbers, and how far it goes (None: as far as the values)."""

    title: str = ""
    suffix: str = ""
    end: float | None = None


PERCENT = Axis("", " %", 100)


def share_curves(x: pl.Series, series: Sequence[Series], title: str, *, kind: str) -> Figure:
    """Return shares (0 to 1) against `x` in percent.

    Parameters
    ----------
    kind: of the axis: `duration` (seconds, logarithmic), `count` (logarithmic), `percent`.
    """
    durations = kind == "duration"
    traces = []
    first, last = 1.0, 1.0
    for one in series:
        # a share of nothing stands at no place of a logarithmic axis of counts
        known = one.values.is_not_null() if kind != "count" else (one.values > 0).fill_null(False)
        at, shares = x.filter(known), one.values.filter(known)
        if not shares.len():
            continue
        # nothing more to see once all are in
        full = int((shares < 0.9999).sum()) + 1
        last = max(last, float(at[min(full, at.len()) - 1]))
        first = min([first, *at.filter(shares > 0).head(1)])
        trace = _line(one, rounded(100 * shares.cast(pl.Float64).to_numpy()), "%{customdata}" if durations else "")
        trace |= {"x": rounded(at.cast(pl.Float64).to_numpy())}
        if durations:
            trace["meta"] |= {"humanise": "x"}
            trace["hovertemplate"] = "%{y:.3~g} % within %{customdata}" + _aside(one.name)
        traces.append(trace)
    layout: dict[str, Any] = {
        "hovermode": "closest" if durations else "x unified",
        "hoverdistance": 40,
        "xaxis": {"title": {"text": title}} | ({"ticksuffix": " %", "range": [0, 100]} if kind == "percent" else {}),
        "yaxis": {"range": [0, 101], "ticksuffix": " %"},
        **_legend(traces),
    }
    if kind != "percent":
        layout["xaxis"] |= {
            "type": "log",
            "range": [float(np.log10(first)) - 0.05, float(np.log10(max(last, 2.0) * 1.2))],
        }
    if kind == "count":
        ticks = [2**k for k in range(0, 24, 1 if last <= 64 else 2 if last <= 1024 else 4) if 2**k <= last * 1.2]
        layout["xaxis"] |= {"tickvals": ticks, "ticktext": [f"{value:,}" for value in ticks]}
    return {"traces": traces, "layout": layout, "height": HEIGHT, "durations": ["xaxis"] if durations else []}


def by_clock(names: Sequence[str], bars: Sequence[Series], lines: Sequence[Series], axis: Axis) -> Figure:
    """Return bars that stand, one after the other (hours, weekdays, months), and lines over them."""
    places = [_plain(name) for name in names]
    traces = [{**_bar(one, rounded(_numbers(one)), axis), "x": places} for one in bars]
    for one in lines:
        known = one.values.is_not_null()
        trace = _line(one, rounded(_numbers(one)[known.to_numpy()]), _value("y", axis))
        traces.append(trace | {"x": [place for place, there in zip(places, known) if there]})
    layout = {
        "hovermode": "x unified",
        "bargap": 0.25,
        "xaxis": {"type": "category", "showgrid": False, "nticks": 12},
        "yaxis": _numeric(axis, [*bars, *lines]),
        **_legend(traces),
    }
    return {"traces": traces, "layout": layout, "height": HEIGHT}


def by_kind(names: Sequence[str], series: Sequence[Series], axis: Axis, *, stacked: bool = False) -> Figure:
    """Return bars that lie, a group for each name, the first on top; stacked where the parts make up a whole."""
    places = [_plain(_short(name)) for name in names]
    lanes = 1 if stacked else max(len(series), 1)
    traces = []
    for one in series:
        bar = _bar(one, rounded(_numbers(one)), axis, "x")
        traces.append(bar | {"y": places, "orientation": "h"})
    layout = {
        "hovermode": "closest",
        "barmode": "stack" if stacked else "group",
        "bargap": 0.3,
        "xaxis": _numeric(axis, series),
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False, "fixedrange": True},
        **_legend(traces),
    }
    return {"traces": traces, "layout": layout, "height": 110 + len(names) * max(ROW, 14 * lanes + 8)}


def over_time(
    x: Sequence[float | str], series: Sequence[Series], time_axis: dict[str, Any], axis: Axis, *, stacked: bool = False
) -> Figure:
    """Return lines over time; stacked, areas one upon the other."""
    traces = []
    for one in series:
        trace = _line(one, rounded(_numbers(one)), _value("y", axis)) | {"x": list(x)}
        traces.append(trace | ({"stackgroup": "all"} if stacked else {}))
        if stacked:
            trace["meta"]["role"] = "area"
    layout = {"hovermode": "x unified", "xaxis": time_axis, "yaxis": _numeric(axis, series), **_legend(traces)}
    return {"traces": traces, "layout": layout, "height": HEIGHT}


def _line(one: Series, y: list[float], value: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": _plain(one.name),
        "y": y,
        "meta": {"role": "line", "colour": one.colour, "dash": one.dash},
        "hovertemplate": (value or "%{y:.3~g} %") + _aside(one.name),
    }


def _bar(one: Series, values: list[float], axis: Axis, direction: str = "y") -> dict[str, Any]:
    said = "%{text}" if one.text else _value(direction, axis)
    return {
        "type": "bar",
        "name": _plain(one.name),
        direction: values,
        "text": [_plain(text) for text in one.text] or None,
        "textposition": "none",
        "meta": {"role": "bar", "colour": one.colour, "dash": one.dash},
        "hovertemplate": ("<b>%{y}</b><br>" if direction == "x" else "") + said + _aside(one.name),
    }


def _value(name: str, axis: Axis) -> str:
    return f"%{{{name}:,.4~g}}{axis.suffix}"


def _aside(name: str) -> str:
    return f"<extra>{_plain(name)}</extra>"


def _numeric(axis: Axis, series: Sequence[Series]) -> dict[str, Any]:
    end = {} if axis.end is None else {"range": [0, 1.01 * axis.end]}
    most = max((float(_numbers(one).max(initial=0.0)) for one in series), default=0.0)
    form = {"tickformat": "~s"} if most >= 1000 and not axis.suffix else {}
    return {"rangemode": "tozero", "ticksuffix": axis.suffix, "title": {"text": axis.title}, **form, **end}


def _legend(traces: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if len(traces) < 2:
        return {}
    place = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    return {"showlegend": True, "legend": place | {"itemsizing": "constant", "bgcolor": "rgba(0,0,0,0)"}}


def _numbers(one: Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    return one.values.cast(pl.Float64).fill_null(0.0).to_numpy()


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _plain(text: str) -> str:
    """Return `text` so that plotly shows it as it is: it reads some HTML in labels."""
    return escape(text, quote=False)
