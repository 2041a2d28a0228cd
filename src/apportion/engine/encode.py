"""From tables to arrays: distinct demands become classes, names become numbers, what can never run is set aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.engine.fit import fits, take
from apportion.engine.jit import entry
from apportion.engine.layout import I4, I8, NODE, TASK, U1, Records
from apportion.engine.world import KIND
from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.hardware import watts_of
from apportion.model.workload import Workload

NOWHERE = 1 << 62
"""Bit of a GPU model that no node has."""
OPEN_ONLY = -2
"""Group of a job that owns no node: only nodes without a group take it."""


@dataclass(frozen=True)
class Encoded:
    """A workload and a cluster as the engine sees them.

    Parameters
    ----------
    nodes: `NODE` records, in the order of the cluster's table. tasks: `TASK` records, the distinct shapes.
    kinds: `KIND` records, the distinct classes. kind, part, user, group: i4[jobs].
    reach: u1[parts, nodes]. quota: i8[parts], milli-GPU a partition may use. milli: i8[jobs].
    rejected: bool[jobs], what would not fit even the empty cluster.
    users, groups, models: names by number. owners: how many of the groups own nodes, 0 = the cluster is not divided.
    workload: what was encoded.
    """

    nodes: Records
    tasks: Records
    kinds: Records
    kind: I4
    part: I4
    user: I4
    group: I4
    reach: U1
    quota: I8
    milli: I8
    rejected: npt.NDArray[np.bool_]
    users: list[str]
    groups: list[str]
    models: list[str]
    owners: int
    workload: Workload


def encode(workload: Workload, cluster: Cluster) -> Encoded:
    """Return the arrays of a run.

    A task that asks for more GPUs than any node it may use has is split: as many whole nodes as it fills, and the
    rest on one more (CPU and memory in proportion), which is how the published simulators read such jobs.

    Raises
    ------
    InputError: the cluster has more GPU models than the engine can tell apart.
    """
    table = workload.table
    models = cluster.table["gpu_model"].drop_nulls().unique(maintain_order=True).to_list()
    if len(models) > 62:
        raise InputError(f"cluster: found {len(models)} GPU models, expected at most 62")
    nodes, owners = encode_nodes(cluster, models)
    group, groups = _numbers(table["group"], owners)
    user, users = _numbers(table["user"], [])
    divided = bool(owners)
    part = np.minimum(group, len(owners)).astype(np.int32) if divided else np.zeros(len(group), np.int32)
    parts = len(owners) + 1 if divided else 1
    own = nodes["group"][None, :] == np.arange(parts)[:, None]
    reach = (own | (nodes["group"] < 0)[None, :]) if divided else np.ones((1, nodes.size), bool)
    distinct, kind = _classes(table, part)
    shapes: dict[tuple[int, ...], int] = {}
    kinds = np.zeros(max(distinct.height, 1), KIND)
    for k, row in enumerate(distinct.iter_rows(named=True)):
        mask, owner = model_bits(row["models"], models), group_of(row["part"], len(owners))
        demand_of = (row["gpus"], row["gpu_milli"], row["cpu_milli"], row["memory_mib"])
        kinds[k] = make_kind(nodes, shapes, row["tasks"], demand_of, mask, owner)
        kinds[k]["apart"] = row["apart"] and row["tasks"] > 1
    tasks = np.zeros(max(len(shapes), 1), TASK)
    for values, s in shapes.items():
        tasks[s] = values
    impossible = np.array([not fits_empty(nodes, tasks, k) for k in kinds], dtype=np.bool_)
    return Encoded(
        nodes,
        tasks,
        kinds,
        kind,
        part,
        user,
        group,
        reach.astype(np.uint8),
        reach.astype(np.int64) @ (nodes["gpus"] * 1000),
        kinds["milli"][kind] if len(kind) else np.zeros(0, np.int64),
        impossible[kind] if len(kind) else np.zeros(0, np.bool_),
        users,
        groups,
        models,
        len(owners),
        workload,
    )


def _classes(table: pl.DataFrame, part: I4) -> tuple[pl.DataFrame, I4]:
    """Return the distinct demands, in the order of their first job, and the number of each job's."""
    demand = table.select("tasks", "gpus", "gpu_milli", "cpu_milli", "memory_mib", "apart", part=pl.Series(part))
    if table["gpu_models"].list.len().sum():
        models = table["gpu_models"].list.join("|")
        # the same models in another order are the same demand; there are few such texts, and many rows
        ordered = {text: "|".join(sorted(text.split("|"))) for text in models.unique() if "|" in text}
        demand = demand.with_columns(models=models.replace(ordered) if ordered else models)
    # most traces vary in one or two columns: only these are compared
    varying = [name for name in demand.columns if demand[name].min() != demand[name].max()]
    if not varying:
        distinct, kind = demand.head(1), np.zeros(table.height, np.int32)
    else:
        distinct = demand.unique(varying, maintain_order=True, keep="first")
        numbered = distinct.select(varying).with_columns(kind=pl.int_range(distinct.height, dtype=pl.Int32))
        joined = demand.select(varying).join(numbered, on=varying, how="left", maintain_order="left")
        kind = joined["kind"].to_numpy()
    if "models" not in distinct.columns:
        distinct = distinct.with_columns(models=pl.lit(""))
    return distinct, kind


