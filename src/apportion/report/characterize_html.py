"""The web page of a report on a workload: a single file that opens without a network."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from apportion import __version__
from apportion.report import words
from apportion.report.characterize_drawings import DRAWINGS
from apportion.report.characterize_findings import Finding, findings
from apportion.report.characterize_left_out import left_out
from apportion.report.characterize_numbers import Row, others, rows
from apportion.report.characterize_plots import Look
from apportion.report.characterize_times import TimeAxis
from apportion.report.page import Card, Plot, card_html, links, page_data
from apportion.report.single_file import write_page
from apportion.study.characterize.published import get_reference
from apportion.study.characterize.report import Report
from apportion.study.characterize.section import Section


@dataclass(frozen=True)
class Question:
    """A card of the page. short: in the bar at the top. sections: that answer it."""

    key: str
    title: str
    short: str
    sections: tuple[str, ...]


QUESTIONS = (
    Question("what", "What runs here", "What runs", ("durations", "sizes", "gangs", "gpu_types", "machines")),
    Question("who", "Who uses it", "Who", ("users", "groups")),
    Question("when", "When work comes", "When", ("rhythm", "arrivals_series", "nodes_series", "gpus_series")),
    Question("waits", "Who waits and why", "Who waits", ("observed_waits", "waits_by_cause")),
    Question("waste", "What is wasted", "Waste", ("states", "utilisation", "requests", "sharing")),
    Question("predict", "How predictable it is", "Predictable", ("recurrence", "seasonality")),
    Question("power", "Power", "Power", ("power", "power_off")),
)
MORE = Question("more", "What else was found", "More", ())
"""Sections of one's own stand here."""


def write_characterization(report: Report, path: Path) -> None:
    """Write a self-contained web page about `report`, whole or not at all.

    Parameters
    ----------
    path: the file, usually `report.html`.

    Raises
    ------
    InputError: the file cannot be written.
    """
    look = Look(report.against, TimeAxis(report.origin))
    cards = [card for card in (_card(question, report, look) for question in _questions(report)) if card is not None]
    shown = {card.key for card in cards}
    found = findings(report, {key: question.key for question in QUESTIONS for key in question.sections})
    lacking = left_out(report)
    overview = report["overview"]
    page = {
        "title": escape(f"What runs in {report.trace}"),
        "eyebrow": "Workload report",
        "trace": escape(report.trace),
        "headline": words.unbroken(escape(found[0].short if found else "Nothing stands out")),
        "lead": words.unbroken(escape(found[0].sentence if found else "")),
        "facts": _also(found[1:], shown) + _facts(report),
        "metrics": _said((*overview.sentences, *_beside(report))) + _numbers(report),
        "metrics_title": "In numbers",
        "cards": "\n".join(card_html(card, []) for card in cards) + _lacking(report),
        "links": links(
            [
                ("metrics", "Numbers"),
                *((question.key, question.short) for question in _questions(report) if question.key in shown),
                *([("lacking", "Left out")] if lacking else []),
            ]
        ),
        "footer": "Every sentence is computed from the trace.",
        "version": escape(__version__),
    }
    write_page(page, page_data(cards, []), Path(path))


def _questions(report: Report) -> list[Question]:
    asked = {"overview", *(key for question in QUESTIONS for key in question.sections)}
    rest = tuple(section.key for section in report.sections if section.key not in asked)
    return [*QUESTIONS, replace(MORE, sections=rest)]


def _card(question: Question, report: Report, look: Look) -> Card | None:
    answers = [s for key in question.sections for s in report.sections if s.key == key and not s.skipped]
    drawn = [both for section in answers for both in _plots(section, look)]
    if not drawn:
        return None
    plots = [plot for plot, _ in drawn]
    notes = dict.fromkeys(note for plot, mine in drawn if plot.figures for note in mine)
    # plots first, in pairs; what is said in words alone stands below them
    plots.sort(key=lambda plot: not plot.figures)
    _pair(plots)
    return Card(question.key, question.title, [[plot] for plot in plots], note=" ".join(notes), legend=False)


def _pair(plots: list[Plot]) -> None:
    """Make plots that stand side by side equally high; the first of an odd number has a row of its own."""
    drawn = [plot for plot in plots if plot.figures]
    alone = len(drawn) % 2
    if alone:
        drawn[0].wide = True
    for left, right in zip(drawn[alone::2], drawn[alone + 1 :: 2]):
        both = [*left.figures, *right.figures]
        tallest = max(figure["height"] for figure in both)
        for figure in both:
            figure["height"] = min(tallest, round(1.5 * figure["height"]))


