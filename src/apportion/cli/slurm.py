"""How the commands reach Slurm: through its programs, or with --rest through its REST daemon."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from apportion.live.slurm import Access, SlurmBackend

RestOpt = Annotated[
    str | None,
    typer.Option("--rest", metavar="URL", help="Slurm: ask its REST daemon, at a socket or http(s)://host:port."),
]
TOKEN = "SLURM_JWT"
"""Variable of the token, the one that Slurm's own programs read; a flag would show it to all users."""


def slurm_access(rest: str | None) -> Access:
    """Return the way to Slurm.

    Raises
    ------
    BackendError: the address or the token is none.
    """
    from apportion.live.slurm import Rest, Slurm

    return Slurm() if rest is None else Rest(rest, token=os.environ.get(TOKEN) or None)


def slurm_backend(main: str, wait: str, rest: str | None) -> SlurmBackend:
    """Return the cluster.

    Raises
    ------
    BackendError: as `slurm_access`, or a name of a partition is none.
    """
    from apportion.live.slurm import SlurmBackend

    return SlurmBackend(main=main, wait=wait, slurm=slurm_access(rest))
