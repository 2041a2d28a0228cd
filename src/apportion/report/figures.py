"""The plots of a report as plotly figures without colours: the page paints them in its theme.

A trace says in `meta` whose it is (`policy`, an index) and what it does (`role`): a policy has one colour in
every plot, light or dark.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from apportion.report import words
from apportion.report.breakdown import Table, Waits
from apportion.report.clock import Clock
from apportion.report.curves import SHORTEST_S, Binned, Bins, distribution
from apportion.report.occupancy import Occupancy
from apportion.study.result import Result

Figure = dict[str, Any]

_SMALL = "<span style='font-size:11px;opacity:.65'>"
PANELS = (
    ("pending_jobs", "jobs in the queue"),
    ("running_jobs", "running jobs"),
    ("allocated_gpus", "allocated GPUs"),
)


def rounded(values: npt.NDArray[np.float64], digits: int = 4) -> list[float]:
    """Return numbers with `digits` significant digits: what a screen can show, in few bytes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
    scale = 10.0 ** (digits - 1 - power)
    out: list[float] = [int(v) if v == int(v) else v for v in (np.round(values * scale) / scale).tolist()]
    return out


def distribution_figure(results: Sequence[Result], labels: Sequence[str], column: str, title: str) -> Figure:
    """Return the cumulative distribution of `column` (seconds), a line per run, logarithmic in time."""
    traces = []
    longest = 60.0
    for i, (result, label) in enumerate(zip(results, labels)):
        x, share = distribution(result.jobs[column])
        if not x.size:
            continue
        longest = max(longest, float(x[-1]))
        trace = _line(i, label, rounded(100 * share), "%{customdata}")
        traces.append(trace | {"x": rounded(x), "meta": trace["meta"] | {"humanise": "x"}})
    layout = {
        "hovermode": "y unified",
        "xaxis": {
            "type": "log",
            "range": [-0.05, float(np.log10(longest * 1.3)) + 0.02],
            "title": {"text": title},
        },
        "yaxis": {
            "range": [0, 101],
            "ticksuffix": " %",
            "title": {"text": "jobs"},
            "unifiedhovertitle": {"text": "%{y:.4~g} % of jobs within"},
        },
    }
    return {"traces": traces, "layout": layout, "durations": ["xaxis"], "height": 380}


def timeline_figure(
    binned: Sequence[dict[str, Binned]],
    labels: Sequence[str],
    bins: Bins,
    clock: Clock,
    capacities: Sequence[int],
) -> Figure:
    """Return the queue, the running jobs and the allocated GPUs over time, panels one above the other."""
    panels = [p for p in PANELS if p[0] != "allocated_gpus" or any(capacities)]
    height, gap = 1 / len(panels), 0.075
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "xaxis": clock.axis() | {"anchor": f"y{len(panels)}" if len(panels) > 1 else "y"},
        "annotations": [],
        "shapes": [],
    }
    for p, (column, title) in enumerate(panels):
        axis = "" if p == 0 else str(p + 1)
        top = 1 - p * height
        layout[f"yaxis{axis}"] = {
            "domain": [round(top - height + gap * (p < len(panels) - 1), 4), round(top - 0.02, 4)],
            "rangemode": "tozero",
            **_counts_axis(max((float(s[column].mean.max(initial=0.0)) for s in binned), default=0.0)),
        }
        layout["annotations"].append(_panel_title(title, f"y{axis} domain"))
        for i, (steps, label) in enumerate(zip(binned, labels)):
            mean = steps[column].mean
            busy = np.flatnonzero(mean > 0)
            shown = mean[: min(int(busy[-1]) + 2, mean.size)] if busy.size else mean[:1]
            trace = _line(i, label, rounded(shown), "%{y:,.4~g}")
            traces.append(trace | clock.grid(bins) | {"xaxis": "x", "yaxis": f"y{axis}"})
        if column == "allocated_gpus":
            layout[f"yaxis{axis}"] |= _counts_axis(max(capacities)) | {"range": [0, 1.16 * max(capacities)]}
            for capacity in sorted(set(capacities)):
                layout["shapes"].append(_level(capacity, f"y{axis}"))
    return {"traces": traces, "layout": layout, "height": 210 * len(panels) + 60}


