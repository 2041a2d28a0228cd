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
    from apportion.cli.listing import show
    from apportion.traces.downloads import DOWNLOADS

    blocks = []
    for name, download in DOWNLOADS.items():
        size = f"about {download.size_mb:,.0f} MB" if download.size_mb else ""
        facts = {"size": size, "licence": download.licence, "from": download.source, "then": download.then}
        blocks.append(("downloads", name, download.title, facts))
    show(blocks)
