"""Lists of things with a few facts each, readable at any width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Block = tuple[str, str, str, Mapping[str, str]]
"""(heading, name, what it is, facts); a fact without text is left out."""


def show(blocks: Iterable[Block]) -> None:
    """Print blocks under their headings; long lines wrap under themselves."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console()
    width = console.width if console.is_terminal else 100
    last = None
    for heading, name, what, facts in blocks:
        if heading != last:
            console.print(Text(("\n" if last is not None else "") + heading, style="bold"))
            last = heading
        line = Text.assemble((name, "cyan"), f": {what}" if what else "")
        console.print(Padding(line, (0, 0, 0, 2)), width=width)
        for key, value in facts.items():
            if value:
                console.print(Padding(Text(f"{key}: {value}", style="dim"), (0, 0, 0, 6)), width=width)
