"""The report on a workload for the terminal: the overview as a table, then a line for each section."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text

from apportion.report import words
from apportion.report.characterize_left_out import left_out
from apportion.report.characterize_numbers import others, rows
from apportion.report.terminal import console_for, plain_table
from apportion.study.characterize.report import Report


def print_characterization(report: Report, *, console: Console | None = None) -> None:
    """Print the overview, beside what is published of others where that was asked for, and the first sentences.

    Parameters
    ----------
    console: where to; by default standard output.
    """
    out = console_for(console)
    table = plain_table(out, report.trace)
    table.add_column("overview", no_wrap=True)
    table.add_column("here" if report.against else "value", justify="right", no_wrap=True)
    for name in others(report):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows(report):
        table.add_row(row.name, row.here, *row.others)
    out.print(table)
    for section in report.sections:
        if section.key != "overview" and section.sentences:
            out.print()
            out.print(Text(section.title, "bold"))
            compared = [s for s in section.sentences[1:] if s.startswith("Furthest from")]
            for sentence in (section.sentences[0], *compared):
                out.print(_indented(sentence, out.width))
    lacking = left_out(report)
    if lacking:
        out.print()
        out.print(Text("left out", "bold"))
        for found in lacking:
            out.print(_indented(f"{', '.join(found.titles)}: {found.why}", out.width), style="dim")


def _indented(text: str, width: int) -> Text:
    """Return lines that keep numbers and their units together, without blanks at their ends."""
    lines = textwrap.fill(words.unbroken(text), width, initial_indent="  ", subsequent_indent="  ")
    return Text(lines.replace("\u00a0", " "))
