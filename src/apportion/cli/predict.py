"""`apportion predict`: when a waiting job will start."""

from __future__ import annotations

from typing import Annotated

import typer

from apportion.cli import asking
from apportion.cli import options as opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="predict")(predict)


def predict(
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="The id of a job that waits.")] = None,
    request: Annotated[
        str | None, typer.Option(metavar="COLUMN=VALUE,...", help="Instead a job submitted now: gpus=4,user=ann.")
    ] = None,
    memory: asking.MemoryOpt = None,
    live: asking.LiveOpt = None,
    at: asking.AtOpt = 0.0,
    policy: asking.PolicyOpt = None,
    cluster: opt.ClusterOpt = None,
    main: asking.MainOpt = "main",
    wait: asking.WaitOpt = "wait",
    draws: Annotated[int, typer.Option(min=1, max=10_000, help="Possible futures.")] = 100,
    seed: opt.SeedOpt = 0,
    json: opt.JsonOpt = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Say when a waiting job will start, with the chances.

    Example: apportion predict --request gpus=8 --live "synthetic:philly?jobs=300&seed=1" --cluster 6x8 --at 7200
    """
    from apportion.live.forecast import predict_start
    from apportion.model.errors import UsageError

    if (job is None) == (request is None):
        raise UsageError("expected the id of a job, or --request gpus=4,user=ann")
    wanted = job if request is None else _columns(request)
    queue = asking.live_queue(memory, live, policy=policy, at_s=at, cluster=cluster, main=main, wait=wait)
    found = predict_start(queue.situation, queue.policy, wanted or "", draws=draws, seed=seed, backfill=queue.backfill)
    asking.answer(found, json)


def _columns(text: str) -> dict[str, str | int]:
    """Return what `gpus=4,user=ann` says."""
    from apportion.model.errors import UsageError

    request: dict[str, str | int] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"found {part!r} in {text!r}, expected column=value such as gpus=4")
        request[name.strip()] = int(value) if value.isascii() and value.isdigit() else value
    return request
