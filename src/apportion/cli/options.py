"""Options that several commands share, and what they make of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from apportion.model.cluster import Cluster
    from apportion.model.signal import NodeEvents
    from apportion.model.trace import Trace

TraceArg = Annotated[
    str, typer.Argument(metavar="TRACE", help="FORMAT:LOCATION[?key=value&...] or a file; see `apportion traces`.")
]
ClusterOpt = Annotated[
    str | None,
    typer.Option(
        "--cluster", help="100x8:V100+20x2:T4, pool:400, or a .yaml or .csv file. Default: the trace's nodes."
    ),
]
BackfillOpt = Annotated[
    str, typer.Option(help="What to do behind a job that does not fit: skip it, strict (wait), or easy.")
]
GranularityOpt = Annotated[
    float, typer.Option(help="Seconds; decide only at multiples of it, as tick simulators do (0 = at every event).")
]
CheckpointCostOpt = Annotated[
    str, typer.Option(help="Seconds of work that a preemption adds, or `helios` (7, 30 or 60 by size).")
]
CheckpointIntervalOpt = Annotated[
    float, typer.Option(help="Seconds of work between checkpoints; 0 = a failed job starts from the beginning.")
]
FailuresOpt = Annotated[
    Path | None, typer.Option(help="CSV of node failures and repairs: time_s,node,state (down or up).")
]
SeedOpt = Annotated[int, typer.Option(help="Seed of everything drawn.")]
UntilOpt = Annotated[float | None, typer.Option(help="Stop at this second of the trace.")]
CheckOpt = Annotated[bool, typer.Option("--check", help="Verify the invariants of the outcome.")]
QuietOpt = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes; results only.")]
JsonOpt = Annotated[Path | None, typer.Option("--json", help="Write the summary here (- = to the terminal).")]


def load_trace(spec: str, cluster: str | None, quiet: bool) -> tuple[Trace, Cluster]:
    """Return the trace and the cluster to run it on; the quality report goes to stderr."""
    from apportion.model.cluster_spec import parse_cluster
    from apportion.model.errors import InputError
    from apportion.traces.registry import load

    machine = parse_cluster(cluster) if cluster else None
    trace = load(spec)
    if not quiet:
        for line in trace.report.lines():
            note(line)
    machine = machine or trace.cluster
    if machine is None:
        raise InputError(f"{spec}: this trace has no nodes; say --cluster, for example --cluster 50x8 or pool:400")
    return trace, machine


def read_failures(path: Path | None) -> NodeEvents | None:
    """Read failures and repairs from a CSV file with the columns time_s, node and state."""
    if path is None:
        return None
    import polars as pl

    from apportion.model.errors import InputError
    from apportion.model.signal import NodeEvents
    from apportion.traces.columns import number, read_delimited

    frame = read_delimited(path, ("time_s", "node", "state"))
    state = frame["state"].str.strip_chars().str.to_lowercase()
    wrong = ~state.is_in(["up", "down"]) | state.is_null()
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(f"found {frame['state'][row]!r}, expected up or down", file=path, row=row + 2, column="state")
    times = number(frame, "time_s", path, minimum=0)
    if times.null_count():
        row = int(times.is_null().arg_max() or 0)
        raise InputError("found nothing, expected seconds", file=path, row=row + 2, column="time_s")
    order = times.arg_sort()
    nodes = frame["node"].str.strip_chars().cast(pl.String).fill_null("")
    return NodeEvents(
        times.gather(order).to_numpy(), tuple(nodes.gather(order)), (state == "up").gather(order).to_numpy()
    )


def run_settings(
    backfill: str,
    granularity: float,
    checkpoint_cost: str,
    checkpoint_interval: float,
    failures: Path | None,
    until: float | None,
    check: bool,
) -> dict[str, Any]:
    """Return the keyword arguments of `simulate` that do not belong to a policy."""
    from apportion.model.errors import UsageError

    for name, value in (("granularity", granularity), ("checkpoint-interval", checkpoint_interval)):
        if not value >= 0:
            raise UsageError(f"found --{name} {value:g}, expected at least 0")
    try:
        cost: float | str = float(checkpoint_cost)
    except ValueError:
        cost = checkpoint_cost
    return {
        "backfill": backfill,
        "granularity": granularity,
        "checkpoint_cost": cost,
        "checkpoint_interval": checkpoint_interval,
        "failures": read_failures(failures),
        "until": until,
        "check": check,
    }


def note(text: str) -> None:
    """Say something on stderr that is not a result."""
    print(text, file=sys.stderr)
