"""`apportion what-if`: a live queue as it goes on, and as it would after some changes."""

from __future__ import annotations

from typing import Annotated

import typer

from apportion.cli import asking
from apportion.cli import options as opt
from apportion.cli.slurm import RestOpt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="what-if")(what_if)


def what_if(
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CHANGE...", help="+4x8:A100, drain:NODE, drain:rack=NAME, open:NODE, stop:JOB, JOB:gpus=4."
        ),
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="POLICY", help="Under another policy.")] = None,
    job: Annotated[str | None, typer.Option("--job", "-j", help="Also tell about this job.")] = None,
    memory: asking.MemoryOpt = None,
    live: asking.LiveOpt = None,
    at: asking.AtOpt = 0.0,
    policy: asking.PolicyOpt = None,
    cluster: opt.ClusterOpt = None,
    main: asking.MainOpt = "main",
    wait: asking.WaitOpt = "wait",
    rest: RestOpt = None,
    draws: Annotated[int, typer.Option(min=1, max=10_000, help="Possible futures.")] = 50,
    seed: opt.SeedOpt = 0,
    json: opt.JsonOpt = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Compare a live queue with itself after changes, in the same possible futures.

    Example: apportion what-if +2x8 --to sjf --live "synthetic:philly?jobs=300&seed=1" --cluster 6x8 --at 7200
    """
    from apportion.live.changes import parse_change
    from apportion.live.what_if import what_if as compare
    from apportion.model.errors import UsageError
    from apportion.policies.registry import parse_policy

    if not changes and to is None:
        raise UsageError("found nothing to change, expected changes such as +4x8:A100, or --to POLICY")
    other = parse_policy(to) if to else None
    queue = asking.live_queue(memory, live, policy=policy, at_s=at, cluster=cluster, main=main, wait=wait, rest=rest)
    parsed = [parse_change(text, queue.situation) for text in changes or ()]
    found = compare(
        queue.situation, queue.policy, parsed, queue.history, other_policy=other, job_id=job, draws=draws, seed=seed,
        backfill=queue.backfill,
    )  # fmt: skip
    asking.answer(found, json)
