"""`apportion generate`: a synthetic trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apportion.cli import options as opt

if TYPE_CHECKING:
    from apportion.model.trace import Trace
    from apportion.traces.generator.likeness import Distance


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="generate")(generate)


def generate(
    out: Annotated[Path, typer.Option(help="The file to write: .parquet or .csv.")],
    preset: Annotated[
        str | None,
        typer.Argument(
            metavar="[PRESET]", help="philly, venus, earth, saturn, uranus, pai, seren, kalos, openb or spot2026."
        ),
    ] = None,
    like: Annotated[str | None, typer.Option(metavar="TRACE", help="Instead of a preset: fit to this trace.")] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="With --like: the cluster that --load refers to.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Number of jobs (10,000; with --like as many as it has).")] = None,
    days: Annotated[float | None, typer.Option(help="Length in days instead of a number of jobs.")] = None,
    load: Annotated[float | None, typer.Option(help="Offered load on the cluster.")] = None,
    deadlines: Annotated[bool, typer.Option("--deadlines", help="Add a deadline to each job.")] = False,
    elastic: Annotated[bool, typer.Option("--elastic", help="Add the range of GPUs each job may have.")] = False,
    seed: opt.SeedOpt = 0,
    quiet: opt.QuietOpt = False,
) -> None:
    """Write a synthetic trace calibrated to a published cluster, or fitted to a trace.

    Example: apportion generate philly --jobs 10000 --seed 7 --out philly.parquet
    """
    from apportion.cli.progress import bar, interruptible
    from apportion.model.errors import UsageError
    from apportion.traces.generator.generate import generate as make
    from apportion.traces.generator.presets import get_preset
    from apportion.traces.native import check_ending, write_native

    if (preset is None) == (like is None):
        raise UsageError("expected a PRESET or --like TRACE, one of them")
    if cluster is not None and like is None:
        raise UsageError("found --cluster beside a preset, which has its own; expected it with --like")
    check_ending(out)
    asked: dict[str, Any] = {"jobs": jobs, "days": days, "load": load, "seed": seed}
    asked |= {"deadlines": deadlines, "elastic": elastic}
    original: Trace | None = None
    if like is not None:
        original, found, asked["cluster"] = _fitted(like, cluster, load, quiet)
        asked["jobs"] = len(original.workload) if jobs is None and days is None else jobs
    else:
        found = get_preset(preset or "")
    with bar("generating", quiet) as update:
        step = None if update is None else (lambda done, of: update(0, done, of))
        trace = interruptible(make, found, **asked, progress=step)
    write_native(trace.workload, out)
    if original is not None:
        from apportion.traces.generator.likeness import likeness

        _show(likeness(original.workload, trace.workload))
    if not quiet:
        for line in trace.report.notes:
            opt.note(line)
        opt.note(f"wrote {out}: {len(trace.workload):,} jobs")


def _fitted(like: str, cluster: str | None, load: float | None, quiet: bool) -> Any:
    from apportion.cli.progress import interruptible
    from apportion.model.cluster_spec import parse_cluster
    from apportion.model.errors import InputError
    from apportion.traces.generator.fit import fit
    from apportion.traces.registry import load as read

    machine = parse_cluster(cluster) if cluster else None
    original = read(like)
    machine = machine or original.cluster
    if machine is None and load is not None:
        raise InputError(f"{like}: this trace has no nodes; --load needs --cluster, for example --cluster 50x8")
    if not quiet:
        for line in original.report.lines():
            opt.note(line)
    return original, interruptible(fit, original.workload, machine), machine


def _show(found: list[Distance]) -> None:
    def cell(value: float | None, digits: int = 3) -> str:
        if value is None:
            return "-"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"

    width = max(len(line.what) for line in found)
    print(f"{'':{width}}  {'original':>12}  {'generated':>12}  {'distance':>8}")
    for line in found:
        print(f"{line.what:{width}}  {cell(line.original):>12}  {cell(line.generated):>12}  {cell(line.distance):>8}")
