"""`apportion policies`: what there is, with its source."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="policies")(policies)


def policies() -> None:
    """List orders, allocators and placements, with their papers.

    Example: apportion policies
    """
    import inspect

    from rich.console import Console
    from rich.table import Table

    from apportion.policies.registry import entries

    table = Table("kind", "name", "what it does", "parameters", box=None, pad_edge=False)
    for entry in entries():
        cls = entry.load()
        text = (inspect.getmodule(cls).__doc__ or "").strip().splitlines()
        names = [p.removesuffix("_s") for p in inspect.signature(cls).parameters]
        table.add_row(entry.kind, entry.name, _sentence(text), ", ".join(names))
    Console().print(table)


def _sentence(lines: list[str]) -> str:
    first = " ".join(lines).split(". ")[0] if lines else ""
    return first.rstrip(".")
