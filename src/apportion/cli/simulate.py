"""`apportion simulate`: one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apportion.cli import options as opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="simulate")(simulate)


def simulate(
    trace: opt.TraceArg,
    policy: Annotated[str, typer.Option("--policy", "-p", help="ORDER+PLACEMENT, as in sjf+best-fit.")] = "fifo",
    cluster: opt.ClusterOpt = None,
    backfill: opt.BackfillOpt = "skip",
    granularity: opt.GranularityOpt = 0.0,
    checkpoint_cost: opt.CheckpointCostOpt = "0",
    checkpoint_interval: opt.CheckpointIntervalOpt = 0.0,
    failures: opt.FailuresOpt = None,
    power_off: opt.PowerOffOpt = None,
    rules: opt.RulesOpt = None,
    seed: opt.SeedOpt = 0,
    until: opt.UntilOpt = None,
    check: opt.CheckOpt = False,
    json: opt.JsonOpt = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for summary.json, jobs.parquet, timeline.parquet, report.html.")
    ] = None,
    perfetto: Annotated[
        bool, typer.Option("--perfetto", help="Also write trace.perfetto.json (open it in ui.perfetto.dev).")
    ] = False,
    quiet: opt.QuietOpt = False,
) -> None:
    """Run a trace under one policy.

    Example: apportion simulate "synthetic:philly?jobs=5000&load=1.1" --policy sjf+best-fit --out demo
    """
    from apportion.cli.outputs import save_run, show_json
    from apportion.cli.running import run_one
    from apportion.model.errors import UsageError
    from apportion.policies.registry import parse_policy

    if perfetto and out is None:
        raise UsageError("--perfetto writes into the folder of --out; give --out DIR too")
    parse_policy(policy)
    settings = opt.run_settings(
        backfill, granularity, checkpoint_cost, checkpoint_interval, failures, until, check, power_off, rules
    )
    result = run_one(trace, policy, cluster, settings, failures=failures, seed=seed, quiet=quiet)
    if out is not None:
        save_run(result, out, perfetto, quiet)
    show_json(result.summary(), json)
    if str(json) != "-":
        from apportion.report.terminal import print_summary

        print_summary(result)
