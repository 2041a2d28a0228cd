"""The fixed parts of the page: header, facts, the table of metrics, cards with plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import polars as pl

from apportion.report import words
from apportion.report.clock import Clock
from apportion.report.figures import Figure
from apportion.report.measures import MEASURES, Summary, best
from apportion.report.sentences import Run
from apportion.study.result import Result

COLOURS = 8
"""Colours of the palette; a policy beyond them takes a colour again, with another dash."""


@dataclass
class Plot:
    """A plot of a card: one figure, or one for each run with a caption of its own; none where words are enough.

    `more`: what else is to be said, under the plot. `wide`: it has a row of its own.
    """

    key: str
    figures: list[Figure]
    variants: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    heading: str = ""
    caption: str = ""
    more: list[str] = field(default_factory=list)
    wide: bool = False


@dataclass
class Card:
    """A titled part of the page with columns of plots, a note on how to read them and a legend.

    With `variants`, names as HTML, a choice above the plots shows that variant in every plot of the card.
    """

    key: str
    title: str
    columns: list[list[Plot]]
    caption: str = ""
    note: str = ""
    legend: bool = True
    variants: list[str] = field(default_factory=list)


def name_html(label: str, index: int) -> str:
    """Return the name of a run in its colour."""
    kind = "policy short" if len(label) <= 28 else "policy"
    return f'<b class="{kind}" style="--c:var(--p{index % COLOURS})">{escape(label)}</b>'


def facts(results: Sequence[Result], clock: Clock) -> str:
    """Return the strip that says what was run."""
    first = results[0]
    table = first.workload.table
    demand_s = float((first.workload.gpu_demand * table["duration_s"]).sum())
    submitted = table["submit_s"]
    span = float(submitted[-1] - submitted[0]) if table.height else 0.0
    items = [("Jobs", words.count(table.height), f"submitted over {words.duration(span)}")]
    clusters = {r.cluster.name: r.cluster for r in results}
    for name, cluster in list(clusters.items())[:2]:
        models = cluster.table["gpu_model"].drop_nulls().unique(maintain_order=True).to_list()
        pooled = bool(cluster.table["pooled"].all())
        where = "one pool" if pooled and len(cluster) == 1 else words.plural(len(cluster), "node")
        detail = f"{where}{' of ' + words.names(models[:3]) if models else ''}"
        label = "GPUs" if len(clusters) == 1 else f"GPUs of {name}"
        items.append((label, words.count(cluster.gpus), detail))
    if demand_s:
        load = demand_s / (first.cluster.gpus * span) if first.cluster.gpus and span else 0.0
        share = f"{words.percent(load)} of the GPUs while jobs arrive" if load else ""
        items.append(("Demand", f"{words.amount(demand_s / 3600)} GPU-h", share))
    if clock.origin is None:
        items.append(("Simulated", words.duration(clock.span_s), "first submission to last completion"))
    else:
        day = pl.Series([clock.start_s, clock.end_s]).to_list()
        items.append(("Simulated", words.duration(clock.span_s), _dates(clock, day)))
    cells = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(value)}<small>{escape(detail)}</small></dd></div>"
        for term, value, detail in items
    )
    return f'<dl class="facts">{cells}</dl>'


def _dates(clock: Clock, seconds: list[float]) -> str:
    from datetime import timedelta

    assert clock.origin is not None
    first, last = (clock.origin + timedelta(seconds=s) for s in seconds)
    return f"{first.day} {first:%b %Y} – {last.day} {last:%b %Y}"


def metrics_tiles(summary: Summary) -> str:
    """Return the metrics of a single run, a list for each group of them."""
    groups: dict[str, list[str]] = {}
    for measure in MEASURES:
        value = measure.of(summary)
        if value is not None:
            key, text = ".".join(measure.path), escape(measure.write(value))
            row = f'<div data-metric="{key}"><dt>{measure.name}</dt><dd title="{value:,.6g}">{text}</dd></div>'
            groups.setdefault(measure.group, []).append(row)
    lists = "".join(f"<div><h3>{group}</h3><dl>{''.join(rows)}</dl></div>" for group, rows in groups.items())
    return f'<div class="tiles">{lists}</div>'


def metrics_table(runs: Sequence[Run]) -> str:
    """Return the table of metrics: a column a run, the best marked, changes against the first run."""
    head = "".join(f'<th scope="col">{run.html}</th>' for run in runs)
    body: list[str] = []
    group = ""
    for measure in MEASURES:
        values = [measure.of(run.summary) for run in runs]
        if all(v is None for v in values):
            continue
        if measure.group != group:
            group = measure.group
            body.append(f'<tr class="group"><th scope="rowgroup" colspan="{len(runs) + 1}">{group}</th></tr>')
        marked = best(values, measure.lower_is_better)
        most = max((abs(v) for v in values if v is not None), default=0.0)
        state = "best tied" if all(marked) else "best"
        cells = []
        for i, (value, is_best) in enumerate(zip(values, marked)):
            if value is None:
                cells.append('<td class="none">–</td>')
                continue
            bar = f"--w:{100 * abs(value) / most:.1f}%;--c:var(--p{i % COLOURS})" if most else "--w:0%"
            aside = "" if i == 0 else _change(value, values[0], measure.lower_is_better)
            tick = '<span class="tick" title="best">✓</span>' if is_best else ""
            cells.append(
                f'<td class="{state if is_best else "plain"}" style="{bar}" title="{value:,.6g}">'
                f"<span class=value>{tick}{escape(measure.write(value))}</span>{aside}<i></i></td>"
            )
        direction, arrow = ("lower", "↓") if measure.lower_is_better else ("higher", "↑")
        want = f'<span class="want" title="{direction} is better">{arrow}</span>'
        key = ".".join(measure.path)
        body.append(f'<tr data-metric="{key}"><th scope="row">{want}{measure.name}</th>{"".join(cells)}</tr>')
    note = "↓ lower is better, ↑ higher is better. ✓ best of its row. Changes against "
    top = f'<thead><tr><th scope="col">metric</th>{head}</tr></thead>'
    table = f'<table class="metrics" style="--n:{len(runs)}">{top}<tbody>{"".join(body)}</tbody></table>'
    return f'<div class="scroll">{table}</div><p class="note">{note}{runs[0].html}.</p>'


def _change(value: float, base: float | None, lower_is_better: bool) -> str:
    text = "" if base is None else words.change(value, base)
    if not text or base is None:
        return '<span class="change"></span>'
    verdict = "same" if value == base else "good" if (value < base) == lower_is_better else "bad"
    return f'<span class="change {verdict}">{text}</span>'


def legend(labels: Sequence[str]) -> str:
    """Return the legend of a card: a button a run, which hides and shows it in every plot."""
    chips = "".join(
        f'<button type="button" class="chip{" dashed" if i >= COLOURS else ""}" data-policy="{i}" '
        f'aria-pressed="true" style="--c:var(--p{i % COLOURS})"><i></i>{escape(label)}</button>'
        for i, label in enumerate(labels)
    )
    return f'<div class="legend" role="group" aria-label="policies">{chips}</div>'


def links(sections: Sequence[tuple[str, str]]) -> str:
    """Return the links of the bar at the top to (key, words) of sections."""
    return "".join(f'<a href="#{key}">{text}</a>' for key, text in sections)


def page_data(cards: Sequence[Card], labels: Sequence[str]) -> dict[str, Any]:
    """Return what the page's script draws: the figures of every plot, and the names of the policies."""
    plots = {
        p.key: {"figures": p.figures, "captions": [words.unbroken(c) for c in p.captions]}
        for card in cards
        for column in card.columns
        for p in column
        if p.figures
    }
    return {"policies": list(labels), "plots": plots}


