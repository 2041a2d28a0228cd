"""The plots of the packing experiment as plotly figures without colours: the page paints them in its theme."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from apportion.engine.layout import F8
from apportion.report import words
from apportion.report.figures import Figure
from apportion.report.fill_numbers import FULL_PCT, quartiles

FROM_PCT = 75
"""Where the plot of unallocated GPUs begins: before that every placement finds room for all."""
HEIGHT = 340


def fragments_figure(values: F8, labels: Sequence[str], title: str) -> Figure:
    """Return the median over seeds of an amount of fragments against arrived demand, a line a placement.

    Parameters
    ----------
    values: f8[placements, seeds, percents], %. title: of the vertical axis.
    """
    traces = [_line(p, label, quartiles(values[p])[1], 0, " %") for p, label in enumerate(labels)]
    return {"traces": traces, "layout": _layout(0, values.shape[-1] - 1, title, " %"), "height": HEIGHT}


def failed_figure(values: F8, labels: Sequence[str]) -> Figure:
    """Return the tasks that found no place against arrived demand from 75 % on, the median over seeds.

    Parameters
    ----------
    values: f8[placements, seeds, percents], tasks so far.
    """
    first, last = _shown(values)
    traces = [_line(p, label, quartiles(values[p, :, first:])[1], first, "") for p, label in enumerate(labels)]
    layout = _layout(first, last, "tasks so far", "")
    layout["yaxis"]["tickformat"] = ",d"
    return {"traces": traces, "layout": layout, "height": HEIGHT}


def unallocated_figure(values: F8, labels: Sequence[str]) -> Figure:
    """Return unallocated GPUs against arrived demand from 75 % on: the median over seeds in a band from 25 to 75 %.

    Parameters
    ----------
    values: f8[placements, seeds, percents], % of the GPUs.
    """
    first, last = _shown(values)
    traces: list[dict[str, Any]] = []
    for p, label in enumerate(labels):
        low, middle, high = quartiles(values[p, :, first:])
        if values.shape[1] > 1:
            traces.append(_band(p, label, low, high, first))
        traces.append(_line(p, label, middle, first, " %"))
    layout = _layout(first, last, "unallocated, % of the GPUs", " %")
    # up to where the placements part: before that all are on the way down, along the dotted line
    top = max(1.35 * float(np.nanmax(values[..., min(FULL_PCT, last)], initial=0.0)), 1.0)
    layout["yaxis"]["range"] = [0, top]
    layout["shapes"] = [_ideal(max(first, FULL_PCT - top), min(FULL_PCT, last))]
    return {"traces": traces, "layout": layout, "height": HEIGHT}


def bars_figure(mean: F8, sd: F8, gpus: Sequence[float], names: Sequence[str], labels: Sequence[str]) -> Figure:
    """Return unallocated GPUs of each workload, a bar a placement with a whisker of a standard deviation each way.

    Parameters
    ----------
    mean, sd: f8[workloads, placements], % of the GPUs. gpus: of each workload's cluster. names: of the workloads; those
    that begin with the same letters stand together as a family.
    """
    places, shapes, at = [], [], 0.0
    for number, (_, members) in enumerate(families(names)):
        first = at
        for member in members:
            places.append((at, member))
            at += 1
        if number % 2 == 0:
            shapes.append(_stripe(first - 0.6, at - 0.4))
        at += 0.2
    width = 0.84 / len(labels)
    traces = []
    for p, label in enumerate(labels):
        offset = (p - (len(labels) - 1) / 2) * width
        spread = [sd[t, p] for _, t in places]
        traces.append(
            {
                "type": "bar",
                "name": escape(label, quote=False),
                "x": [round(x + offset, 4) for x, _ in places],
                "y": _numbers([mean[t, p] for _, t in places]),
                "width": round(0.9 * width, 4),
                "error_y": {"type": "data", "array": _numbers(spread), "visible": not np.isnan(spread).all()},
                "text": [_bar_words(label, names[t], mean[t, p], sd[t, p], gpus[t]) for _, t in places],
                "textposition": "none",
                "meta": {"policy": p, "role": "bar"},
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    layout = {
        "hovermode": "closest",
        "barmode": "overlay",
        "xaxis": {
            "tickvals": [x for x, _ in places],
            "ticktext": [escape(names[t], quote=False) for _, t in places],
            "range": [-0.6, at - 0.6],
            "showgrid": False,
        },
        "yaxis": {"rangemode": "tozero", "ticksuffix": " %", "title": {"text": "unallocated, % of the GPUs"}},
        "shapes": shapes,
    }
    return {"traces": traces, "layout": layout, "height": 400}


def families(names: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Return the families of workloads, by the letters that their names begin with, and the numbers of their members.

    Examples
    --------
    >>> families(["default", "cpu050", "cpu100"])
    [('default', [0]), ('cpu', [1, 2])]
    """
    found: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        letters = re.match(r"[^\W\d_]+", name)
        found.setdefault(letters[0] if letters else name, []).append(number)
    return list(found.items())


