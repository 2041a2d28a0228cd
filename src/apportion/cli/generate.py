"""`apportion generate`: a synthetic trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apportion.cli import options as opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="generate")(generate)


def generate(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="philly or venus.")],
    out: Annotated[Path, typer.Option(help="The file to write: .parquet or .csv.")],
    jobs: Annotated[int | None, typer.Option(help="Number of jobs.")] = None,
    days: Annotated[float | None, typer.Option(help="Length in days instead of a number of jobs.")] = None,
    load: Annotated[float | None, typer.Option(help="Offered load on the preset's cluster.")] = None,
    seed: opt.SeedOpt = 0,
    quiet: opt.QuietOpt = False,
) -> None:
    """Write a synthetic trace calibrated to a published cluster.

    Example: apportion generate philly --jobs 10000 --seed 7 --out philly.parquet
    """
    from apportion.traces.native import write_native
    from apportion.traces.registry import load as read

    given = {"jobs": jobs, "days": days, "load": load, "seed": seed}
    query = "&".join(f"{key}={value}" for key, value in given.items() if value is not None)
    trace = read(f"synthetic:{preset}?{query}")
    write_native(trace.workload, out)
    if not quiet:
        opt.note(f"wrote {out}: {len(trace.workload):,} jobs")
