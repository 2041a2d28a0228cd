"""`apportion plan`: the cheapest nodes that bring waiting down to a target."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from apportion.cli import asking
from apportion.cli import options as opt
from apportion.cli.slurm import RestOpt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="plan")(plan)


def plan(
    trace: Annotated[
        str | None, typer.Argument(metavar="TRACE", help="The workload; without it that of a live queue.")
    ] = None,
    target: Annotated[str, typer.Option(help="What is to be reached.", metavar="'MEASURE < TIME'")] = "p95 wait < 30m",
    policy: asking.PolicyOpt = None,
    memory: asking.MemoryOpt = None,
    live: asking.LiveOpt = None,
    main: asking.MainOpt = "main",
    wait: asking.WaitOpt = "wait",
    rest: RestOpt = None,
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
    from apportion.cli.progress import interruptible
    from apportion.model.errors import UsageError
    from apportion.policies.registry import parse_policy
    from apportion.study.plan_capacity import plan_capacity

    if (trace is None) == (memory is None and live is None):
        raise UsageError("expected a trace, or a live queue (--memory FILE, --live slurm)")
    parse_policy(policy or "fifo")
    opt.run_settings(backfill, 0.0, "0", 0.0, None, None, False)
    what: Any
    if trace is not None:
        loaded, machine = opt.load_trace(trace, cluster, quiet)
        what, chosen = loaded.workload, parse_policy(policy or "fifo")
    else:
        queue = asking.live_queue(memory, live, policy=policy, main=main, wait=wait, rest=rest)
        what, machine, chosen = queue.situation, queue.situation.cluster, queue.policy
    found = interruptible(
        plan_capacity, what, machine, target=target, policy=chosen, kinds=tuple(kind or ()), backfill=backfill,
        seed=seed, most=most,
    )  # fmt: skip
    asking.answer(found, json)
