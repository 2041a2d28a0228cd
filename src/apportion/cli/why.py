"""`apportion why`: what a job waited for in a run, or waits for in a live queue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apportion.cli import asking
from apportion.cli import options as opt
from apportion.cli.slurm import RestOpt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="why")(why)


def why(
    trace: Annotated[
        str, typer.Argument(metavar="TRACE", help="A trace, with --job; or the job's id, with --memory or --live.")
    ],
    job: Annotated[str | None, typer.Option("--job", "-j", help="The job's id.")] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", "-p", help="ORDER+PLACEMENT, as in sjf+best-fit; default: the one in charge, or fifo."
        ),
    ] = None,
    cluster: opt.ClusterOpt = None,
    backfill: opt.BackfillOpt = "skip",
    granularity: opt.GranularityOpt = 0.0,
    checkpoint_cost: opt.CheckpointCostOpt = "0",
    checkpoint_interval: opt.CheckpointIntervalOpt = 0.0,
    failures: opt.FailuresOpt = None,
    rules: opt.RulesOpt = None,
    seed: opt.SeedOpt = 0,
    until: opt.UntilOpt = None,
    memory: asking.MemoryOpt = None,
    live: asking.LiveOpt = None,
    at: asking.AtOpt = 0.0,
    main: asking.MainOpt = "main",
    wait: asking.WaitOpt = "wait",
    rest: RestOpt = None,
    json: opt.JsonOpt = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Say in plain words what a job waited for under a policy, interval by interval.

    Of a live queue (--memory FILE of a controller, or --live slurm): what it waits for now, and what would start it.

    Example: apportion why "synthetic:philly?jobs=5000&load=1.1&seed=3" --policy fifo --job 3617
    """
    from apportion.model.errors import UsageError

    if memory is not None or live is not None:
        if job is not None:
            raise UsageError("found --job with a live queue, expected the job's id as the argument")
        queue = asking.live_queue(
            memory, live, policy=policy, at_s=at, cluster=cluster, main=main, wait=wait, rest=rest
        )
        _now(trace, queue, json)
        return
    if job is None:
        raise UsageError(
            "found no --job, expected the job's id; of a live queue ask with --memory FILE or --live slurm"
        )
    policy = policy or "fifo"
    from apportion.cli.outputs import show_json
    from apportion.cli.progress import interruptible
    from apportion.cli.running import run_one
    from apportion.policies.registry import parse_policy
    from apportion.study.why import explain

    parse_policy(policy)
    settings = opt.run_settings(
        backfill, granularity, checkpoint_cost, checkpoint_interval, failures, until, False, rules=rules
    )
    result = run_one(trace, policy, cluster, settings, failures=failures, seed=seed, quiet=quiet)
    explanation = interruptible(explain, result, job)
    show_json(explanation.to_dict(), json)
    if str(json) != "-":
        for line in explanation.lines():
            typer.echo(line)


def _now(job: str, queue: asking.Queue, json: Path | None) -> None:
    """Say what a job of a live queue waits for."""
    from apportion.live.explain import explain

    asking.answer(explain(queue.situation, queue.policy, job, backfill=queue.backfill, seed=queue.seed), json)
