"""Options that several commands share, and what they make of them."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from apportion.model.cluster import Cluster
    from apportion.model.signal import NodeEvents
    from apportion.model.trace import Trace
    from apportion.study.power_off import PowerOff

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


def _seed(value: int) -> int:
    from apportion.model.errors import UsageError

    if value < 0:
        raise UsageError(f"found --seed {value}, expected at least 0")
    return value


SeedOpt = Annotated[int, typer.Option(help="Seed of everything drawn.", callback=_seed)]
PowerOffOpt = Annotated[
    str | None,
    typer.Option(
        "--power-off", help="Switch idle nodes off: ces, ces[buffer=5,boot=5m], or never (count energy only)."
    ),
]
RulesOpt = Annotated[
    str | None,
    typer.Option("--rules", help="Rounds of an allocator go as in a published simulator: gavel or shockwave."),
]
UntilOpt = Annotated[float | None, typer.Option(help="Stop at this second of the trace.")]
CheckOpt = Annotated[bool, typer.Option("--check", help="Verify the invariants of the outcome.")]
QuietOpt = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes; results only.")]
JsonOpt = Annotated[Path | None, typer.Option("--json", help="Write the summary here (- = to the terminal).")]


def load_trace(spec: str, cluster: str | None, quiet: bool, timeless: bool = False) -> tuple[Trace, Cluster]:
    """Return the trace and the cluster to run it on, as `load` does; the quality report goes to stderr."""
    from apportion.model.cluster_spec import parse_cluster
    from apportion.model.errors import InputError
    from apportion.traces.registry import load

    machine = parse_cluster(cluster) if cluster else None
    trace = load(spec, timeless)
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
    from apportion.model.errors import InputError
    from apportion.model.signal import NodeEvents
    from apportion.traces.columns import number, read_delimited

    frame = read_delimited(path, ("time_s", "node", "state"))
    state = frame["state"].str.strip_chars().str.to_lowercase()
    wrong = ~state.is_in(["up", "down"]) | state.is_null()
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(f"found {frame['state'][row]!r}, expected up or down", file=path, row=row + 2, column="state")
    times = number(frame, "time_s", path, minimum=0, required=True)
    back = times.diff().fill_null(0) < 0
    if back.any():
        row = int(back.arg_max() or 0)
        raise InputError(
            f"found {times[row]:g} after {times[row - 1]:g}, expected times that do not go backwards",
            file=path,
            row=row + 2,
            column="time_s",
        )
    nodes = frame["node"].str.strip_chars().fill_null("")
    return NodeEvents(times.to_numpy(), tuple(nodes), (state == "up").to_numpy())


def check_nodes(path: Path | None, events: NodeEvents | None, cluster: Cluster) -> None:
    """Raise `InputError` for the first line of the failures in `path` whose node `cluster` does not have."""
    from apportion.model.errors import InputError, did_you_mean

    if events is None:
        return
    known = dict.fromkeys(cluster.table["node"])
    for row, name in enumerate(events.nodes, start=2):
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(
                f"found {name!r}, which the cluster does not have{hint}", file=path, row=row, column="node"
            )


def run_settings(
    backfill: str,
    granularity: float,
    checkpoint_cost: str,
    checkpoint_interval: float,
    failures: Path | None,
    until: float | None,
    check: bool,
    power_off: str | None = None,
    rules: str | None = None,
) -> dict[str, Any]:
    """Return the keyword arguments of `simulate` that do not belong to a policy."""
    from apportion.model.errors import UsageError, did_you_mean
    from apportion.study.simulate import BACKFILL, CHECKPOINT_COSTS

    for name, value in (("granularity", granularity), ("checkpoint-interval", checkpoint_interval)):
        if not 0 <= value < math.inf:
            raise UsageError(f"found --{name} {value:g}, expected a number of at least 0")
    if until is not None and math.isnan(until):
        raise UsageError(f"found --until {until:g}, expected seconds")
    if backfill not in BACKFILL:
        known = f"{', '.join(BACKFILL)}{did_you_mean(backfill, BACKFILL)}"
        raise UsageError(f"found --backfill {backfill}, expected {known}")
    if rules is not None:
        from apportion.engine.rules import get_rules

        get_rules(rules)
    try:
        cost: float | str = float(checkpoint_cost)
    except ValueError:
        cost = checkpoint_cost
    if cost not in CHECKPOINT_COSTS and not (isinstance(cost, float) and 0 <= cost < math.inf):
        known = f"{', '.join(CHECKPOINT_COSTS)}{did_you_mean(checkpoint_cost, CHECKPOINT_COSTS)}"
        raise UsageError(f"found --checkpoint-cost {cost}, expected seconds of at least 0, or {known}")
    return {
        "backfill": backfill,
        "granularity": granularity,
        "checkpoint_cost": cost,
        "checkpoint_interval": checkpoint_interval,
        "failures": read_failures(failures),
        "until": until,
        "check": check,
        "power": _power_off(power_off),
        "rules": rules,
    }


def _power_off(text: str | None) -> PowerOff | None:
    from apportion.study.power_off import parse_power_off

    return parse_power_off(text) if text is not None else None


def note(text: str) -> None:
    """Say something on stderr that is not a result."""
    print(text, file=sys.stderr)
