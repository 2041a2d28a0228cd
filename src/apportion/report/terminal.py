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

_COMPARED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("jct_s", "mean"), "JCT\nmean"),
    (("jct_s", "p50"), "JCT\np50"),
    (("jct_s", "p99"), "JCT\np99"),
    (("wait_s", "mean"), "wait\nmean"),
    (("wait_s", "p50"), "wait\np50"),
    (("wait_s", "p99"), "wait\np99"),
    (("wait_s", "max"), "wait\nmax"),
    (("makespan_s",), "make-\nspan"),
    (("gpu_utilization",), "GPU\nuse"),
    (("completed",), "jobs\ndone"),
    (("rejected",), "re-\njected"),
    (("unfinished",), "un-\nfinished"),
    (("preemptions",), "pre-\nemptions"),
    (("ftf", "worst"), "worst\nFTF"),
    (("deadlines", "met"), "dead-\nlines"),
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
    out = _console(console)
    title = f"{summary.get('policy', 'run')} on {summary.get('trace', 'a trace')}"
    table = _table(out, title)
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
    _print(out, table)


def print_comparison(summaries: Sequence[Summary], *, console: Console | None = None) -> None:
    """Print summaries side by side, a row a policy; the best of each column is green, or `*` without colours.

    Parameters
    ----------
    summaries: as `Result.summary()` returns them. console: where to; by default standard output.
    """
    if not summaries:
        raise ValueError("found no summaries, expected at least one")
    out = _console(console)
    traces = list(dict.fromkeys(str(s.get("trace", "")) for s in summaries))
    title = traces[0] if len(traces) == 1 else f"{len(traces)} traces"
    table = _table(out, title)
    table.add_column("policy", overflow="fold", min_width=12)
    columns = _columns(summaries)
    marks = []
    for measure, heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
        values = [measure.of(s) for s in summaries]
        # A column where every run is the same tells nothing apart: no mark.
        is_best = best(values, measure.lower_is_better)
        marks.append(is_best if not all(is_best) else [False] * len(values))
    for row, (name, summary) in enumerate(zip(_names(summaries), summaries)):
        cells = [
            _cell(measure, measure.of(summary), marks[c][row], out.is_terminal)
            for c, (measure, _) in enumerate(columns)
        ]
        table.add_row(Text(name), *cells)
    _print(out, table)
    best_is = "green" if out.is_terminal else "*"
    if len(summaries) > 1:
        out.print(Text(f"{best_is}: best of the column. JCT: job completion time, wait + run.", style="dim"))


def _columns(summaries: Sequence[Summary]) -> list[tuple[Measure, str]]:
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


def _console(console: Console | None) -> Console:
    out = console or Console(highlight=False)
    if not out.is_terminal:
        out.width = max(out.width, WIDTH)
    return out


def _table(console: Console, title: str) -> Table:
    lines = box.SIMPLE_HEAD if console.is_terminal else None
    return Table(
        title=Text(title),
        title_justify="left",
        title_style="bold",
        box=lines,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _print(console: Console, table: Table) -> None:
    console.print(table, soft_wrap=False)
