"""`apportion compare`: several policies side by side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from apportion.cli import fill as filling
from apportion.cli import options as opt

FILL_TAKES = {"trace", "policies", "fill", "cluster", "seeds", "seed", "load", "workers", "json", "out", "quiet"}
"""What may stand beside `--fill`; everything else belongs to simulation."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="compare")(compare)


def compare(
    ctx: typer.Context,
    trace: opt.TraceArg,
    policies: Annotated[list[str], typer.Argument(metavar="P1 P2 ...", help="Policies, as in fifo sjf+best-fit.")],
    cluster: opt.ClusterOpt = None,
    fill: Annotated[
        bool, typer.Option("--fill", help="The packing experiment of `apportion fill`; policies are placements.")
    ] = False,
    load: Annotated[
        float | None, typer.Option(help="With --fill: GPUs asked for by all arrivals over those there are (1.3).")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs per policy, with seeds SEED, SEED+1, ...")] = 1,
    loads: Annotated[
        str | None, typer.Option(help="Offered loads to rescale the arrivals to, as in 0.8,1.0,1.2.")
    ] = None,
    churn: Annotated[
        bool,
        typer.Option("--churn", help="Not the trace's times: a random stream of its jobs at each of --loads, by seed."),
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Runs at once. Default: one per core.")] = None,
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster that runs them (auto).")] = None,
    backfill: opt.BackfillOpt = "skip",
    granularity: opt.GranularityOpt = 0.0,
    checkpoint_cost: opt.CheckpointCostOpt = "0",
    checkpoint_interval: opt.CheckpointIntervalOpt = 0.0,
    failures: opt.FailuresOpt = None,
    power_off: opt.PowerOffOpt = None,
    rules: opt.RulesOpt = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything drawn. Default: 0, with --fill 42.")] = None,
    until: opt.UntilOpt = None,
    check: opt.CheckOpt = False,
    json: opt.JsonOpt = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html, summary.json and the tables of every run.")
    ] = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Run a trace under several policies and put them side by side.

    Example: apportion compare "synthetic:philly?jobs=5000&load=1.1" fifo sjf las --out demo
    """
    from apportion.cli.outputs import label, save_study, show_json
    from apportion.cli.progress import bar
    from apportion.model.errors import UsageError
    from apportion.policies.registry import parse_policy
    from apportion.study.compare import compare as run

    if seeds < 1:
        raise UsageError(f"found --seeds {seeds}, expected at least 1")
    if workers is not None and workers < 1:
        raise UsageError(f"found --workers {workers}, expected at least 1")
    if seed is not None and seed < 0:
        raise UsageError(f"found --seed {seed}, expected at least 0")
    if fill:
        _refuse_settings(ctx)
        first, reached = filling.SEED if seed is None else seed, filling.LOAD if load is None else load
        filling.compare_fills(
            trace,
            policies,
            cluster=cluster,
            seeds=seeds,
            seed=first,
            load=reached,
            workers=workers,
            json=json,
            out=out,
            quiet=quiet,
        )
        return
    if load is not None:
        raise UsageError("--load belongs to --fill; --loads rescales the arrivals of a simulation")
    for policy in policies:
        parse_policy(policy)
    settings = opt.run_settings(
        backfill, granularity, checkpoint_cost, checkpoint_interval, failures, until, check, power_off, rules
    )
    try:
        wanted = [float(load) for load in loads.split(",")] if loads else []
    except ValueError:
        wanted = [math.nan]
    if not all(0 < load < math.inf for load in wanted):
        raise UsageError(f"found --loads {loads}, expected numbers above 0 such as 0.8,1.0,1.2")
    if churn and not wanted:
        raise UsageError("--churn needs --loads, as in --churn --loads 0.9,1.0")
    loaded, machine = opt.load_trace(trace, cluster, quiet, timeless=churn)
    opt.check_nodes(failures, settings["failures"], machine)
    count = len(policies) * max(len(wanted), 1) * seeds
    with bar("comparing", quiet, count) as update:
        study = run(
            loaded,
            policies,
            cluster=machine,
            seeds=seeds,
            loads=wanted,
            churn=churn,
            workers=workers,
            ray=ray,
            progress=update,
            seed=seed or 0,
            **settings,
        )
    if out is not None:
        save_study(study, out, quiet)
    show_json(study.summaries(), json)
    if str(json) != "-":
        from apportion.report.terminal import print_comparison

        print_comparison([summary | {"policy": label(summary)} for summary in study.means()])


def _refuse_settings(ctx: typer.Context) -> None:
    """Raise `UsageError` for the first option given that has no meaning beside `--fill`."""
    from apportion.model.errors import UsageError

    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        if parameter.name not in FILL_TAKES and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"{parameter.opts[0]} belongs to simulation; with --fill times play no part")
