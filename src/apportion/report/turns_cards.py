"""The cards of a report on runs in rounds: how fair they were, and who had turns when."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from apportion.report import turns_figures as figures
from apportion.report import words
from apportion.report.clock import Clock
from apportion.report.figures import Figure
from apportion.report.page import Card, Plot
from apportion.report.sentences import Run
from apportion.report.turns import Holders, Turns, by_model, holders, job_turns
from apportion.study.fairness import UNFAIR
from apportion.study.result import Result

BINS = 300
ROWS = 160
CELLS = 150_000
"""Cells of all maps of turns together, four bytes each."""


def fairness_card(results: Sequence[Result], labels: Sequence[str], runs: Sequence[Run]) -> Card | None:
    """Return the card on finish-time fairness; None where no run was measured by it."""
    if not any("ftf" in r.jobs.columns and r.jobs["ftf"].drop_nulls().len() for r in results):
        return None
    plots = []
    for key, column, heading, path, title in (
        ("ftf", "ftf", "Against the whole trace", (), "completion time / (run time × jobs of the trace per GPU)"),
        (
            "ftf-contention", "ftf_contention", "Against who was there", ("contention",),
            "completion time / (run time × jobs in the system per GPU)",
        ),
    ):  # fmt: skip
        ratios = [r.jobs[column] if column in r.jobs.columns else r.jobs["jct_s"].clear() for r in results]
        figure = figures.fairness_figure(ratios, labels, title)
        plots.append([Plot(key, [figure], heading=heading, caption=_fairness(runs, path))])
    note = (
        "A job alone on its equal part of the cluster stands at 1; further left is better. "
        f"Dotted: {UNFAIR:g}, above which a job counts as treated unfairly. Jobs per GPU count as at least 1."
    )
    return Card("fairness", "How fairly time is shared", plots, note=note)


def turns_card(results: Sequence[Result], labels: Sequence[str], runs: Sequence[Run], clock: Clock) -> Card | None:
    """Return the card on who had turns when; None where no run went in rounds."""
    if not any("rounds" in r.facts for r in results):
        return None
    bins = clock.bins(BINS)
    columns: list[Plot] = []
    held = holders(results, bins)
    if held is not None:
        drawn = [figures.holders_figure(h, bins, clock, r.cluster.gpus) for h, r in zip(held, results)]
        captions = [_holders(run, h) for run, h in zip(runs, held)]
        heading = f"GPUs by {held[0].what}"
        columns.append(_variants("shares", drawn, captions, runs, heading))
    rows = max(20, min(ROWS, CELLS // (BINS * len(results))))
    found = [(run, t) for r, run in zip(results, runs) if (t := job_turns(r, bins, rows)) is not None]
    if found:
        drawn = [figures.turns_figure(t, bins, clock) for _, t in found]
        captions = [_turns(run, t) for run, t in found]
        columns.append(_variants("turns", drawn, captions, [run for run, _ in found], "Jobs, in the order of arrival"))
    busy = [by_model(r, float(r.jobs["end_s"].max() or clock.end_s)) for r in results]  # type: ignore[arg-type]
    if len({model for run in busy for model in run}) > 1:
        models = Plot(
            "models", [figures.models_figure(busy, labels)], heading="GPU models", caption=_models(runs, busy)
        )
        columns.append(models)
    if not columns:
        return None
    note = f"Means over {words.duration(bins.width_s)} each. Empty: the job is not in the system."
    return Card("rounds", "Who has a turn when", [columns], note=note, legend=False)


def _variants(key: str, drawn: list[Figure], captions: list[str], runs: Sequence[Run], heading: str) -> Plot:
    plot = Plot(key, drawn, variants=[run.html for run in runs], captions=captions, heading=heading)
    if len(drawn) == 1:
        plot.caption = captions[0]
    return plot


def _fairness(runs: Sequence[Run], path: tuple[str, ...]) -> str:
    """Return the worst ratio and the part treated unfairly of up to three runs."""
    several = len(runs) > 1
    said = []
    for run in runs:
        worst, unfair = run.number("ftf", *path, "worst"), run.number("ftf", *path, "unfair_fraction")
        if worst is None or unfair is None:
            continue
        tail = f" under {run.html}" if several else ""
        said.append(f"{words.amount(worst)}{tail} ({words.percent(unfair)} of the jobs above {UNFAIR:g})")
    return f"The worst ratio is {words.names(said[:3])}." if said else "No job completed."


def _holders(run: Run, held: Holders) -> str:
    total = held.gpus.sum(axis=1)
    if not total.sum():
        return f"Under {run.html} nobody holds a GPU."
    most = int(np.argmax(total))
    part = words.percent(float(total[most] / total.sum()))
    if held.names[most] == "others" and len(held.names) > 1:
        named = int(np.argmax(total[:-1]))
        share = words.percent(float(total[named] / total.sum()))
        return (
            f"Under {run.html} the {held.what} with the most GPU time, {escape(held.names[named])}, has {share} of it; "
            f"all {held.what}s not named together {part}."
        )
    return f"Under {run.html} the {held.what} with the most GPU time, {escape(held.names[most])}, has {part} of it."


def _turns(run: Run, turns: Turns) -> str:
    text = f"Under {run.html} jobs hold "
    text += (
        f"{words.percent(float(np.nanmean(turns.part)) / 100)} of their GPUs on average while they are in the system"
    )
    kept, count = run.number("rounds", "lease_extension"), run.number("rounds", "count")
    if kept is not None and count is not None:
        text += (
            f"; from one of the {words.plural(count, 'round')} to the next, {words.percent(kept)} of those that could "
            "go on do so on the same GPUs"
        )
    return text + "."


def _models(runs: Sequence[Run], busy: Sequence[dict[str, float]]) -> str:
    said = []
    for run, models in list(zip(runs, busy))[:3]:
        most, least = max(models, key=lambda m: models[m]), min(models, key=lambda m: models[m])
        if words.percent(models[most]) == words.percent(models[least]):
            said.append(f"under {run.html} every model is allocated {words.percent(models[most])} of its time")
            continue
        said.append(
            f"under {run.html} {escape(most or 'no model given')} is allocated {words.percent(models[most])} of its "
            f"time, {escape(least or 'no model given')} {words.percent(models[least])}"
        )
    text = "; ".join(said)
    return text[0].upper() + text[1:] + "."
