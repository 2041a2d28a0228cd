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
    from apportion.cli.listing import show
    from apportion.traces.registry import all_formats

    blocks = []
    for fmt in all_formats():
        paper = "" if fmt.paper == "-" else fmt.paper
        facts = {"paper": paper, "from": fmt.source, "licence": fmt.licence, "example": fmt.example}
        blocks.append(("formats", fmt.name, fmt.title, facts))
    show(blocks)