def waits_figure(categories: Sequence[str], table: Table, labels: Sequence[str], what: str = "wait") -> Figure:
    """Return, for each category and run, a dot at the median wait, a bar to the 90th, a line to the 99th.

    Parameters
    ----------
    what: these durations are, where they are no waits: `run time`.
    """
    lanes = len(table)
    step = 0.72 / lanes
    width = max(3.0, min(9.0, 24 / lanes))
    traces: list[dict[str, Any]] = []
    longest = 60.0
    for i, (run, label) in enumerate(zip(table, labels)):
        found = [(c, run[name], name) for c, name in enumerate(categories) if name in run]
        y = [round(c + (i - (lanes - 1) / 2) * step, 4) for c, _, _ in found]
        waits = [w for _, w, _ in found]
        longest = max([longest, *(w.p99 for w in waits)])
        p50, p90, p99 = ([_shown(getattr(w, p)) for w in waits] for p in ("p50", "p90", "p99"))
        hover = [_wait_words(w, label, name, what) for _, w, name in found]
        traces.append(_stretches(i, label, p90, p99, y, 1.5))
        traces.append(_stretches(i, label, p50, p90, y, width))
        traces.append(_dots(i, label, p99, y, hover, "end", 2 * width / 3 + 4) | {"showlegend": False})
        traces.append(_dots(i, label, p50, y, hover, "dot", width + 4))
    jobs = [max(run[name].jobs for run in table if name in run) for name in categories]
    layout = {
        "hovermode": "closest",
        "hoverdistance": 40,
        "xaxis": {
            "type": "log",
            "range": [-0.12, float(np.log10(longest * 1.3)) + 0.02],
            "title": {"text": what},
        },
        "yaxis": {
            "range": [len(categories) - 0.5, -0.5],
            "tickvals": list(range(len(categories))),
            "ticktext": [
                f"{_plain(short(name))}<br>{_SMALL}{words.plural(n, 'job')}</span>" for name, n in zip(categories, jobs)
            ],
            "showgrid": False,
            "fixedrange": True,
        },
        "shapes": [_stripe(c) for c in range(0, len(categories), 2)],
    }
    return {
        "traces": traces,
        "layout": layout,
        "durations": ["xaxis"],
        "height": 90 + len(categories) * max(46, (17 if lanes < 4 else 11) * lanes + 12),
    }


def occupancy_figure(maps: Sequence[Occupancy], labels: Sequence[str], bins: Bins, clock: Clock) -> list[Figure]:
    """Return a heat map of nodes by time for each run; pools, which have one row each, share one heat map."""
    if all(len(m.rows) == 1 for m in maps):
        share = np.vstack([m.share for m in maps])
        return [_heat(share, [_plain(short(name)) for name in labels], bins, clock, 110 + 44 * len(maps))]
    return [
        _heat(m.share, [_plain(row) for row in m.rows], bins, clock, 100 + max(140, min(12 * len(m.rows), 420)))
        for m in maps
    ]


