"""`apportion policies`: what there is, with its paper."""

from __future__ import annotations

import re

import typer

_CITATION = re.compile(r"[A-Z][^\".]*(?:et al\.)?[^\".]*\"[^\"]+\"[^.;]*?\d{4}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="policies")(policies)


def policies() -> None:
    """List orders, allocators and placements, with their papers and parameters.

    Example: apportion policies
    """
    import inspect

    from apportion.cli.listing import show
    from apportion.policies.parameters import written
    from apportion.policies.registry import entries

    blocks = []
    for entry in entries():
        cls = entry.load()
        module = inspect.getmodule(cls)
        text = inspect.cleandoc((module.__doc__ if module else "") or "")
        first, _, rest = text.partition("\n\n")
        cited = _CITATION.search(" ".join(rest.split()))
        names = [written(name) for name in inspect.signature(cls).parameters]
        facts = {"paper": cited[0] if cited else "", "parameters": ", ".join(names)}
        blocks.append((entry.kind, entry.name, " ".join(first.split()), facts))
    show(blocks)
