"""Defragmentation advice: the few moves of running tasks that free the most GPU, or that make room for one task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.encode import OPEN_ONLY, model_bits
from apportion.engine.evict import EXACT, Tenants
from apportion.engine.layout import TASK, Records
from apportion.engine.migrate import MOVE, Search, best_arrival, fragments_after, has_another_place
from apportion.engine.rehome import rehome
from apportion.model.errors import InputError, UsageError, did_you_mean
from apportion.study.fragmentation import Gauge
from apportion.study.occupied import Occupied

MOVES = 5
"""Moves that are advised unless told otherwise."""
MOST = 64
"""Moves at most that make room for one task."""
BUILT_TRIES = 64
"""Nodes whose larger sets of tasks are tried elsewhere."""


@dataclass(frozen=True)
class Move:
    """One running task goes to another place.

    Parameters
    ----------
    job_id, row: which task, and the row of the tasks file. from_node, from_devices, to_node, to_devices: devices are
        indices, none in a pool and of a task without GPUs.
    gpus, gpu_milli, cpu_milli, memory_mib: what it asks for.
    stranded_before, stranded_after: F(M) of the cluster in GPUs before and after this move, those before it made.
    stop_first: there is no room to start it anew while it still runs.
    """

    job_id: str
    row: int
    from_node: str
    from_devices: list[int]
    to_node: str
    to_devices: list[int]
    gpus: int
    gpu_milli: int
    cpu_milli: int
    memory_mib: int
    stranded_before: float
    stranded_after: float
    stop_first: bool

    @property
    def frees_gpus(self) -> float:
        """GPUs that are no longer stranded; below 0 = more are."""
        return self.stranded_before - self.stranded_after


@dataclass(frozen=True)
class Demand:
    """A task that room is to be made for; `gpu_models`: the allowed ones, empty = any; `group`: None = any nodes."""

    gpus: int = 1
    gpu_milli: int = 1000
    cpu_milli: int = 0
    memory_mib: int = 0
    gpu_models: tuple[str, ...] = ()
    group: str | None = None

    def __str__(self) -> str:
        given = {name: value for name, value in vars(self).items() if value != getattr(Demand, name) or name == "gpus"}
        if self.gpu_models:
            given["gpu_models"] = "|".join(self.gpu_models)
        return ",".join(f"{name}={value}" for name, value in given.items())


@dataclass(frozen=True)
class Plan:
    """Moves in the order in which they are to be made.

    Parameters
    ----------
    moves: each is possible when those before it were made. stranded_before, stranded_after: F(M) in GPUs before the
        first and after the last.
    demand: what room was to be made for, if anything. node, devices: where it then fits; None = nowhere. reason: why.
    """

    moves: list[Move]
    stranded_before: float
    stranded_after: float
    demand: Demand | None = None
    node: str | None = None
    devices: list[int] = field(default_factory=list)
    reason: str = ""

    @property
    def table(self) -> pl.DataFrame:
        """A row a move: the fields of `Move`, and `frees_gpus`."""
        return pl.DataFrame([vars(move) | {"frees_gpus": move.frees_gpus} for move in self.moves])

    def to_dict(self) -> dict[str, Any]:
        """Return the plan for JSON."""
        out: dict[str, Any] = {
            "moves": [vars(move) | {"frees_gpus": move.frees_gpus} for move in self.moves],
            "stranded_before_gpus": self.stranded_before,
            "stranded_after_gpus": self.stranded_after,
        }
        if self.demand is not None:
            out["for"] = str(self.demand)
            out["node"], out["devices"], out["reason"] = self.node, self.devices, self.reason
        return out


def parse_demand(text: str) -> Demand:
    """Return the demand written as `gpus=8` or `gpus=1,gpu_milli=500,cpu_milli=4000,memory_mib=1024,gpu_models=A|B`.

    Raises
    ------
    UsageError: a key is not known, or a value is not a number in its range.
    """
    values: dict[str, Any] = {}
    for pair in text.split(","):
        key, equals, value = (part.strip() for part in pair.partition("="))
        known = list(Demand.__dataclass_fields__)
        if not equals or key not in known or key in values:
            raise UsageError(f"found {pair!r} in {text!r}, expected each of {', '.join(known)} once{_near(key, known)}")
        if key == "gpu_models":
            values[key] = tuple(name for name in value.split("|") if name)
        elif key == "group":
            values[key] = value
        elif not value.isdecimal() or int(value) > {"gpu_milli": 1000}.get(key, 1 << 40):
            bound = " of at most 1000" if key == "gpu_milli" else ""
            raise UsageError(f"found {key}={value} in {text!r}, expected a whole number{bound}")
        else:
            values[key] = int(value)
    return Demand(**values)


def _near(key: str, known: list[str]) -> str:
    return "" if key in known else did_you_mean(key, known)


def defragment(gauge: Gauge, moves: int = MOVES) -> Plan:
    """Return the moves that shrink what is stranded most, each the best after those before it.

    Every move of one movable task to any other place is considered, and the best is taken; so the first is the best
    there is, but several together may be beaten by others that look worse one by one. There are fewer than `moves` when
    no single move frees a thousandth of a GPU.

    Examples
    --------
    >>> import polars as pl
    >>> import apportion as ap
    >>> from apportion.study.fragmentation import gauge
    >>> halves = {"node": ["node-0000", "node-0001"], "devices": ["0", "0"], "gpu_milli": [500, 500]}
    >>> whole = ap.load("synthetic:philly?jobs=50&seed=1").workload
    >>> plan = defragment(gauge(ap.parse_cluster("2x1"), pl.DataFrame(halves), whole))
    >>> [(move.from_node, move.to_node, move.frees_gpus > 0) for move in plan.moves]
    [('node-0000', 'node-0001', True)]
    """
    if moves < 0:
        raise InputError(f"found {moves} moves, expected at least 0")
    on = gauge.occupied
    movable = _movable(on)
    search = Search(on.board, on.nodes, on.tasks, on.shape, on.node, on.mask, movable)
    found: list[Records] = []
    while len(found) < moves and (move := search.step()) is not None:
        found.append(move)
    records = np.concatenate(found) if found else np.zeros(0, MOVE)
    told = _told(on, records)
    return Plan(told, gauge.stranded_gpus, told[-1].stranded_after if told else gauge.stranded_gpus)


def make_room(gauge: Gauge, demand: Demand | str, moves: int = MOST) -> Plan:
    """Return the fewest moves found that make room for one task which fits nowhere now.

    Tasks leave one node, one move each, and go where they fit as things are (or to other devices of that node), where
    F(M) grows least. All sets of up to three tasks are looked at, smallest first; of those that would make room the
    ones that hold the fewest GPUs (8 a node, 512 in all) are tried elsewhere. Larger sets are built node by node, so
    that there may be a shorter way. Chains, where a task makes place for one that makes place, are not looked for.

    Raises
    ------
    UsageError, InputError: the demand is not one, or names models or a group that the cluster does not have.
    """
    wanted = parse_demand(demand) if isinstance(demand, str) else demand
    on = gauge.occupied
    task = _task(wanted, on)
    here = gauge.stranded_gpus
    place = best_arrival(on.board, on.nodes, task)
    if place is not None:
        return Plan([], here, here, wanted, _name(on, place[0]), _indices(place[1]), "there is room now")
    movable = _movable(on)
    may = movable & (has_another_place(on.board, on.nodes, on.tasks, on.shape, on.node) == 1)
    tenants = Tenants(on.board, on.nodes, on.tasks, on.shape, on.node, on.mask, may, task)
    for eviction in _evictions(tenants, moves):
        rows = eviction["tasks"][: eviction["count"]].copy()
        home = int(eviction["node"])
        found = rehome(on.board, on.nodes, on.tasks, on.shape, on.mask, rows, home, task)
        if found is not None:
            told = _told(on, found[0])
            after = told[-1].stranded_after
            return Plan(told, here, after, wanted, _name(on, home), _indices(found[1]), "there is room after the moves")
    if not Tenants(on.board, on.nodes, on.tasks, on.shape, on.node, on.mask, movable, task).open.any():
        reason = "no node would have room, even if all its movable tasks left"
    elif not tenants.open.any():
        reason = "the tasks that would have to leave fit nowhere else"
    else:
        reason = f"no way was found in up to {moves} moves from one node"
    return Plan([], here, here, wanted, None, [], reason)


def _evictions(tenants: Tenants, moves: int) -> Any:
    """Give the sets of tasks that would make room, smallest first."""
    for size in range(1, min(EXACT, moves) + 1):
        yield from tenants.exactly(size)
    if moves > EXACT:
        yield from tenants.built(moves)[:BUILT_TRIES]


def _movable(on: Occupied) -> Any:
    return on.snapshot.table["movable"].to_numpy()


def _task(demand: Demand, on: Occupied) -> Records:
    """Return the `TASK` record of a demand."""
    models, owners = on.target.models, on.target.groups[: on.target.owners]
    for name in demand.gpu_models:
        if name not in models:
            raise InputError(
                f"found gpu_models={name}, which the cluster does not have ({', '.join(models) or 'none are given'})"
            )
    task = np.zeros(1, TASK)
    given = demand.gpus > 0 and demand.gpu_milli > 0
    task["gpus"], task["milli"] = (demand.gpus, demand.gpu_milli) if given else (0, 0)
    task["cpu"], task["memory"] = demand.cpu_milli, demand.memory_mib
    task["models"] = model_bits("|".join(demand.gpu_models), models)
    task["group"] = -1
    if demand.group is not None and owners:
        task["group"] = owners.index(demand.group) if demand.group in owners else OPEN_ONLY
    return task


def _told(on: Occupied, moves: Records) -> list[Move]:
    stranded = (fragments_after(on.board, on.nodes, on.tasks, on.shape, moves) / 1000).tolist()
    table = on.snapshot.table
    out = []
    for i, move in enumerate(moves):
        row = table.row(int(move["task"]), named=True)
        out.append(
            Move(
                row["job_id"], row["row"], _name(on, move["source"]), _indices(move["old"]),
                _name(on, move["target"]), _indices(move["new"]),
                row["gpus"], row["gpu_milli"], row["cpu_milli"], row["memory_mib"],
                stranded[i], stranded[i + 1], bool(move["stop"]),
            )
        )  # fmt: skip
    return out


def _name(on: Occupied, node: int) -> str:
    return str(on.cluster.table["node"][int(node)])


def _indices(mask: int) -> list[int]:
    return [d for d in range(int(mask).bit_length()) if int(mask) >> d & 1]