def _heat(share: npt.NDArray[np.float64], rows: list[str], bins: Bins, clock: Clock, height: int) -> Figure:
    # One byte a cell: whole percents are all that a colour can tell.
    cells = np.round(100 * share).astype(np.uint8)
    z = {
        "dtype": "u1",
        "bdata": base64.b64encode(cells.tobytes()).decode("ascii"),
        "shape": f"{cells.shape[0]}, {cells.shape[1]}",
    }
    every = max(1, -(-len(rows) // 10))
    shown = list(range(0, len(rows), every))
    trace = {
        "type": "heatmap",
        "z": z,
        "zmin": 0,
        "zmax": 100,
        **clock.grid(bins),
        "y": rows,
        "meta": {"role": "heat"},
        "hovertemplate": f"<b>%{{y}}</b><br>{clock.hover()}<br>%{{z}} % allocated<extra></extra>",
    }
    return {"traces": [trace], "layout": heat_layout(clock, rows, shown), "height": height}


def heat_layout(clock: Clock, rows: Sequence[str], shown: Sequence[int]) -> dict[str, Any]:
    """Return the layout of a heat map over time: a row a name, with the labels of those `shown`."""
    return {
        "hovermode": "closest",
        "xaxis": clock.axis() | {"showgrid": False},
        "yaxis": {
            "type": "category",
            "range": [len(rows) - 0.5, -0.5],
            "tickvals": shown,
            "ticktext": [short(rows[i].split(" … ")[0]) for i in shown],
            "showgrid": False,
        },
    }


def _counts_axis(most: float) -> dict[str, Any]:
    """Return ticks at whole numbers: there is no half job in a queue."""
    if most < 1:
        return {"range": [0, 1.05], "dtick": 1}
    return {"dtick": 1} if most < 5 else {"tickformat": "~s", "nticks": 5}


def _line(policy: int, label: str, y: list[float], value: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": _plain(label),
        "y": y,
        "meta": {"policy": policy, "role": "line"},
        "hovertemplate": f"{value}<extra>{_plain(short(label))}</extra>",
    }


def _stretches(
    policy: int, label: str, start: list[float], end: list[float], y: list[float], width: float
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": _plain(label),
        "x": [v for a, b in zip(start, end) for v in (a, b, None)],
        "y": [v for at in y for v in (at, at, None)],
        "line": {"width": width},
        "opacity": 0.55 if width > 2 else 0.8,
        "meta": {"policy": policy, "role": "stretch"},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _dots(
    policy: int, label: str, x: list[float], y: list[float], hover: list[str], role: str, size: float
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": _plain(label),
        "x": x,
        "y": y,
        "text": hover,
        "marker": {"size": size},
        "meta": {"policy": policy, "role": role},
        "hovertemplate": "%{text}<extra></extra>",
    }


def _wait_words(waits: Waits, label: str, category: str, what: str) -> str:
    verb, done = ("wait", "started") if what == "wait" else ("run", "ran")
    lines = [
        f"<b>{_plain(label)}</b> · {_plain(category)}",
        f"median {what} {words.duration(waits.p50)}, mean {words.duration(waits.mean)}",
        f"90 % {verb} at most {words.duration(waits.p90)}",
        f"99 % {verb} at most {words.duration(waits.p99)}",
        f"{words.plural(waits.jobs, 'job')} {done}",
    ]
    return "<br>".join(lines)


def _panel_title(text: str, yref: str) -> dict[str, Any]:
    place = {
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "yref": yref,
        "y": 1,
        "yanchor": "bottom",
        "yshift": 3,
    }
    return {"text": f"<b>{text}</b>", "showarrow": False, "align": "left", **place}


def _level(value: float, yref: str) -> dict[str, Any]:
    label = {
        "text": f"all {words.count(value)} GPUs",
        "textposition": "end",
        "yanchor": "bottom",
        "padding": 2,
    }
    line = {"width": 1, "dash": "dot"}
    ends = {"x0": 0, "x1": 1, "y0": value, "y1": value}
    return {"type": "line", "xref": "paper", "yref": yref, **ends, "line": line, "label": label}


def _stripe(category: int) -> dict[str, Any]:
    ends = {"x0": 0, "x1": 1, "y0": category - 0.5, "y1": category + 0.5}
    return {"type": "rect", "xref": "paper", "yref": "y", **ends, "layer": "below", "line": {"width": 0}}


def _shown(seconds: float) -> float:
    return float(f"{max(seconds, SHORTEST_S):.4g}")


def short(name: str, longest: int = 26) -> str:
    """Return a name of at most so many letters."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _plain(text: str) -> str:
    """Return `text` so that plotly shows it as it is: it reads some HTML in labels."""
    return escape(text, quote=False)
