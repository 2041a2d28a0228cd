"""Tables of summaries for the terminal; plain text where the output is no terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apportion.report import words
from apportion.report.measures import MEASURES, Measure, Summary, best
from apportion.study.result import Result

WIDTH = 100
"""Columns of a table that goes to a file or a pipe."""

NAME_WIDTH = 24
"""Widest column of policies; longer names go on in the next line."""

_COMPARED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("jct_s", "mean"), "JCT\nmean"),
    (("jct_mean_ci95_s",), "JCT mean\n95 % ±"),
    (("jct_s", "p50"), "JCT\np50"),
    (("jct_s", "p99"), "JCT\np99"),
    (("wait_s", "mean"), "wait\nmean"),
    (("wait_s", "p50"), "wait\np50"),
    (("wait_s", "p99"), "wait\np99"),
    (("wait_s", "max"), "wait\nmax"),
    (("makespan_s",), "\nmakespan"),
    (("gpu_utilization",), "GPU\nuse"),
    (("steady", "allocated_pct"), "steady:\nallocated"),
    (("allocated_ci95_pct",), "\n95 % ±"),
    (("steady", "fragmented_pct"), "steady:\nfragments"),
    (("fragmented_ci95_pct",), "\n95 % ±"),
    (("completed",), "\ndone"),
    (("rejected",), "\nrejected"),
    (("unfinished",), "\nunfinished"),
    (("preemptions",), "\npreempted"),
    (("ftf", "worst"), "worst\nFTF"),
    (("ftf", "unfair_fraction"), "\nunfair"),
    (("deadlines", "met"), "deadlines\nmet"),
    (("energy_kwh",), "energy\nkWh"),
    (("carbon_g",), "carbon\ng"),
    (("cost_usd",), "cost\nUSD"),
)
_SHOWN_IF_ANY = {("rejected",), ("unfinished",), ("preemptions",)}
_SHORT_UNITS = ((" min", "m"), (" s", "s"), (" h", "h"), (" d", "d"), (" %", "%"))


def print_summary(run: Result | Summary, *, console: Console | None = None) -> None:
    """Print the numbers of one run, a line each.

    Parameters
    ----------
    run: a result or its summary. console: where to; by default standard output.
    """
    summary = run.summary() if isinstance(run, Result) else run
    out = console_for(console)
    title = f"{summary.get('policy', 'run')} on {summary.get('trace', 'a trace')}"
    table = plain_table(out, title)
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    if summary.get("jobs") is not None:
        table.add_row("jobs", words.count(float(summary["jobs"])))
    for measure in MEASURES:
        value = measure.of(summary)
        if value is not None:
            several = sum(m.group == measure.group and len(m.path) > 1 for m in MEASURES) > 1
            name = f"{measure.group.lower()}, {measure.name}" if several else measure.name
            table.add_row(name, measure.write(value))
    out.print(table)


def print_comparison(summaries: Sequence[Summary], *, console: Console | None = None) -> None:
    """Print summaries side by side, a row a policy; the best of each column is green, or `*` without colours.

    Parameters
    ----------
    summaries: as `Result.summary()` returns them. console: where to; by default standard output.
    """
    if not summaries:
        raise ValueError("found no summaries, expected at least one")
    out = console_for(console)
    traces = list(dict.fromkeys(str(s.get("trace", "")) for s in summaries))
    title = traces[0] if len(traces) == 1 else f"{len(traces)} traces"
    names = _names(summaries)
    columns = [_column(m, heading, summaries, out.is_terminal) for m, heading in _compared(summaries)]
    name_width = min(max(len(name) for name in ["policy", *names]), NAME_WIDTH)
    for number, block in enumerate(in_blocks(columns, out.width - name_width - 3)):
        table = plain_table(out, title if number == 0 else "")
        table.add_column("\npolicy", overflow="fold", width=name_width)
        for heading, _ in block:
            table.add_column(heading, justify="right", no_wrap=True)
        for row, name in enumerate(names):
            table.add_row(Text(name), *[cells[row] for _, cells in block])
        out.print(table)
    if len(summaries) > 1:
        mark = "green" if out.is_terminal else "*"
        out.print(Text(f"{mark}: best of its column. JCT: job completion time, from submission to end.", "dim"))


Column = tuple[str, list[Text]]


def _column(measure: Measure, heading: str, summaries: Sequence[Summary], colours: bool) -> Column:
    values = [measure.of(s) for s in summaries]
    marks = best(values, measure.lower_is_better)
    # A column where every run is the same tells nothing apart: no mark.
    apart = not all(marks) and not measure.path[-1].endswith(("ci95_s", "ci95_pct"))
    return heading, [_cell(measure, v, mark and apart, colours) for v, mark in zip(values, marks)]


def in_blocks(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """Return the columns in as many tables as the width asks for: none is ever cut off."""
    blocks: list[list[Column]] = []
    room = 0
    for heading, cells in columns:
        need = 2 + max([len(line) for line in heading.split("\n")] + [cell.cell_len for cell in cells])
        if not blocks or need > room:
            blocks.append([])
            room = width
        blocks[-1].append((heading, cells))
        room -= need
    return blocks


def _compared(summaries: Sequence[Summary]) -> list[tuple[Measure, str]]:
    by_path = {m.path: m for m in MEASURES}
    out = []
    for path, heading in _COMPARED:
        values = [v for s in summaries if (v := by_path[path].of(s)) is not None]
        if values and (any(values) or path not in _SHOWN_IF_ANY):
            out.append((by_path[path], heading))
    return out


def _names(summaries: Sequence[Summary]) -> list[str]:
    policies = [str(s.get("policy", "run")) for s in summaries]
    detailed = [f"{p} · {s.get('trace', '')}" for p, s in zip(policies, summaries)]
    if len(set(policies)) < len(policies) == len(set(detailed)):
        return detailed
    return words.numbered(policies)


def _cell(measure: Measure, value: float | None, is_best: bool, colours: bool) -> Text:
    if value is None:
        return Text("-")
    text = measure.write(value)
    for long, short in _SHORT_UNITS:
        text = text.removesuffix(long) + short if text.endswith(long) else text
    if not colours:
        return Text(f"*{text}" if is_best else text)
    return Text(text, style="bold green" if is_best else "")


def console_for(console: Console | None) -> Console:
    """Return where to print, by default standard output, wide enough for tables that go to a file."""
    out = console or Console(highlight=False)
    if not out.is_terminal:
        out.width = max(out.width, WIDTH)
    return out


def plain_table(console: Console, title: str) -> Table:
    """Return an empty table in the one style of all."""
    lines = box.SIMPLE_HEAD if console.is_terminal else None
    return Table(
        title=Text(title),
        title_justify="left",
        title_style="bold",
        box=lines,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
