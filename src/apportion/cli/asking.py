"""Where questions about a live queue find it: a controller's memory, Slurm itself, or a simulated cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl

    from apportion.live.backend import Observation
    from apportion.live.memory import Memory
    from apportion.live.situation import Situation
    from apportion.policies.protocol import Policy
    from apportion.predict.calibration import Calibration

MemoryOpt = Annotated[
    Path | None, typer.Option("--memory", help="A controller's file: ask about the queue that it sees.")
]
LiveOpt = Annotated[
    str | None,
    typer.Option("--live", metavar="SOURCE", help="slurm: ask Slurm itself; or a trace, run up to --at SECONDS."),
]
AtOpt = Annotated[float, typer.Option("--at", help="With --live TRACE: second of the trace at which to ask.")]
PolicyOpt = Annotated[str | None, typer.Option("--policy", "-p", help="Default: the policy in charge, or else fifo.")]
MainOpt = Annotated[str, typer.Option(metavar="PARTITION", help="Slurm: where jobs run.")]
WaitOpt = Annotated[str, typer.Option(metavar="PARTITION", help="Slurm: where jobs wait.")]


@dataclass(frozen=True)
class Queue:
    """A live queue, and how it is decided.

    Parameters
    ----------
    history: jobs that ended, oldest end first, more than the situation shows. calibration: what past predictions under
    the policy in charge teach; None where it is another, or nobody is in charge.
    """

    situation: Situation
    policy: Policy
    backfill: int
    seed: int
    history: pl.DataFrame
    calibration: Calibration | None = None


def live_queue(
    memory: Path | None,
    live: str | None,
    *,
    policy: str | None = None,
    at_s: float = 0.0,
    cluster: str | None = None,
    main: str = "main",
    wait: str = "wait",
    rest: str | None = None,
) -> Queue:
    """Return the queue as it is now, with the policy in charge of it.

    Raises
    ------
    UsageError: neither `memory` nor `live` is given, or `rest` without Slurm. InputError,
    BackendError: it cannot be had.
    """
    from apportion.cli.slurm import slurm_backend
    from apportion.live.memory import Memory
    from apportion.model.errors import UsageError

    if rest is not None and live != "slurm":
        raise UsageError("--rest goes with --live slurm")
    if memory is None and live is None:
        raise UsageError("found no queue to ask about, expected --memory FILE, --live slurm or --live TRACE")
    if live not in (None, "slurm"):
        return _of_trace(str(live), cluster, policy or "fifo", at_s)
    kept = Memory.reading(memory) if memory is not None else Memory(":memory:")
    try:
        observation = slurm_backend(main, wait, rest).observe() if live else _picture(kept)
        return _queue(observation, kept, policy)
    finally:
        kept.close()


def _queue(observation: Observation, memory: Memory, policy: str | None) -> Queue:
    import polars as pl

    from apportion.live.assemble import assemble
    from apportion.live.backend import STRAY, WAITING, Observation
    from apportion.live.futures import LOOK_BACK
    from apportion.live.predictions import learnt
    from apportion.policies.registry import parse_policy
    from apportion.predict.run_time import RunTimes

    # who waits where the cluster starts it by itself waits all the same
    jobs = observation.jobs.with_columns(pl.col("state").replace({STRAY: WAITING}))
    seen = Observation(observation.time_s, observation.nodes, jobs)
    situation = assemble(seen, memory, RunTimes(), name="live")
    in_charge = memory.fact("policy")
    chosen = parse_policy(policy or in_charge or "fifo")
    return Queue(
        situation, chosen, int(memory.fact("backfill", "0")), int(memory.fact("seed", "0")),
        memory.observed(LOOK_BACK).rename({"end_s": "ended_s"}).sort("ended_s", maintain_order=True),
        learnt(memory, chosen.name) if in_charge == chosen.name else None,
    )  # fmt: skip


def _picture(memory: Memory) -> Observation:
    from apportion.model.errors import InputError

    seen = memory.picture()
    if seen is None:
        raise InputError("its controller has seen nothing yet", file=Path(memory.path))
    return seen


def _of_trace(spec: str, cluster: str | None, policy: str, at_s: float) -> Queue:
    """Run a trace up to a second under a controller."""
    from apportion.cli.options import load_trace
    from apportion.policies.registry import parse_policy
    from apportion.study.simulate import simulate
    from apportion.study.situation_at import history_at, situation_at

    chosen = parse_policy(policy)
    trace, machine = load_trace(spec, cluster, quiet=True)
    result = simulate(trace.workload, machine, chosen)
    return Queue(situation_at(result, at_s), chosen, 0, 0, history_at(result, at_s))


def answer(found: Any, json: Path | None) -> None:
    """Print what was found in sentences, or write it as JSON."""
    from apportion.cli.outputs import show_json

    show_json(found.summary(), json)
    if str(json) != "-":
        for line in found.sentences():
            print(line)
