"""A snapshot put on its cluster: the nodes as they are, and which shape each task has, in the engine's arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.board import Board, occupy
from apportion.engine.encode import Encoded, encode
from apportion.engine.layout import I8, Records
from apportion.engine.target import typical_tasks
from apportion.model.cluster import Cluster
from apportion.model.errors import InputError, did_you_mean
from apportion.model.snapshot import Snapshot
from apportion.model.workload import Workload


@dataclass(frozen=True)
class Occupied:
    """A cluster with what runs on it.

    Parameters
    ----------
    cluster, snapshot: what was given. nodes: `NODE` records, in the order of the cluster's table; down ones have `up`
    0.
    tasks: `TASK` records, the distinct shapes of what runs. shape, node, mask: i8[running], of each row of the
        snapshot: its shape, its node, its devices as a bit set (0: none, or in a pool).
    guessed: how many tasks' devices were not known and assigned. board: measures nodes against the target workload.
    target: the target workload, encoded. own: it is what runs.
    """

    cluster: Cluster
    snapshot: Snapshot
    nodes: Records
    tasks: Records
    shape: I8
    node: I8
    mask: I8
    guessed: int
    board: Board
    target: Encoded
    own: bool


def put_on(cluster: Cluster, snapshot: Snapshot, workload: Workload | None, down: Sequence[str] = ()) -> Occupied:
    """Put the tasks of a snapshot on the cluster.

    Parameters
    ----------
    workload: whose typical tasks fragmentation is measured against; None = the tasks that run. down: names of nodes
    that take no tasks; what runs on them stays.

    Raises
    ------
    InputError: a node is not known, or has not what its tasks hold; nothing to take typical tasks from.
    """
    number = {name: i for i, name in enumerate(cluster.table["node"])}
    node = _nodes_of(snapshot, number)
    running = _as_workload(snapshot, cluster, node)
    encoded = encode(running, cluster)
    nodes = encoded.nodes
    mask = _masks(snapshot, nodes, node)
    shape = encoded.kinds["shape"][encoded.kind].astype(np.int64)
    task = encoded.tasks[shape]
    unknown = (task["gpus"] > 0) & (mask == 0) & (nodes["pooled"][node] == 0)
    # tasks whose devices are known go first; of the others, those that use whole devices, then the largest shares
    order = np.lexsort((np.where(unknown, -task["milli"], 0), unknown)).astype(np.int64)
    done = occupy(nodes, encoded.tasks, shape, node, mask, order)
    if done < order.size:
        raise _too_much(snapshot, int(order[done]), nodes[node[order[done]]], task[order[done]], mask)
    for name in down:
        if name not in number:
            raise InputError(
                f"found node {name!r} to be down, which the cluster does not have{did_you_mean(name, number)}"
            )
        nodes["up"][number[name]] = 0
    target = encoded if workload is None else encode(workload, cluster)
    targets = typical_tasks(target)
    if targets.size == 0:
        raise InputError(f"{target.workload.name}: found no tasks, expected some that are typical of what will come")
    board = Board(targets)
    return Occupied(
        cluster, snapshot, nodes, encoded.tasks, shape, node, mask, int(unknown.sum()), board, target, workload is None
    )


def _nodes_of(snapshot: Snapshot, number: dict[str, int]) -> I8:
    names = snapshot.table["node"].to_list()
    for row, name in enumerate(names):
        if name not in number:
            hint = did_you_mean(name, number)
            raise snapshot.wrong(row, "node", f"found {name!r}, which the cluster does not have{hint}")
    return np.array([number[name] for name in names], np.int64)


def _as_workload(snapshot: Snapshot, cluster: Cluster, node: I8) -> Workload:
    """Return what runs as jobs of one task; every one may run where it does."""
    where = cluster.table.select(model="gpu_model", has="gpus", owner="group", at="node")[node]
    table = snapshot.table.hstack(where).with_columns(group=pl.coalesce("group", "owner", pl.lit("")))
    given = pl.col("gpu_models").list
    for bad, column, text in (
        (pl.col("gpus") > pl.col("has"), "gpus", "found {gpus}, expected at most {has}, the GPUs of {at}"),
        (
            (given.len() > 0) & ~given.contains(pl.col("model")).fill_null(False),
            "gpu_models",
            "found {gpu_models}, expected the model of {at}, {model}",
        ),
        (
            pl.col("owner").is_not_null() & (pl.col("owner") != pl.col("group")),
            "group",
            "found {group!r}, expected the group that owns {at}, {owner!r}",
        ),
    ):
        wrong = table.select(bad).to_series()
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            values: dict[str, Any] = table.row(row, named=True)
            raise snapshot.wrong(row, column, text.format(**values | {"gpu_models": "|".join(values["gpu_models"])}))
    columns = ["job_id", "group", "gpus", "gpu_milli", "cpu_milli", "memory_mib", "gpu_models"]
    return Workload.of(table.select(*columns, submit_s=0.0, duration_s=0.0), name=snapshot.name)


def _masks(snapshot: Snapshot, nodes: Records, node: I8) -> I8:
    mask = np.zeros(len(snapshot), np.int64)
    for row, devices in enumerate(snapshot.table["devices"].to_list()):
        at = nodes[node[row]]
        if devices and not at["pooled"]:
            if devices[-1] >= at["gpus"]:
                name = snapshot.table["node"][row]
                what = f"found {devices[-1]}, expected an index below {at['gpus']}, the number of GPUs of {name}"
                raise snapshot.wrong(row, "devices", what)
            mask[row] = sum(1 << d for d in devices)
    return mask


def _too_much(snapshot: Snapshot, row: int, node: Any, task: Any, mask: I8) -> InputError:
    """Return the error for the first task that its node has no room for."""
    name = snapshot.table["node"][row]
    for field, column, unit in (("cpu", "cpu_milli", "milli-cores"), ("memory", "memory_mib", "MiB")):
        if task[field] > node[f"free_{field}"]:
            free, of = node[f"free_{field}"], node[field]
            left = f"{name} has {of} {unit}, of which other tasks hold {of - free}"
            return snapshot.wrong(row, column, f"found {task[field]}, expected at most {free}: {left}")
    if mask[row]:
        device = next(d for d in range(node["gpus"]) if mask[row] >> d & 1 and node["free"][d] < task["milli"])
        free = node["free"][device]
        what = f"found device {device}, of which {task['milli']} milli-GPU are asked and {free} are free on {name}"
        return snapshot.wrong(row, "devices", what)
    enough = int((node["free"][: node["gpus"]] >= task["milli"]).sum())
    if node["pooled"]:
        enough = node["free_milli"] // task["milli"]
    what = f"found {task['gpus']}, but {name} has {enough} devices left with {task['milli']} milli-GPU free"
    by = "" if node["pooled"] else " (devices that the file does not say are assigned by best fit)"
    return snapshot.wrong(row, "gpus", what + by)
