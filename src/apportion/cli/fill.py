"""`apportion fill`, and `apportion compare --fill`: the packing experiment, once and side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apportion.cli import options as opt

if TYPE_CHECKING:
    from apportion.study.fill_compare import FillStudy

LOAD, SEED = 1.3, 42
"""As in the published runs."""

LoadOpt = Annotated[float, typer.Option("--load", help="GPUs asked for by all arrivals over those of the cluster.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="fill")(fill)


def fill(
    trace: opt.TraceArg,
    policy: Annotated[
        str, typer.Option("--policy", "-p", help="A placement such as best-fit, or a weighted sum of them.")
    ] = "fgd",
    cluster: opt.ClusterOpt = None,
    load: LoadOpt = LOAD,
    seed: opt.SeedOpt = SEED,
    json: opt.JsonOpt = None,
    out: Annotated[Path | None, typer.Option(help="Folder for summary.json, curve.parquet, report.html.")] = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Fill a cluster with arriving tasks, none of which departs, and see how much of it stays unused.

    The packing experiment of FGD (ATC 2023): times play no part, the order of arrival is drawn.

    Example: apportion fill "synthetic:philly?jobs=5000" --policy fgd
    """
    from apportion.cli.outputs import show_json
    from apportion.cli.progress import bar, interruptible
    from apportion.model.errors import UsageError
    from apportion.study.fill import fill as run
    from apportion.study.fill_compare import FillRun, FillStudy
    from apportion.traces.registry import expand

    check_load(load)
    check_placement(policy)
    specs = expand(trace)
    if len(specs) > 1:
        raise UsageError(f"found {len(specs)} traces in {trace}, expected one; compare --fill takes several")
    loaded, machine = opt.load_trace(specs[0], cluster, quiet, timeless=True)
    with bar(policy, quiet) as update:
        filling = interruptible(
            run,
            loaded.workload,
            machine,
            policy,
            seed=seed,
            load=load,
            trace=specs[0],
            progress=None if update is None else lambda done, of: update(0, done, of),
        )
    study = FillStudy([filling.trace], [policy], [seed], [FillRun.of(filling)])
    if out is not None:
        _save(study, filling.summary(), out, "curve.parquet", quiet)
    show_json(filling.summary(), json)
    if str(json) != "-":
        from apportion.report.fill_terminal import print_fill

        print_fill(study)


def compare_fills(
    trace: str,
    policies: Sequence[str],
    *,
    cluster: str | None,
    seeds: int,
    seed: int,
    load: float,
    workers: int | None,
    json: Path | None,
    out: Path | None,
    quiet: bool,
) -> None:
    """Do what `apportion compare --fill` does."""
    from apportion.cli.outputs import show_json
    from apportion.cli.progress import bar
    from apportion.study.fill_compare import compare_fills as run
    from apportion.study.fill_compare import short_names
    from apportion.traces.registry import expand

    check_load(load)
    for policy in policies:
        check_placement(policy)
    specs = expand(trace)
    several, names = len(specs) > 1, short_names(specs)
    loaded, machine = [], None
    with bar("reading", quiet, len(specs)) as update:
        for number, spec in enumerate(specs):
            found, machine = opt.load_trace(spec, cluster, quiet or several, timeless=True)
            if several and not quiet:
                dropped = [f"dropped {count:,}: {reason}" for reason, count in found.report.dropped.items()]
                opt.note("; ".join([f"{names[number]}: {len(found.workload):,} tasks", *dropped]))
            loaded.append(found)
            if update is not None:
                update(number, 1, 1)
    with bar("filling", quiet, len(specs) * len(policies) * seeds) as update:

        def finished(run: int, done: int, of: int) -> None:
            if done == of:
                update(run, done, of)

        study = run(
            loaded,
            policies,
            cluster=machine if cluster else None,
            seeds=seeds,
            seed=seed,
            load=load,
            workers=workers,
            progress=None if update is None else finished,
        )
    summaries = study.summaries()
    if out is not None:
        _save(study, summaries, out, "curves.parquet", quiet)
    show_json(summaries, json)
    if str(json) != "-":
        from apportion.report.fill_terminal import print_fills

        print_fills(study)


def check_load(load: float) -> None:
    """Raise `UsageError` unless tasks can arrive until they ask for `load` x the GPUs."""
    from apportion.model.errors import UsageError

    if not 0 < load < math.inf:
        raise UsageError(f"found --load {load:g}, expected a number above 0 such as {LOAD}")


def check_placement(policy: str) -> None:
    """Raise `PolicyError` unless `policy` is a placement or a weighted sum of them."""
    from apportion.model.errors import PolicyError
    from apportion.policies.registry import entries, parse_placement

    try:
        parse_placement(policy)
    except PolicyError:
        name = policy.strip().partition("[")[0].partition("+")[0]
        kinds = [entry.kind for entry in entries() if entry.name == name]
        if kinds and "placement" not in kinds:
            article = "an" if kinds[0][0] in "ao" else "a"
            raise PolicyError(
                f"{name} is {article} {kinds[0]}, but here nothing waits; expected a placement such as fgd"
            ) from None
        raise


def _save(study: FillStudy, summary: Any, folder: Path, table: str, quiet: bool) -> None:
    """Write the files of a filling or of several."""
    from apportion.model.files import whole_file
    from apportion.report.fill_html import write_fill_report
    from apportion.study.files import make_folder, write_json

    make_folder(folder)
    curves = study.runs[0].curve if isinstance(summary, dict) else study.frame()
    with whole_file(folder / table) as part:
        curves.write_parquet(part)
    write_fill_report(study, folder / "report.html")
    write_json(summary, folder / "summary.json")
    if not quiet:
        opt.note(f"wrote {folder}: summary.json, {table}, report.html")