def _line(policy: int, label: str, values: F8, first: int, unit: str) -> dict[str, Any]:
    name = escape(label, quote=False)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x0": first,
        "dx": 1,
        "y": _numbers(values),
        "meta": {"policy": policy, "role": "line"},
        "hovertemplate": f"%{{y:,}}{unit}<extra>{name}</extra>",
    }


def _band(policy: int, label: str, low: F8, high: F8, first: int) -> dict[str, Any]:
    known = np.flatnonzero(~np.isnan(low))
    return {
        "type": "scatter",
        "mode": "lines",
        "fill": "toself",
        "name": escape(label, quote=False),
        "x": (first + np.concatenate([known, known[::-1]])).tolist(),
        "y": _numbers(np.concatenate([high[known], low[known[::-1]]])),
        "meta": {"policy": policy, "role": "band"},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _layout(first: int, last: int, title: str, unit: str) -> dict[str, Any]:
    return {
        "hovermode": "x unified",
        "xaxis": {
            "range": [first, max(last, first + 1)],
            "ticksuffix": " %",
            "title": {"text": "GPUs asked for, % of those there are"},
            "unifiedhovertitle": {"text": "%{x} % asked for"},
        },
        "yaxis": {"rangemode": "tozero", "ticksuffix": unit, "title": {"text": title}},
    }


def _shown(values: F8) -> tuple[int, int]:
    """Return the first and the last percent of plots that begin late."""
    last = values.shape[-1] - 1
    return (FROM_PCT if last > FROM_PCT else 0), last


def _ideal(first: float, last: int) -> dict[str, Any]:
    """Return the line along which every task finds a place."""
    ends = {"x0": first, "x1": last, "y0": FULL_PCT - first, "y1": FULL_PCT - last}
    return {
        "type": "line",
        "xref": "x",
        "yref": "y",
        **ends,
        "layer": "below",
        "line": {"width": 1.5, "dash": "dot"},
    }


def _stripe(left: float, right: float) -> dict[str, Any]:
    ends = {"x0": left, "x1": right, "y0": 0, "y1": 1}
    return {"type": "rect", "xref": "x", "yref": "paper", **ends, "layer": "below", "line": {"width": 0}}


def _bar_words(label: str, name: str, mean: float, sd: float, gpus: float) -> str:
    spread = "" if np.isnan(sd) else f" ±{sd:.2f}"
    lines = [
        f"<b>{escape(label, quote=False)}</b> · {escape(name, quote=False)}",
        f"{mean:.2f}{spread} % of the GPUs unallocated",
        f"{words.count(mean * gpus / 100)} of {words.count(gpus)} GPUs",
    ]
    return "<br>".join(lines)


def _numbers(values: F8 | Sequence[float]) -> list[float | None]:
    """Return what JSON can hold, to a hundredth; null where there is no number."""
    return [None if np.isnan(value) else round(float(value), 2) for value in values]