def _plots(section: Section, look: Look) -> list[tuple[Plot, tuple[str, ...]]]:
    """Return the plots of a section, each with what it means, and how to read it.

    A plot that nothing is said about is not drawn.
    """
    drawings = DRAWINGS.get(section.key, ())
    claimed = {s for drawing in drawings for s in section.beside.get(drawing.table, ())}
    whole = [sentence for sentence in section.sentences if sentence not in claimed]
    plots = []
    for number, drawing in enumerate(drawings):
        about = list(section.beside.get(drawing.table, ()))
        said = whole + about if number == 0 else about
        if not said or drawing.table not in section.tables:
            continue
        figure = drawing.draw(section.tables[drawing.table], section, look)
        if figure is not None or number == 0:
            plot = _plot(f"{section.key}-{drawing.table}", drawing.heading or section.title, said)
            plot.figures = [figure] if figure is not None else []
            plots.append((plot, drawing.notes))
    if not plots and section.sentences:
        plots.append((_plot(section.key, section.title, list(section.sentences)), ()))
    return plots


def _plot(key: str, heading: str, said: list[str]) -> Plot:
    first, *more = (_html(sentence) for sentence in said)
    return Plot(key, [], heading=escape(heading), caption=first, more=more)


def _html(sentence: str) -> str:
    """Return a sentence as HTML; names of columns, in backticks, as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(sentence))


def _also(found: list[Finding], shown: set[str]) -> str:
    """Return the findings after the first, each with a link to where it is from."""
    topics = {key: question for question in QUESTIONS for key in question.sections}
    items = []
    for one in found:
        question = topics.get(one.section)
        where = f'<a href="#{question.key}">{question.title}</a>' if question and question.key in shown else ""
        items.append(f"<li>{where}<b>{escape(one.short)}</b> <span>{escape(one.sentence)}</span></li>")
    return f'<ol class="findings">{words.unbroken("".join(items))}</ol>' if items else ""


FACTS = (
    ("jobs", "Jobs", "span_s", "submitted within {}"),
    ("users", "Users", "groups", "in {} groups"),
    ("capacity_gpus", "GPUs", "offered_load", "jobs ask for {} of them"),
    ("gpu_h", "Demand in GPU-hours", "asked_gpus", "{} GPUs on average"),
    ("duration_p50_s", "Run time of half of the jobs, at most", "duration_mean_s", "{} on average"),
    ("wait_p50_s", "Wait of half of the jobs, at most", "wait_mean_s", "{} on average"),
    ("mean_total_nodes", "Nodes", "in_use_share", "{} of them in use"),
    ("nodes_off_mean", "Nodes that could be off", "", "on average"),
    ("mean_total_gpus", "GPUs", "in_use_share", "{} of them in use"),
    ("jobs_per_hour", "Jobs an hour", "max_count", "at most {} in one step"),
)
"""Number, what it is, the number below it, how that is said."""


def _facts(report: Report) -> str:
    found = {row.key: row for row in rows(report)}
    items = []
    for key, term, below, how in FACTS:
        if key in found:
            said = found[below].here if below in found else ""
            small = how.format(said) if said not in ("", "1") or "{}" not in how else ""
            items.append((term, found[key].here, small))
    cells = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(value)}<small>{escape(small)}</small></dd></div>"
        for term, value, small in items
    )
    return f'<dl class="facts">{cells}</dl>' if cells else ""


def _said(sentences: tuple[str, ...]) -> str:
    return "".join(f'<p class="caption">{words.unbroken(_html(sentence))}</p>' for sentence in sentences)


def _numbers(report: Report) -> str:
    """Return the numbers as tiles, or as a table beside those of published clusters."""
    by_group: dict[str, list[Row]] = {}
    for row in rows(report):
        by_group.setdefault(row.group, []).append(row)
    names = others(report)
    if not names:
        lists = []
        for group, mine in by_group.items():
            cells = "".join(f"<div><dt>{escape(r.name)}</dt><dd>{escape(r.here)}</dd></div>" for r in mine)
            lists.append(f"<div><h3>{escape(group)}</h3><dl>{cells}</dl></div>")
        return f'<div class="tiles">{"".join(lists)}</div>'
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("here", *names))
    body = []
    for group, mine in by_group.items():
        body.append(f'<tr class="group"><th scope="rowgroup" colspan="{len(names) + 2}">{escape(group)}</th></tr>')
        for row in mine:
            cells = "".join(f"<td>{escape(value)}</td>" for value in (row.here, *row.others))
            body.append(f'<tr><th scope="row">{escape(row.name)}</th>{cells}</tr>')
    top = f'<thead><tr><th scope="col">number</th>{head}</tr></thead>'
    table = f'<table class="metrics named" style="--n:{len(names) + 1}">{top}<tbody>{"".join(body)}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _lacking(report: Report) -> str:
    found = left_out(report)
    if not found:
        return ""
    body = "".join(
        f"<tr><td>{escape(', '.join(one.titles))}</td><td>{escape(one.why)}</td><td>{escape(one.needs)}</td></tr>"
        for one in found
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("left out", "why", "it needs"))
    table = f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    said = '<p class="caption">A trace that has these columns gets these parts of the report too.</p>'
    title = "<h2>What could not be computed</h2>"
    return f'<section class="card" id="lacking">{title}{said}<div class="scroll">{table}</div></section>'


def _beside(report: Report) -> tuple[str, ...]:
    """Return what the clusters are that stand beside the trace."""
    known = [f"{name} ({get_reference(name).title})" for name in report.against]
    return (f"Beside it stands what is published about {words.names(known)}.",) if known else ()
