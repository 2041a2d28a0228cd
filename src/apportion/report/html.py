"""The web page of one run or a comparison: a single file that opens without a network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import polars as pl

from apportion.report import figures, sentences, words
from apportion.report.breakdown import by_demand, by_group, by_run_time
from apportion.report.clock import Clock
from apportion.report.curves import Binned, Bins, bin_steps
from apportion.report.occupancy import occupancy
from apportion.report.page import (
    Card,
    Plot,
    card_html,
    facts,
    links,
    metrics_table,
    metrics_tiles,
    name_html,
    page_data,
)
from apportion.report.sentences import Run
from apportion.report.single_file import write_page
from apportion.report.turns_cards import fairness_card, turns_card
from apportion.study.result import Result

_SHORT = {
    "distributions": "How long",
    "time": "Over time",
    "waits": "Who waits",
    "fairness": "Fairness",
    "rounds": "Turns",
    "nodes": "Nodes",
}
"""What the cards are called in the bar at the top."""
TIME_BINS = 1000
HEAT_BINS = 400
HEAT_ROWS = 200
HEAT_CELLS = 600_000
"""Cells of all heat maps together, a byte each: keeps the file small with many policies."""


def write_report(results: Sequence[Result], path: Path, *, title: str | None = None) -> None:
    """Write a self-contained web page about `results`, whole or not at all.

    Parameters
    ----------
    results: runs to show; the first is the baseline that changes refer to. One is fine.
    path: the file, usually `report.html`. title: of the page; by default the trace and the policies.

    Raises
    ------
    ValueError: there are no results. InputError: the file cannot be written.
    """
    if not results:
        raise ValueError("found no results, expected at least one")
    labels = words.labels(results)
    runs = [Run(name_html(label, i), r.summary()) for i, (label, r) in enumerate(zip(labels, results))]
    clock = Clock.of(results)
    cards = [_distributions(results, labels, runs), _over_time(results, labels, runs, clock)]
    more = (
        _waits(results, labels, runs),
        fairness_card(results, labels, runs),
        turns_card(results, labels, runs, clock),
        _nodes(results, labels, runs, clock),
    )
    cards += [card for card in more if card is not None]
    kind = f"Comparison of {len(results)} policies" if len(results) > 1 else "One run"
    page = {
        "title": escape(title or f"{' vs '.join(labels[:4])} on {results[0].trace}"),
        "eyebrow": escape(title or kind),
        "trace": escape(_traces(results)),
        "headline": words.unbroken(sentences.headline(runs)),
        "lead": words.unbroken(sentences.lead(runs)),
        "facts": facts(results, clock),
        "metrics": metrics_table(runs) if len(runs) > 1 else metrics_tiles(runs[0].summary),
        "metrics_title": "Side by side" if len(runs) > 1 else "In numbers",
        "cards": "\n".join(card_html(card, labels) for card in cards),
        "links": links([("metrics", "Metrics"), *((card.key, _SHORT[card.key]) for card in cards)]),
        "footer": "Simulated: what a cluster would have done under each policy with the same jobs.",
        "version": escape(str(runs[0].summary.get("engine", {}).get("version", ""))),
    }
    write_page(page, page_data(cards, labels), Path(path))


def _distributions(results: Sequence[Result], labels: Sequence[str], runs: Sequence[Run]) -> Card:
    jct = figures.distribution_figure(results, labels, "jct_s", "completion time (wait + run)")
    wait = figures.distribution_figure(results, labels, "wait_s", "wait")
    waits = [r.jobs["wait_s"] for r in results]
    plots = [
        [Plot("jct", [jct], heading="Completion time", caption=sentences.completion(runs))],
        [Plot("wait", [wait], heading="Wait", caption=sentences.waiting(runs, waits))],
    ]
    note = "Share of jobs (upward) that took at most this long (rightward, logarithmic): further left is better."
    return Card("distributions", "How long jobs take", plots, note=note)


def _over_time(results: Sequence[Result], labels: Sequence[str], runs: Sequence[Run], clock: Clock) -> Card:
    bins = clock.bins(TIME_BINS)
    binned = [_binned(r.timeline, bins) for r in results]
    capacities = [r.cluster.gpus for r in results]
    figure = figures.timeline_figure(binned, labels, bins, clock, capacities)
    note = f"Means over {words.duration(bins.width_s)} each. Drag to zoom, double-click to return."
    caption = sentences.over_time(runs, binned, bins, clock)
    return Card("time", "Over time", [[Plot("timeline", [figure])]], caption=caption, note=note)


def _binned(timeline: pl.DataFrame, bins: Bins) -> dict[str, Binned]:
    times = timeline["time_s"].to_numpy()
    return {
        column: bin_steps(times, timeline[column].cast(pl.Float64).to_numpy(), bins) for column, _ in figures.PANELS
    }


def _waits(results: Sequence[Result], labels: Sequence[str], runs: Sequence[Run]) -> Card | None:
    jobs = [r.jobs for r in results]
    splits = [("demand", "By GPUs asked for", by_demand(jobs)), ("length", "By run time", by_run_time(jobs))]
    groups = by_group(jobs)
    splits += [("group", "By group", groups)] if groups else []
    plots = []
    for key, heading, (categories, table) in splits:
        if not categories:
            continue
        figure = figures.waits_figure(categories, table, labels)
        caption = sentences.by_category(runs, categories, table, key)
        plots.append(Plot(key, [figure], heading=heading, caption=caption))
    if not plots:
        return None
    columns = [plots[:2], plots[2:]] if groups else [[plot] for plot in plots]
    note = "Dot: median wait. Bar: to the 90th percentile. Line: to the 99th. Waits under 1 s stand at 1 s."
    return Card("waits", "Who waits", columns, note=note)


def _nodes(results: Sequence[Result], labels: Sequence[str], runs: Sequence[Run], clock: Clock) -> Card | None:
    bins = clock.bins(HEAT_BINS)
    rows = max(20, min(HEAT_ROWS, HEAT_CELLS // (HEAT_BINS * len(results))))
    found = [(i, m) for i, r in enumerate(results) if (m := occupancy(r, bins, rows)) is not None]
    if not found:
        return None
    maps = [m for _, m in found]
    drawn = figures.occupancy_figure(maps, [labels[i] for i, _ in found], bins, clock)
    captions = [sentences.by_node(runs[i], m) for i, m in found]
    plot = Plot("nodes", drawn, variants=[runs[i].html for i, _ in found], captions=captions)
    if len(drawn) == 1:
        plot.caption = " ".join(captions[:3])
    grouped = " Consecutive nodes share a row." if any(" … " in row for m in maps for row in m.rows) else ""
    note = f"Share of GPU time allocated, in stretches of {words.duration(bins.width_s)}.{grouped}"
    return Card("nodes", "Where work runs", [[plot]], note=note, legend=False)


def _traces(results: Sequence[Result]) -> str:
    seen = list(dict.fromkeys(r.trace for r in results))
    return words.names(seen) if len(seen) <= 3 else f"{len(seen)} traces"
