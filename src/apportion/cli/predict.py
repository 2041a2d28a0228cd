"""`apportion predict`: when a waiting job will start; of a trace, how well its run times can be predicted."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from apportion.cli import asking
from apportion.cli import options as opt
from apportion.cli.slurm import RestOpt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="predict")(predict)


def predict(
    job: Annotated[
        str | None, typer.Argument(metavar="JOB", help="The id of a job that waits; with --model a trace.")
    ] = None,
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
    rest: RestOpt = None,
    draws: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Possible futures. Default: 100, 40 under slow orders.")
    ] = None,
    learn: Annotated[
        int,
        typer.Option(min=0, max=1000, metavar="N", help="With --memory: also predict N waiting jobs drawn at random."),
    ] = 0,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Of a trace: how well this model predicts run times. Can be repeated."),
    ] = None,
    retrain: Annotated[str, typer.Option(metavar="TIME", help="With --model: time between two fits.")] = "7d",
    explain: Annotated[bool, typer.Option("--explain", help="With --model additive: print what it learnt.")] = False,
    seed: opt.SeedOpt = 0,
    json: opt.JsonOpt = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Say when a waiting job will start, with the chances; or how well the run times of a trace can be predicted.

    With --memory predictions are kept in the controller's file, where it may be written, and calibrate later ones.

    Example: apportion predict --request gpus=8 --live "synthetic:philly?jobs=300&seed=1" --cluster 6x8 --at 7200
    """
    from apportion.model.errors import UsageError

    if model:
        from apportion.cli.predict_trace import predict_trace

        if job is None or request is not None:
            raise UsageError("--model tells how well the run times of a trace are predicted: give a trace")
        predict_trace(job, model, retrain, explain, json, quiet)
        return
    from apportion.live.forecast import predict_start, predict_starts
    from apportion.live.predictions import keep, some_waiting

    if explain:
        raise UsageError("--explain prints what a model learnt from a trace: give --model additive")
    if (job is None) == (request is None) and (job is not None or not learn):
        raise UsageError("expected the id of a job, or --request gpus=4,user=ann")
    if learn and memory is None:
        raise UsageError("--learn keeps predictions in a controller's file: give --memory FILE")
    wanted = _columns(request) if request is not None else job
    queue = asking.live_queue(memory, live, policy=policy, at_s=at, cluster=cluster, main=main, wait=wait, rest=rest)
    situation, history, chosen = queue.situation, queue.history, queue.policy
    drawing: dict[str, Any] = {"draws": draws, "seed": seed, "backfill": queue.backfill}
    made = []
    if wanted is not None:
        found = predict_start(situation, chosen, wanted, history, calibration=queue.calibration, **drawing)
        made.append(found)
        asking.answer(found, json)
    others = some_waiting(situation, learn, seed)
    if others:
        made += predict_starts(situation, chosen, others, history, **drawing)
    if memory is not None and queue.calibration is not None:
        kept = keep(memory, situation, made)
        if learn and not quiet:
            print(f"{kept} of {len(made)} predictions kept; jobs that start tell how good they were", file=sys.stderr)


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
