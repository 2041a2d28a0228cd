"""`apportion fragmentation`: what is stranded on a cluster, and which moves would free it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apportion.cli import options as opt

if TYPE_CHECKING:
    from apportion.model.cluster import Cluster
    from apportion.model.snapshot import Snapshot
    from apportion.model.workload import Workload


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="fragmentation")(fragmentation)


def fragmentation(
    trace: Annotated[
        str | None, typer.Argument(metavar="[TRACE]", help="A trace to simulate, instead of --tasks.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", help="100x8:V100, a .yaml or .csv file, or a trace with nodes (openb:DIR)."),
    ] = None,
    tasks: Annotated[
        Path | None, typer.Option(help="CSV or Parquet of what runs: job_id,node,devices,gpus,gpu_milli,cpu_milli,...")
    ] = None,
    workload: Annotated[
        str | None, typer.Option(help="Trace whose typical tasks decide what is usable. Default: the tasks that run.")
    ] = None,
    down: Annotated[str | None, typer.Option(help="Nodes that take no tasks (failed, drained): NODE,NODE,...")] = None,
    policy: Annotated[str, typer.Option("--policy", "-p", help="With TRACE: ORDER+PLACEMENT, as in sjf+fgd.")] = "fifo",
    at: Annotated[
        str | None,
        typer.Option(help="With TRACE: the moment to look at, as in 90000 or 2d. Default: when most was stranded."),
    ] = None,
    seed: opt.SeedOpt = 0,
    moves: Annotated[
        int | None, typer.Option(help="Moves to advise at most (0 = none). Default: 5; with --for 64.")
    ] = None,
    room_for: Annotated[
        str | None, typer.Option("--for", help="Make room for such a task: gpus=8, or gpus=1,cpu_milli=11300.")
    ] = None,
    json: opt.JsonOpt = None,
    quiet: opt.QuietOpt = False,
) -> None:
    """Say how much free GPU is stranded, for whom and where, and which moves of tasks would free it.

    Example: apportion fragmentation "synthetic:philly?jobs=5000&load=1.1" --policy fifo+spread --moves 3
    """
    from apportion.cli.outputs import show_json
    from apportion.model.errors import UsageError
    from apportion.report.stranded import gauge_lines, plan_lines
    from apportion.study.defragment import MOST, MOVES, defragment, make_room, parse_demand
    from apportion.study.fragmentation import gauge

    if (trace is None) == (tasks is None):
        raise UsageError("give --tasks FILE with --cluster, or a TRACE to simulate" + (", not both" if trace else ""))
    if tasks is not None and (at is not None or policy != "fifo"):
        raise UsageError("--at and --policy belong to a TRACE that is simulated, not to --tasks")
    if moves is not None and moves < 0:
        raise UsageError(f"found --moves {moves}, expected at least 0")
    demand = parse_demand(room_for) if room_for is not None else None
    typical, nodes = (None, None) if workload is None else _load(workload, quiet)
    if trace is not None:
        machine, running, usual = _simulated(trace, policy, cluster, at, seed, quiet)
        typical = typical or usual
    else:
        assert tasks is not None
        machine, running = _given(cluster, nodes, tasks)
    found = gauge(machine, running, typical, down=[name.strip() for name in (down or "").split(",") if name.strip()])
    if not quiet:
        for line in found.notes:
            opt.note(line)
    plan = None
    if demand is not None:
        plan = make_room(found, demand, MOST if moves is None else moves)
    elif moves != 0:
        plan = defragment(found, MOVES if moves is None else moves)
    show_json(found.summary() | ({} if plan is None else {"advice": plan.to_dict()}), json)
    if str(json) != "-":
        for line in gauge_lines(found) + ([] if plan is None else plan_lines(plan)):
            typer.echo(line)


def _load(spec: str, quiet: bool) -> tuple[Workload, Cluster | None]:
    """Return a trace's jobs and nodes; the quality report goes to stderr."""
    from apportion.traces.registry import load

    loaded = load(spec)
    if not quiet:
        for line in loaded.report.lines():
            opt.note(line)
    return loaded.workload, loaded.cluster


def _cluster(spec: str) -> Cluster:
    """Return the cluster of a cluster spec, or the nodes of a trace spec."""
    from apportion.model.cluster_spec import parse_cluster
    from apportion.model.errors import InputError
    from apportion.traces.registry import FORMATS, load

    if spec.partition(":")[0] not in FORMATS:
        return parse_cluster(spec)
    nodes = load(spec).cluster
    if nodes is None:
        raise InputError(f"{spec}: this trace has no nodes, expected a cluster")
    return nodes


def _given(cluster: str | None, nodes: Cluster | None, tasks: Path) -> tuple[Cluster, Snapshot]:
    """Return the cluster (default: the nodes of the workload's trace) and what runs on it."""
    from apportion.model.errors import UsageError
    from apportion.traces.snapshot import read_snapshot

    machine = _cluster(cluster) if cluster is not None else nodes
    if machine is None:
        raise UsageError("--tasks needs --cluster: the nodes on which they run")
    return machine, read_snapshot(tasks)


def _simulated(
    trace: str, policy: str, cluster: str | None, at: str | None, seed: int, quiet: bool
) -> tuple[Cluster, Snapshot, Workload]:
    """Return a moment of a run: the cluster, what runs on it, and the trace's jobs."""
    from apportion.cli.running import run_one
    from apportion.model.units import format_duration, parse_duration
    from apportion.study.moment import most_stranded, running_at

    moment = None if at is None else parse_duration(at)
    settings = opt.run_settings("skip", 0.0, "0", 0.0, None, None, False)
    result = run_one(trace, policy, cluster, settings, failures=None, seed=seed, quiet=quiet)
    when = most_stranded(result) if moment is None else moment
    if not quiet:
        why = " (when most was stranded while jobs waited)" if at is None else ""
        opt.note(f"{policy} after {format_duration(when)} (second {when:.0f}){why}")
    return result.cluster, running_at(result, when), result.workload