def encode_nodes(cluster: Cluster, models: list[str]) -> tuple[Records, list[str]]:
    """Return idle `NODE` records and the names of the groups that own nodes."""
    table = cluster.table
    nodes = np.zeros(table.height, NODE)
    owners = table["group"].drop_nulls().unique(maintain_order=True).to_list()
    nodes["gpus"] = table["gpus"].to_numpy()
    nodes["cpu"] = nodes["free_cpu"] = table["cpu_milli"].to_numpy()
    nodes["memory"] = nodes["free_memory"] = table["memory_mib"].to_numpy()
    nodes["free_milli"] = nodes["gpus"] * 1000
    nodes["idle"] = nodes["gpus"]
    nodes["up"] = 1
    nodes["pooled"] = table["pooled"].to_numpy()
    nodes["index"] = np.arange(table.height)
    racks = table["rack"].drop_nulls().unique(maintain_order=True).to_list()
    for field, column, names in (
        ("model", "gpu_model", models),
        ("group", "group", owners),
        ("rack", "rack", racks),
    ):
        number = {None: -1} | {name: i for i, name in enumerate(names)}
        nodes[field] = [number[value] for value in table[column].to_list()]
    # a node without a model has the number -1, which is the last of the list
    watts = np.array([watts_of(name) for name in [*models, None]])
    nodes["idle_w"], nodes["max_w"] = watts[nodes["model"]].T
    devices = np.arange(NODE["free"].shape[0])
    nodes["free"] = np.where((devices < nodes["gpus"][:, None]) & (nodes["pooled"] == 0)[:, None], 1000, 0)
    return nodes, owners


def make_kind(
    nodes: Records,
    shapes: dict[tuple[int, ...], int],
    count: int,
    demand: tuple[int, int, int, int],
    models: int,
    group: int,
) -> tuple[int, ...]:
    """Return the fields of a class, adding the shapes it needs to `shapes` (values -> number).

    demand: gpus, milli, cpu, memory of one task.
    """
    gpus, milli, cpu, memory = demand
    if gpus == 0 or milli == 0:
        gpus = milli = 0
    usable = (nodes["gpus"] > 0) & ((nodes["group"] < 0) | (group == -1) | (nodes["group"] == group))
    if models:
        usable &= (nodes["model"] >= 0) & ((models >> np.maximum(nodes["model"], 0)) & 1 == 1)
    largest = int(nodes["gpus"][usable].max()) if usable.any() else 0

    def shape(size: int, last: int = 0) -> int:
        part = (-(-cpu * size // gpus), -(-memory * size // gpus)) if size != gpus else (cpu, memory)
        values = (size, milli, *part, models, group, last)
        return shapes.setdefault(values, len(shapes))

    total = count * gpus * milli
    if largest == 0 or gpus <= largest:
        return shape(gpus), count, -1, 0, count, 0, -1, -1, total
    # a gang of tasks each larger than a node: every task is cut alike, and the pieces start together
    whole, rest = divmod(gpus, largest)
    if rest and count == 1:
        return shape(largest), whole, shape(rest, 1), 0, whole + 1, 0, -1, -1, total
    if rest:
        return shape(gpus), count, -1, 0, count, 0, -1, -1, total
    return shape(largest), whole * count, -1, 0, whole * count, 0, -1, -1, total


def _numbers(names: pl.Series, first: list[str]) -> tuple[I4, list[str]]:
    """Number the names, those of `first` before the others."""
    rest = names.unique(maintain_order=True).to_list()
    known = [*first, *(name for name in rest if name not in set(first))]
    if len(known) == 1:
        return np.zeros(len(names), np.int32), known
    number = names.replace_strict(known, list(range(len(known))), return_dtype=pl.Int32)
    return number.to_numpy(), known


def group_of(part: int, owners: int) -> int:
    """Return the group whose nodes the tasks of a partition may use: -1 = the cluster is not divided."""
    if owners == 0:
        return -1
    return part if part < owners else OPEN_ONLY


def model_bits(text: str, models: list[str]) -> int:
    """Return the bit set of the GPU models in `A|B|C`, 0 = any."""
    if not text:
        return 0
    mask = 0
    for name in text.split("|"):
        mask |= 1 << models.index(name) if name in models else NOWHERE
    return mask


@entry
def _fits_empty(nodes, tasks, kind):
    for piece in range(kind.pieces):
        task = tasks[kind.shape if piece < kind.count else kind.rest]
        placed = False
        for n in range(nodes.size):
            if fits(nodes[n], task) > 0:
                take(nodes[n], task, -1)
                placed = True
                break
        if not placed:
            return False
    return True


@entry
def _total_room(nodes, task, apart):
    total = 0
    for n in range(nodes.size):
        total += min(fits(nodes[n], task), 1) if apart else fits(nodes[n], task)
    return total


def fits_empty(nodes: Records, tasks: Records, kind: Any) -> bool:
    """Say whether a job of this class could run if nothing else did."""
    task = tasks[kind["shape"]]
    if _total_room(nodes, task, bool(kind["apart"])) < kind["count"]:
        return False
    # counting is exact but for a smaller last piece, and for shares of several devices, which the device rule may not
    # pack as tightly as they could be
    shares = task["gpus"] > 1 and task["milli"] < 1000
    return bool((kind["rest"] < 0 and not shares) or _fits_empty(nodes.copy(), tasks, kind))
