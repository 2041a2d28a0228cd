"""Tables of the packing experiment for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.text import Text

from apportion.report import words
from apportion.report.fill_numbers import full_pct, mean_and_sd
from apportion.report.measures import best
from apportion.report.terminal import NAME_WIDTH, console_for, in_blocks, plain_table
from apportion.study.fill_compare import FillStudy, short_names

SHOWN_PCT = (60, 80, 90, 95, 100, 110, 120, 130)
"""Rows of the table of one run; the last percent is always there."""


def print_fill(study: FillStudy, *, console: Console | None = None) -> None:
    """Print the curve of the one run of `study` at a few loads, and how long the engine took.

    Parameters
    ----------
    console: where to; by default standard output.
    """
    out = console_for(console)
    run, last = study.runs[0], study.last_pct
    shown = sorted({pct for pct in SHOWN_PCT if pct <= last} | {last})
    out.print(Text(f"{run.policy} on {run.trace}, seed {run.seed}", "bold"), soft_wrap=True)
    table = plain_table(out, "")
    for heading in (
        "arrived\n% of GPUs",
        "unallocated\n% of GPUs",
        "fragments\n% of GPUs",
        "fragments\n% of free",
        "failed\ntasks",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    columns = [study.unallocated(), study.values("frag_pct"), study.values("frag_ratio_pct")]
    for pct in shown:
        cells = [_number(float(values[0, 0, 0, pct])) for values in columns]
        table.add_row(str(pct), *cells, words.count(float(study.values("failed")[0, 0, 0, pct])))
    out.print(table)
    out.print(Text(f"{words.plural(run.arrivals, 'task')} arrived; the engine took {run.engine_s:.2f} s.", "dim"))


def print_fills(study: FillStudy, *, console: Console | None = None) -> None:
    """Print the unallocated GPUs when demand reaches capacity and at the end, a row a trace and a column a placement.

    With one trace a row is a placement. The least of each trace is green, or marked `*` without colours.

    Parameters
    ----------
    console: where to; by default standard output.
    """
    out = console_for(console)
    names, policies = short_names(study.traces), words.numbered(study.policies)
    percents = list(dict.fromkeys((full_pct(study), study.last_pct)))
    cells = {pct: _cells(study, pct, out.is_terminal) for pct in percents}
    if len(names) == 1:
        columns = [(f"{pct} %\nasked for", cells[pct][0]) for pct in percents]
        _print(out, f"Unallocated GPUs in % on {names[0]}", "placement", policies, columns)
    else:
        for pct in percents:
            columns = [(policy, [row[p] for row in cells[pct]]) for p, policy in enumerate(policies)]
            _print(out, f"Unallocated GPUs in % when {pct} % of them are asked for", "trace", names, columns)
    seeds = len(study.seeds)
    notes = [f"mean ±sd over {seeds} seeds"] if seeds > 1 else []
    notes += [f"{'green' if out.is_terminal else '*'}: least unallocated"] if len(policies) > 1 else []
    seconds = sum(run.engine_s for run in study.runs)
    notes += [f"{words.plural(len(study.runs), 'run')}, {seconds:.2f} s in the engine"]
    text = "; ".join(notes)
    out.print(Text(f"{text[0].upper()}{text[1:]}.", "dim"))


def _cells(study: FillStudy, pct: int, colours: bool) -> list[list[Text]]:
    """Return the cells of each trace, one a placement."""
    mean, sd = mean_and_sd(study.unallocated()[..., pct])
    rows = []
    for values, spreads in zip(mean.tolist(), sd.tolist()):
        marks = best([None if np.isnan(value) else value for value in values], lower_is_better=True)
        apart = not all(marks)
        rows.append([_cell(v, spread, mark and apart, colours) for v, spread, mark in zip(values, spreads, marks)])
    return rows


def _cell(mean: float, sd: float, is_best: bool, colours: bool) -> Text:
    text = _number(mean) + ("" if np.isnan(sd) else f" ±{sd:.2f}")
    return Text(f"*{text}" if is_best and not colours else text, "bold green" if is_best and colours else "")


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _print(
    out: Console, title: str, head: str, names: Sequence[str], columns: Sequence[tuple[str, list[Text]]]
) -> None:
    width = min(max(len(name) for name in [head, *names]), NAME_WIDTH)
    out.print(Text(title, "bold"), soft_wrap=True)
    for block in in_blocks(columns, out.width - width - 3):
        table = plain_table(out, "")
        table.add_column("\n" * block[0][0].count("\n") + head, overflow="fold", width=width)
        for heading, _ in block:
            table.add_column(heading, justify="right", no_wrap=True)
        for row, name in enumerate(names):
            table.add_row(Text(name), *[cells[row] for _, cells in block])
        out.print(table)
