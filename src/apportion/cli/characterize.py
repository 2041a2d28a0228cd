"""`apportion characterize`: the report on a workload."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apportion.cli import options as opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="characterize")(characterize)


def characterize(
    trace: opt.TraceArg,
    cluster: opt.ClusterOpt = None,
    against: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,...", help="Published clusters to lay beside: philly,venus,pai.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.html, summary.json and tables/*.csv.")] = None,
    json: opt.JsonOpt = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Say what runs in a trace: sizes, run times, waits, ends, users, groups, rhythm, requests.

    Example: apportion characterize "synthetic:philly?jobs=5000" --against venus,pai
    """
    from apportion.cli.outputs import show_json
    from apportion.cli.progress import bar
    from apportion.model.cluster_spec import parse_cluster
    from apportion.study.characterize.published import get_reference
    from apportion.study.characterize.report import characterize as study
    from apportion.study.characterize.report import write_files
    from apportion.traces.registry import load

    names = list(dict.fromkeys(name.strip() for name in (against or "").split(",") if name.strip()))
    for name in names:
        get_reference(name)  # a mistake is said before a large trace is read
    machine = parse_cluster(cluster) if cluster else None
    loaded = load(trace)
    if not quiet:
        for line in loaded.report.lines():
            opt.note(line)
    with bar("characterize", quiet) as update:
        progress = None if update is None else lambda done, of: update(0, done, of)
        report = study(loaded, machine, names, progress=progress)
    if out is not None:
        from apportion.report.characterize_html import write_characterization

        write_files(report, out)
        write_characterization(report, out / "report.html")
        if not quiet:
            opt.note(f"wrote {out}: report.html, summary.json and tables/*.csv")
    show_json(report.summary(), json)
    if str(json) != "-":
        from apportion.report.characterize_terminal import print_characterization

        print_characterization(report)