def card_html(card: Card, labels: Sequence[str]) -> str:
    """Return a card; its plots are empty boxes of the right height until the page's script draws them."""
    stacked = any(len(column) > 1 for column in card.columns)
    more = any(plot.more for column in card.columns for plot in column)
    columns = ["".join(_plot_html(plot) for plot in column) for column in card.columns]
    plots = "".join(f'<div class="column">{column}</div>' if stacked else column for column in columns)
    kind = " stacked" if stacked else " told" if more else ""
    chips = legend(labels) if card.legend and len(labels) > 1 else ""
    choice = _choice(card.variants, "workload shown", "workload") if len(card.variants) > 1 else ""
    caption = f'<p class="caption">{words.unbroken(card.caption)}</p>' if card.caption else ""
    note = f'<p class="note">{card.note}</p>' if card.note else ""
    return (
        f'<section class="card" id="{card.key}"><h2>{card.title}</h2>{caption}{choice}{chips}'
        f'<div class="plots n{min(len(columns), 2)}{kind}">{plots}</div>{note}</section>'
    )


def _choice(variants: Sequence[str], label: str, heading: str = "") -> str:
    buttons = "".join(
        f'<button type="button" data-variant="{i}" aria-pressed="{str(i == 0).lower()}">{name}</button>'
        for i, name in enumerate(variants)
    )
    before = f'<span class="what">{heading}</span>' if heading else ""
    return f'<div class="choice" role="group" aria-label="{label}">{before}{buttons}</div>'


def _plot_html(plot: Plot) -> str:
    heading = f"<h3>{plot.heading}</h3>" if plot.heading else ""
    choice = ""
    if plot.variants and len(plot.figures) > 1:
        choice = _choice(plot.variants, "policy shown")
    caption = plot.caption or (plot.captions[0] if plot.captions else "")
    text = f'<p class="caption">{words.unbroken(caption)}</p>' if caption else ""
    more = "".join(f"<li>{words.unbroken(sentence)}</li>" for sentence in plot.more)
    more = f'<ul class="more">{more}</ul>' if more else ""
    if not plot.figures:
        return f'<figure class="words">{heading}{text}{more}</figure>'
    kind = ' class="wide"' if plot.wide else ""
    height = max(figure["height"] for figure in plot.figures)
    return (
        f'<figure{kind} data-plot="{plot.key}">{heading}{text}{choice}'
        f'<div class="plot" style="height:{height}px"></div>{more}</figure>'
    )
