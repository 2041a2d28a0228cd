"""`apportion why`: what a job waited for."""

from __future__ import annotations

from typing import Annotated

import typer

from apportion.cli import options as opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="why")(why)


def why(
    trace: opt.TraceArg,
    job: Annotated[str, typer.Option("--job", "-j", help="The job's id.")],
    policy: Annotated[str, typer.Option("--policy", "-p", help="ORDER+PLACEMENT, as in sjf+best-fit.")] = "fifo",
    cluster: opt.ClusterOpt = None,
    backfill: opt.BackfillOpt = "skip",
    granularity: opt.GranularityOpt = 0.0,
    checkpoint_cost: opt.CheckpointCostOpt = "0",
    checkpoint_interval: opt.CheckpointIntervalOpt = 0.0,
    failures: opt.FailuresOpt = None,
    seed: opt.SeedOpt = 0,
    until: opt.UntilOpt = None,
    json: opt.JsonOpt = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Say in plain words what a job waited for under a policy, interval by interval.

    Example: apportion why "synthetic:philly?jobs=5000&load=1.1&seed=3" --policy fifo --job 3617
    """
    from apportion.cli.outputs import show_json
    from apportion.cli.progress import interruptible
    from apportion.cli.running import run_one
    from apportion.policies.registry import parse_policy
    from apportion.study.why import explain

    parse_policy(policy)
    settings = opt.run_settings(backfill, granularity, checkpoint_cost, checkpoint_interval, failures, until, False)
    result = run_one(trace, policy, cluster, settings, failures=failures, seed=seed, quiet=quiet)
    explanation = interruptible(explain, result, job)
    show_json(explanation.to_dict(), json)
    if str(json) != "-":
        for line in explanation.lines():
            typer.echo(line)
