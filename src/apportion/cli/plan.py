"""`apportion plan`: the cheapest nodes that bring waiting down to a target."""

from __future__ import annotations

from typing import Annotated

import typer

from apportion.cli import options as opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="plan")(plan)


def plan(
    trace: opt.TraceArg,
    target: Annotated[str, typer.Option(help="What is to be reached, such as 'p95 wait < 30m'.")],
    policy: Annotated[str, typer.Option("--policy", "-p", help="ORDER+PLACEMENT, as in sjf+best-fit.")] = "fifo",
    cluster: opt.ClusterOpt = None,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="GPUS[:MODEL]", help="A kind of node to add; may be repeated.")
    ] = None,
    backfill: opt.BackfillOpt = "skip",
    most: Annotated[int | None, typer.Option(min=1, help="Nodes added at most.")] = None,
    seed: opt.SeedOpt = 0,
    json: opt.JsonOpt = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Find the cheapest nodes to add so that a workload reaches a target.

    Example: apportion plan "synthetic:philly?jobs=2000&load=1.3" --target "p95 wait < 30m" --policy sjf
    """
    from apportion.cli.asking import answer
    from apportion.cli.progress import interruptible
    from apportion.policies.registry import parse_policy
    from apportion.study.plan_capacity import plan_capacity

    chosen = parse_policy(policy)
    opt.run_settings(backfill, 0.0, "0", 0.0, None, None, False)
    loaded, machine = opt.load_trace(trace, cluster, quiet)
    found = interruptible(
        plan_capacity, loaded.workload, machine, target=target, policy=chosen, kinds=tuple(kind or ()),
        backfill=backfill, seed=seed, most=most,
    )  # fmt: skip
    answer(found, json)
