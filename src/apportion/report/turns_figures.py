"""Plots of runs in rounds: fairness, shares over time, turns job by job, GPU models."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import polars as pl

from apportion.report import words
from apportion.report.clock import Clock
from apportion.report.curves import Bins, quantile_shares
from apportion.report.figures import Figure, heat_layout, rounded, short
from apportion.report.turns import Holders, Turns
from apportion.study.fairness import UNFAIR

_RATIOS = [v * 10.0**e for e in range(-3, 6) for v in (1, 2, 5)]


def fairness_figure(ratios: Sequence[pl.Series], labels: Sequence[str], title: str) -> Figure:
    """Return the cumulative distribution of finish-time ratios, a line per run, and where unfairness begins."""
    traces = []
    low, high = 0.5, 2.0
    shares = quantile_shares()
    for i, (series, label) in enumerate(zip(ratios, labels)):
        known = series.drop_nulls().drop_nans().to_numpy()
        known = known[known > 0]
        if not known.size:
            continue
        x = np.quantile(known, shares, method="inverted_cdf")
        low, high = min(low, float(x[0])), max(high, float(x[-1]))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": escape(label, quote=False),
                "x": rounded(x),
                "y": rounded(100 * shares),
                "meta": {"policy": i, "role": "line"},
                "hovertemplate": f"%{{x:.3~g}}<extra>{escape(short(label), quote=False)}</extra>",
            }
        )
    ends = [float(np.log10(low / 1.1)), float(np.log10(high * 1.1))]
    marks = [v for v in _RATIOS if low / 1.1 <= v <= high * 1.1]
    marks = [v for v in marks if np.log10(v) % 1 < 1e-9] if len(marks) > 9 else marks
    line = {
        "type": "line", "xref": "x", "yref": "paper", "x0": UNFAIR, "x1": UNFAIR, "y0": 0, "y1": 1,
        "line": {"width": 1, "dash": "dot"},
    }  # fmt: skip
    layout = {
        "hovermode": "y unified",
        "xaxis": {
            "type": "log",
            "range": ends,
            "tickvals": marks,
            "ticktext": [f"{v:g}" for v in marks],
            "title": {"text": title},
        },
        "yaxis": {
            "range": [0, 101],
            "ticksuffix": " %",
            "title": {"text": "jobs"},
            "unifiedhovertitle": {"text": "%{y:.4~g} % of jobs at most"},
        },
        "shapes": [line],
    }
    return {"traces": traces, "layout": layout, "height": 360}


def holders_figure(held: Holders, bins: Bins, clock: Clock, capacity: int) -> Figure:
    """Return the GPUs of each user or group, one upon the other, over time."""
    traces: list[dict[str, Any]] = []
    for i, (name, gpus) in enumerate(zip(held.names, held.gpus)):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "stackgroup": "one",
                "name": escape(short(name), quote=False),
                "y": rounded(gpus, 3),
                **clock.grid(bins),
                "meta": {"role": "area", "colour": i, "dash": 0},
                "hovertemplate": f"%{{y:,.3~g}}<extra>{escape(short(name), quote=False)}</extra>",
            }
        )
    layout = {
        "hovermode": "x unified",
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        "xaxis": clock.axis(),
        "yaxis": {"range": [0, 1.04 * max(capacity, 1)], "title": {"text": "GPUs"}, "nticks": 5},
    }
    return {"traces": traces, "layout": layout, "height": 340}


def turns_figure(turns: Turns, bins: Bins, clock: Clock) -> Figure:
    """Return the heat map of jobs by time: what part of its GPUs a job held; empty where it is not in the system."""
    cells = turns.part.astype("<f4")
    every = max(1, -(-len(turns.rows) // 10))
    shown = list(range(0, len(turns.rows), every))
    rows = [f"job {escape(row, quote=False)}" for row in turns.rows]
    trace = {
        "type": "heatmap",
        "z": {
            "dtype": "f4",
            "bdata": base64.b64encode(cells.tobytes()).decode("ascii"),
            "shape": f"{cells.shape[0]}, {cells.shape[1]}",
        },
        "zmin": 0,
        "zmax": 100,
        **clock.grid(bins),
        "y": rows,
        "meta": {"role": "heat"},
        "hoverongaps": False,
        "hovertemplate": f"<b>%{{y}}</b><br>{clock.hover()}<br>holds %{{z:.0f}} % of its GPUs<extra></extra>",
    }
    return {
        "traces": [trace],
        "layout": heat_layout(clock, rows, shown),
        "height": 110 + max(140, min(6 * len(rows), 460)),
    }


def models_figure(busy: Sequence[Mapping[str, float]], labels: Sequence[str]) -> Figure:
    """Return the allocated part of each GPU model's time as bars, a bar for each run."""
    models = sorted({model for run in busy for model in run})
    width = min(0.8 / max(len(busy), 1), 0.3)
    traces = []
    for i, (run, label) in enumerate(zip(busy, labels)):
        offset = (i - (len(busy) - 1) / 2) * width
        found = [(n, model) for n, model in enumerate(models) if model in run]
        traces.append(
            {
                "type": "bar",
                "name": escape(label, quote=False),
                "x": [round(n + offset, 4) for n, _ in found],
                "y": rounded(np.array([100 * run[model] for _, model in found])),
                "width": round(0.9 * width, 4),
                "text": [
                    f"<b>{escape(label, quote=False)}</b> · {escape(_name(model), quote=False)}<br>"
                    f"{words.percent(run[model])} of the GPU time allocated"
                    for _, model in found
                ],
                "textposition": "none",
                "meta": {"policy": i, "role": "bar"},
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    layout = {
        "hovermode": "closest",
        "barmode": "overlay",
        "xaxis": {
            "tickvals": list(range(len(models))),
            "ticktext": [escape(short(_name(model)), quote=False) for model in models],
            "range": [-0.6, len(models) - 0.4],
            "showgrid": False,
        },
        "yaxis": {"range": [0, 101], "ticksuffix": " %", "title": {"text": "GPU time allocated"}},
    }
    return {"traces": traces, "layout": layout, "height": 300}


def _name(model: str) -> str:
    return model or "no model given"
