"""A gauge of fragmentation: how much free GPU of a cluster is stranded, for whom, where, and why.

The measure is that of Weng et al., "Beware of fragmentation", ATC 2023, section 4: a free GPU counts as stranded to the
extent that tasks typical of the workload could not use it where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.layout import BUCKETS, F8, TASK, UNBOUNDED, Records
from apportion.model.cluster import UNLIMITED, Cluster
from apportion.model.snapshot import Snapshot
from apportion.model.workload import Workload
from apportion.study.occupied import Occupied, put_on

WORDS = {
    "q1": "neither enough GPU nor enough CPU left",
    "q2": "not enough GPU left together",
    "q3": "usable",
    "q4": "GPU is left, but not the CPU beside it",
    "xl": "the task asks for no GPU",
    "xr": "the task asks for no GPU (and the CPU is short too)",
    "no_access": "the GPU model or the group is not allowed",
}
"""Where free GPU goes, in plain words; all but `q3` is stranded."""
STRANDED = [name for name in BUCKETS if name != "q3"]
NODES = 10
"""Nodes that the summary names at most."""


@dataclass(frozen=True)
class Gauge:
    """What is stranded on a cluster at one moment.

    Parameters
    ----------
    occupied: the cluster with what runs on it. by_node: f8[nodes, 7], free milli-GPU by `BUCKETS`.
    """

    occupied: Occupied
    by_node: F8

    @property
    def capacity_gpus(self) -> int:
        """All devices, those of nodes that are down as well."""
        return self.occupied.cluster.gpus

    @cached_property
    def free_gpus(self) -> float:
        """GPUs nobody holds, on nodes that take tasks."""
        nodes = self.occupied.nodes
        return float((nodes["free_milli"] * nodes["up"]).sum() / 1000)

    @cached_property
    def allocated_gpus(self) -> float:
        """GPUs that tasks hold."""
        nodes = self.occupied.nodes
        return float((1000 * nodes["gpus"] - nodes["free_milli"]).sum() / 1000)

    @cached_property
    def buckets(self) -> dict[str, float]:
        """GPUs by `WORDS`; they add up to the free ones."""
        return {name: float(total) for name, total in zip(BUCKETS, self.by_node.sum(axis=0) / 1000, strict=True)}

    @cached_property
    def stranded_gpus(self) -> float:
        """F(M) in GPUs: free ones that the typical tasks, in expectation, cannot use where they are."""
        return sum(self.buckets[name] for name in STRANDED)

    @cached_property
    def nodes(self) -> pl.DataFrame:
        """A row a node, most stranded first.

        `node, gpu_model, up bool, tasks` (that run there), `gpus, free_gpus, stranded_gpus`; `free_cpu_milli` and
        `free_memory_mib` (null where the cluster does not say how much there is); `reason` (of most of what is
        stranded; null where nothing is), and GPUs by `BUCKETS`.
        """
        nodes = self.occupied.nodes
        frame = self.occupied.cluster.table.select("node", "gpu_model").with_columns(
            pl.Series("up", nodes["up"] == 1),
            pl.Series("tasks", nodes["tasks"]),
            pl.Series("gpus", nodes["gpus"]),
            pl.Series("free_gpus", nodes["free_milli"] * nodes["up"] / 1000),
            pl.Series("stranded_gpus", _stranded(self.by_node)),
            _known("free_cpu_milli", nodes["free_cpu"], nodes["cpu"]),
            _known("free_memory_mib", nodes["free_memory"], nodes["memory"]),
            pl.Series("reason", _reasons(self.by_node), pl.String),
            *_columns(self.by_node),
        )
        return frame.sort("stranded_gpus", descending=True, maintain_order=True)

    @cached_property
    def models(self) -> pl.DataFrame:
        """A row a GPU model, in the order of the cluster.

        `gpu_model` (null = none given), `nodes, gpus, allocated_gpus, free_gpus, stranded_gpus, stranded_pct_of_free`
        (null where nothing is free), `reason`, and GPUs by `BUCKETS`.
        """
        nodes = self.occupied.nodes
        frame = self.occupied.cluster.table.select("gpu_model").with_columns(
            pl.Series("gpus", nodes["gpus"]),
            pl.Series("allocated_gpus", nodes["gpus"] - nodes["free_milli"] / 1000),
            pl.Series("free_gpus", nodes["free_milli"] * nodes["up"] / 1000),
            *_columns(self.by_node),
        )
        grouped = frame.group_by("gpu_model", maintain_order=True).agg(pl.len().alias("nodes"), pl.all().sum())
        grouped = grouped.filter(pl.col("gpus") > 0)
        split = 1000 * grouped.select(BUCKETS).to_numpy()
        free = grouped["free_gpus"]
        stranded = pl.Series(_stranded(split))
        return grouped.select(
            *["gpu_model", "nodes", "gpus", "allocated_gpus", "free_gpus"],
            stranded.alias("stranded_gpus"),
            pl.select(pl.when(free > 0).then(100 * stranded / free)).to_series().alias("stranded_pct_of_free"),
            pl.Series("reason", _reasons(split), pl.String),
            *BUCKETS,
        )

    @cached_property
    def classes(self) -> pl.DataFrame:
        """A row a class of typical tasks, those to which most is stranded (times their share) first.

        `gpus, gpu_milli, cpu_milli`; `memory_mib`, the median of the class; `gpu_models`, the allowed ones that the
        cluster has (null: any, empty: it has none of them); `share` of the workload; `room`, how many more of it would
        fit now (null: without limit); `stranded_gpus`, free GPUs it cannot use; `contribution_gpus`, that times the
        share: they add up to `Gauge.stranded_gpus`; `reason`; and GPUs by `BUCKETS`.
        """
        occupied = self.occupied
        targets = occupied.board.targets
        split = np.array([occupied.board.alone(t).split(occupied.nodes).sum(axis=0) for t in range(targets.size)])
        stranded = _stranded(split)
        tasks = np.zeros(targets.size, TASK)
        for field in ("gpus", "milli", "cpu", "models", "group"):
            tasks[field] = targets[field]
        tasks["memory"] = self._memory()
        names = occupied.target.models
        allowed = [[n for i, n in enumerate(names) if bits >> i & 1] if bits else None for bits in targets["models"]]
        frame = pl.DataFrame(
            {
                "gpus": targets["gpus"],
                "gpu_milli": targets["milli"],
                "cpu_milli": targets["cpu"],
                "memory_mib": tasks["memory"],
                "gpu_models": pl.Series(allowed, dtype=pl.List(pl.String)),
                "share": targets["share"],
                "room": [n if n < UNBOUNDED else None for n in occupied.board.room(occupied.nodes, tasks)],
                "stranded_gpus": stranded,
                "contribution_gpus": stranded * targets["share"],
                "reason": pl.Series(_reasons(split), dtype=pl.String),
            }
        ).with_columns(*_columns(split))
        return frame.sort("contribution_gpus", descending=True, maintain_order=True)

    def _memory(self) -> Any:
        """Return the median memory of each typical class, MiB, which plays no part in the measure itself."""
        target = self.occupied.target
        key = ["gpus", "milli", "cpu", "models", "group"]
        shape = target.kinds["shape"][target.kind]
        task = target.tasks[shape]
        seen = pl.DataFrame({name: task[name] for name in (*key, "memory")})
        median = seen.group_by(key).agg(pl.col("memory").median())
        wanted = pl.DataFrame({name: self.occupied.board.targets[name] for name in key})
        return wanted.join(median, on=key, how="left", maintain_order="left")["memory"].fill_null(0).to_numpy()

    @property
    def notes(self) -> list[str]:
        """What is assumed, a line each."""
        occupied = self.occupied
        out = []
        if occupied.guessed:
            out.append(f"{occupied.guessed:,} tasks do not say which devices they use: assigned by best fit")
        down = occupied.nodes["up"] == 0
        if down.any():
            gpus = int(occupied.nodes["gpus"][down].sum())
            out.append(f"{int(down.sum()):,} nodes take no tasks: their {gpus:,} GPUs are neither free nor stranded")
        return out

    def summary(self) -> dict[str, Any]:
        """Return the dictionary of `fragmentation --json`.

        `workload` is null where the tasks that run are the typical ones; a percent is null where there is nothing to
        divide by.
        """
        occupied = self.occupied
        return {
            "cluster": occupied.cluster.name,
            "tasks": len(occupied.snapshot),
            "nodes": len(occupied.cluster),
            "nodes_down": int((occupied.nodes["up"] == 0).sum()),
            "workload": None if occupied.own else occupied.target.workload.name,
            "capacity_gpus": self.capacity_gpus,
            "allocated_gpus": self.allocated_gpus,
            "free_gpus": self.free_gpus,
            "stranded_gpus": self.stranded_gpus,
            "stranded_pct_of_capacity": _percent(self.stranded_gpus, self.capacity_gpus),
            "stranded_pct_of_free": _percent(self.stranded_gpus, self.free_gpus),
            "asks_no_gpu_gpus": self.buckets["xl"] + self.buckets["xr"],
            "buckets_gpus": self.buckets,
            "models": self.models.to_dicts(),
            "classes": self.classes.to_dicts(),
            "most_stranded_nodes": self.nodes.filter(pl.col("stranded_gpus") > 0).head(NODES).to_dicts(),
            "notes": self.notes,
        }


def gauge(
    cluster: Cluster,
    tasks: Snapshot | pl.DataFrame,
    workload: Workload | None = None,
    *,
    down: Sequence[str] = (),
) -> Gauge:
    """Measure what is stranded on a cluster.

    Parameters
    ----------
    cluster: all its nodes. tasks: what runs on it, with the columns of `apportion.model.snapshot.COLUMNS`.
    workload: whose typical tasks decide what is usable (those that make up 95 % of it); None = the tasks that run.
    down: names of nodes that take no tasks, failed or drained; what runs on them stays.

    Raises
    ------
    InputError: a value is wrong, a node has not what its tasks hold, or there is no task to be typical.

    Examples
    --------
    >>> import polars as pl
    >>> import apportion as ap
    >>> tasks = pl.DataFrame({"node": ["node-0000"], "devices": ["0"], "gpus": [1], "gpu_milli": [500]})
    >>> found = gauge(ap.parse_cluster("1x2"), tasks)
    >>> found.free_gpus, found.stranded_gpus
    (1.5, 0.0)
    """
    snapshot = tasks if isinstance(tasks, Snapshot) else Snapshot.of(tasks)
    occupied = put_on(cluster, snapshot, workload, down)
    return Gauge(occupied, occupied.board.split(occupied.nodes))


def _stranded(split: F8) -> F8:
    """Return GPUs from milli-GPU by bucket: all but those of `q3`."""
    return np.asarray(split[:, [BUCKETS.index(name) for name in STRANDED]].sum(axis=1) / 1000)


def _reasons(split: F8) -> list[str | None]:
    """Return the bucket of most of what is stranded, None where nothing is."""
    kept = split[:, [BUCKETS.index(name) for name in STRANDED]]
    most = kept.argmax(axis=1)
    return [STRANDED[b] if row[b] > 0 else None for row, b in zip(kept, most, strict=True)]


def _known(name: str, free: Any, total: Any) -> pl.Series:
    """Return what is free, null where the total is not known."""
    return pl.select(pl.when(pl.Series(total < UNLIMITED)).then(pl.Series(free)).alias(name)).to_series()


def _columns(split: Records) -> list[pl.Series]:
    return [pl.Series(name, split[:, b] / 1000) for b, name in enumerate(BUCKETS)]


def _percent(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole > 0 else None
