"""The web page of the packing experiment: a single file that opens without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from apportion import __version__
from apportion.engine.layout import F8
from apportion.report import fill_figures as figures
from apportion.report import words
from apportion.report.figures import Figure
from apportion.report.fill_numbers import full_pct, mean_and_sd
from apportion.report.fill_sentences import CROWDED_PCT, Findings
from apportion.report.fill_table import Row, table, tiles
from apportion.report.page import Card, Plot, card_html, links, name_html, page_data
from apportion.report.single_file import write_page
from apportion.study.fill_compare import FillStudy, short_names

MOST_SHOWN = 40
"""Workloads whose curves are drawn; the bars and the table have all."""


def write_fill_report(study: FillStudy, path: Path) -> None:
    """Write a self-contained web page about `study`, whole or not at all.

    Parameters
    ----------
    study: one filling or many. path: the file, usually `report.html`.

    Raises
    ------
    InputError: the file cannot be written.
    """
    labels, names = words.numbered(study.policies), short_names(study.traces)
    policies = [name_html(label, i) for i, label in enumerate(labels)]
    findings = Findings(study, names, policies)
    cards = [_bars(study, labels, names, findings)] if len(names) > 1 else []
    cards.append(_curves(study, labels, names, findings))
    where = names[0] if len(names) == 1 else f"{len(names)} workloads"
    page = {
        "title": escape(f"Packing under {words.names(labels[:4])} on {where}"),
        "eyebrow": "Packing experiment",
        "trace": escape(where if len(names) == 1 else ", ".join(names[:6]) + (", …" if len(names) > 6 else "")),
        "headline": words.unbroken(findings.headline()),
        "lead": words.unbroken(findings.lead()),
        "facts": _facts(study),
        "metrics": _numbers_by_workload(study, policies, names) if len(names) > 1 else _numbers(study, policies),
        "metrics_title": "In numbers",
        "cards": "\n".join(card_html(card, labels) for card in cards),
        "links": links([("metrics", "Numbers"), *((card.key, card.title) for card in cards)]),
        "footer": "Tasks arrive in an order that is drawn, each is placed at once or dropped, and none departs.",
        "version": escape(__version__),
    }
    write_page(page, page_data(cards, labels), Path(path))


def _curves(study: FillStudy, labels: Sequence[str], names: Sequence[str], findings: Findings) -> Card:
    shown = range(min(len(names), MOST_SHOWN))
    seeds = len(study.seeds)
    idle, failed = study.unallocated(), study.values("failed")
    amount, ratio = study.values("frag_pct"), study.values("frag_ratio_pct")

    def plot(key: str, heading: str, draw: Callable[[int], Figure], say: Callable[[int], str]) -> Plot:
        return Plot(key, [draw(t) for t in shown], captions=[say(t) for t in shown], heading=heading)

    plots = [
        plot(
            "unallocated",
            "GPUs left unallocated",
            lambda t: figures.unallocated_figure(idle[t], labels),
            findings.unallocated,
        ),
        plot(
            "failed",
            "Tasks that found no place",
            lambda t: figures.failed_figure(failed[t], labels),
            findings.turned_away,
        ),
        plot(
            "amount",
            "Fragments among all GPUs",
            lambda t: figures.fragments_figure(amount[t], labels, "fragments, % of the GPUs"),
            findings.fragments,
        ),
        plot(
            "ratio",
            "Fragments among free GPUs",
            lambda t: figures.fragments_figure(ratio[t], labels, "fragments, % of free GPUs"),
            findings.share_of_free,
        ),
    ]
    note = (
        "A fragment is free GPU that a task drawn from the workload could not use, on average over tasks: too little "
        "on one device, or without the CPU, memory or model it needs beside it. Dotted: every task finds a place."
    )
    if seeds > 1:
        note += f" Lines: median of {seeds} seeds. Bands: the middle half of them."
    return Card(
        "load",
        "As demand arrives",
        [[one] for one in plots],
        note=note,
        variants=[escape(names[t]) for t in shown],
    )


def _bars(study: FillStudy, labels: Sequence[str], names: Sequence[str], findings: Findings) -> Card:
    pct = full_pct(study)
    mean, sd = mean_and_sd(study.unallocated()[..., pct])
    figure = figures.bars_figure(mean, sd, study.gpus, names, labels)
    caption = findings.by_workload()
    note = f"GPUs left unallocated when {pct} % of them are asked for."
    if len(study.seeds) > 1:
        note += f" Bars: mean of {len(study.seeds)} seeds. Whiskers: a standard deviation each way."
    return Card("workloads", "By workload", [[Plot("bars", [figure], caption=caption)]], note=note)


def _numbers(study: FillStudy, policies: Sequence[str]) -> str:
    full, last = full_pct(study), study.last_pct
    crowded = min(CROWDED_PCT, last)

    def row(name: str, values: F8, pct: int, digits: int = 2) -> Row:
        mean, sd = mean_and_sd(values[0, ..., pct])
        return Row(f"{name} at {pct} %", mean, sd, digits)

    idle = study.unallocated()
    groups = [
        ("Unallocated, % of the GPUs", [row("unallocated", idle, pct) for pct in dict.fromkeys((full, last))]),
        (
            "Fragments",
            [
                row("% of all GPUs", study.values("frag_pct"), crowded),
                row("% of free GPUs", study.values("frag_ratio_pct"), crowded),
            ],
        ),
        (
            "Tasks without a place",
            [row("failed", study.values("failed"), pct, 0) for pct in dict.fromkeys((full, last))],
        ),
    ]
    if len(policies) == 1 and len(study.seeds) == 1:
        return tiles(groups)
    return table("measure", groups, policies)


def _numbers_by_workload(study: FillStudy, policies: Sequence[str], names: Sequence[str]) -> str:
    groups = []
    for pct in dict.fromkeys((full_pct(study), study.last_pct)):
        mean, sd = mean_and_sd(study.unallocated()[..., pct])
        rows = [Row(name, mean[t], sd[t], 2) for t, name in enumerate(names)]
        groups.append((f"Unallocated at {pct} %, % of the GPUs", rows))
    return table("workload", groups, policies)


def _facts(study: FillStudy) -> str:
    gpus, arrivals = sorted(set(study.gpus)), [run.arrivals for run in study.runs]
    tasks = _range([float(np.min(arrivals)), float(np.max(arrivals))])
    seeds = study.seeds
    drawn = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    items = [
        ("GPUs", _range(gpus), "" if len(gpus) == 1 else "by workload"),
        ("Arrivals", tasks, f"until {study.last_pct} % of the GPUs are asked for"),
        ("Orders of arrival", words.count(len(seeds)), drawn),
    ]
    if len(study.policies) > 1:
        items.insert(2, ("Placements", words.count(len(study.policies)), "each meets the same arrivals"))
    if len(study.traces) > 1:
        items.append(("Workloads", words.count(len(study.traces)), words.plural(len(study.runs), "run")))
    cells = "".join(
        f"<div><dt>{term}</dt><dd>{escape(value)}<small>{escape(detail)}</small></dd></div>"
        for term, value, detail in items
    )
    return f'<dl class="facts">{cells}</dl>'


def _range(values: Sequence[float]) -> str:
    low, high = words.count(values[0]), words.count(values[-1])
    return low if low == high else f"{low} – {high}"
