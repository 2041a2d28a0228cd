"""`apportion traces`: the formats that can be read."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="traces")(traces)


def traces() -> None:
    """List trace formats, with where to download them.

    Example: apportion traces
    """
    from rich.console import Console
    from rich.table import Table

    from apportion.traces.registry import all_formats

    table = Table("format", "what it is", "from", "example", box=None, pad_edge=False)
    for fmt in all_formats():
        table.add_row(fmt.name, fmt.title, fmt.source, fmt.example)
    Console().print(table)
