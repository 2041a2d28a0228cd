"""`apportion fetch`: download a public trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apportion.cli import options as opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="fetch")(fetch)


def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="What to download; without a name: list what there is.")
    ] = None,
    folder: Annotated[Path, typer.Option("--dir", help="Folder to put it in.")] = Path("data"),
    mirror: Annotated[
        str | None, typer.Option(help="Take the files from under this address instead of their source.")
    ] = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Download a public trace, with resume and checksum.

    Example: apportion fetch openb --dir data
    """
    from apportion.cli.progress import bar
    from apportion.traces.downloads import DOWNLOADS
    from apportion.traces.fetch import fetch as download

    if name is None:
        _list()
        return
    with bar(f"fetching {name}", quiet) as update:
        path = download(
            name,
            folder,
            progress=None if update is None else lambda done, of: update(0, done, of or 0),
            base_url=mirror,
        )
    typer.echo(str(path))
    if not quiet:
        opt.note(DOWNLOADS[name].then)


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    from apportion.traces.downloads import DOWNLOADS

    table = Table("name", "what it is", "MB", "licence", box=None, pad_edge=False)
    for name, download in DOWNLOADS.items():
        size = f"{download.size_mb:,.0f}" if download.size_mb else "?"
        table.add_row(name, download.title, size, download.licence)
    Console().print(table)
