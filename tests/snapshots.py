"""Small random snapshots (hypothesis strategies), and fragmentation measured on them slowly and obviously.

Nothing of the package is used here: devices are lists of numbers, tasks are tried one by one.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
from hypothesis import strategies as st

PLENTY = 1 << 40
GROUPS = ("red", "blue")


@dataclass
class Node:
    """A node as it is: what is free, `free` by device (one entry for a pool)."""

    name: str
    gpus: int
    cpu: int
    memory: int
    model: str | None = None
    group: str | None = None
    pooled: bool = False
    up: bool = True
    free: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.total_cpu, self.total_memory = self.cpu, self.memory
        self.free = [1000 * self.gpus] if self.pooled else [1000] * self.gpus


@dataclass
class Task:
    """A task, running (`node`, `devices`) or typical."""

    gpus: int
    milli: int
    cpu: int
    memory: int = 0
    models: tuple[str, ...] = ()
    group: str = ""
    node: int = -1
    devices: tuple[int, ...] = ()
    movable: bool = True


@dataclass
class Slow:
    """A cluster at one moment."""

    nodes: list[Node]
    tasks: list[Task]
    workload: list[Task]

    @property
    def divided(self) -> bool:
        return any(node.group is not None for node in self.nodes)

    def allowed(self, node: Node, task: Task) -> bool:
        """Whether the task may run on the node, however full."""
        if task.models and node.model not in task.models:
            return False
        return not self.divided or node.group is None or node.group == task.group

    def places(self, node: Node, task: Task) -> list[tuple[int, ...]]:
        """Return every choice of devices with which the task fits the node now."""
        if not node.up or not self.allowed(node, task) or node.cpu < task.cpu or node.memory < task.memory:
            return []
        if task.gpus * task.milli == 0:
            return [()]
        if node.pooled:
            return [()] if node.free[0] >= task.gpus * task.milli else []
        enough = [d for d in range(node.gpus) if node.free[d] >= task.milli]
        return list(itertools.combinations(enough, task.gpus))

    def put(self, node: Node, task: Task, devices: tuple[int, ...], sign: int = 1) -> None:
        """Start the task there, or end it with sign -1; nothing is ever given twice."""
        node.cpu -= sign * task.cpu
        node.memory -= sign * task.memory
        if node.pooled:
            node.free[0] -= sign * task.gpus * task.milli
        for d in devices:
            node.free[d] -= sign * task.milli
        assert 0 <= node.cpu <= node.total_cpu and 0 <= node.memory <= node.total_memory
        assert all(0 <= free <= (1000 * node.gpus if node.pooled else 1000) for free in node.free)

    def move(self, number: int, target: int, devices: tuple[int, ...], stop_first: bool = False) -> None:
        """Start a running task at its new place before it ends at the old one, or after."""
        task = self.tasks[number]
        old, new = self.nodes[task.node], self.nodes[target]
        if stop_first:
            self.put(old, task, task.devices, -1)
        assert devices in self.places(new, task)
        self.put(new, task, devices)
        if not stop_first:
            self.put(old, task, task.devices, -1)
        task.node, task.devices = target, devices

    def typical(self) -> list[tuple[float, Task]]:
        """Return (share, task) of the classes that make up 95 % of the workload, most frequent first.

        A class's memory is the median of its tasks.
        """
        owners = list(dict.fromkeys(n.group for n in self.nodes if n.group is not None))
        number = {group: i for i, group in enumerate(owners)}

        def key(task: Task) -> tuple[Any, ...]:
            part = number.get(task.group, len(owners)) if owners else 0
            return task.cpu, task.milli, task.gpus, "|".join(task.models), part

        counted = Counter(key(task) for task in self.workload)
        by_key = {key(task): task for task in self.workload}
        memory = {k: [task.memory for task in self.workload if key(task) == k] for k in by_key}
        ranked = sorted(counted, key=lambda k: (counted[k], *k), reverse=True)
        total, kept, covered = len(self.workload), [], 0
        for k in ranked:
            kept.append(k)
            covered += counted[k]
            if covered >= 0.95 * total:
                break
        largest = max([node.gpus for node in self.nodes] + [1])
        out = []
        for k in kept:
            task = replace(by_key[k], memory=int(statistics.median(memory[k])))
            if task.gpus > largest:
                cpu = math.ceil(task.cpu * largest / task.gpus)
                task = Task(largest, task.milli, cpu, 0, task.models, task.group)
            out.append((counted[k] / covered, task))
        return out

    def count(self, task: Task) -> int:
        """Return how many more such tasks could be started, one after the other, if nothing else came."""
        nodes, started = [replace(node, free=[]) for node in self.nodes], 0
        for node, like in zip(nodes, self.nodes):
            node.cpu, node.memory, node.free = like.cpu, like.memory, list(like.free)
            while places := self.places(node, task):
                node.cpu -= task.cpu
                node.memory -= task.memory
                for d in places[0] or [0] * node.pooled:
                    node.free[d] -= task.milli if places[0] else task.gpus * task.milli
                started += 1
        return started

    def split(self, node: Node, task: Task) -> dict[str, float]:
        """Return where the free milli-GPU of a node go for one typical task (Weng et al., section 4.1)."""
        free = sum(node.free) if node.up else 0
        if free == 0:
            return {}
        cpu_fits = node.cpu >= task.cpu
        if task.gpus * task.milli == 0:
            return {"xl" if cpu_fits else "xr": free}
        if not self.allowed(node, task):
            return {"no_access": free}
        if node.pooled:
            gpu_fits, rest = free >= task.gpus * task.milli, 0
        else:
            gpu_fits = sum(f >= task.milli for f in node.free) >= task.gpus
            rest = sum(f for f in node.free if f < task.milli)
        if not gpu_fits:
            return {"q2" if cpu_fits else "q1": free}
        if not cpu_fits:
            return {"q4": free}
        return {"q2": rest, "q3": free - rest}

    def buckets(self, *nodes: Node) -> Counter[str]:
        """Return the free milli-GPU of some nodes (default: all) by bucket, in expectation over the typical tasks."""
        out: Counter[str] = Counter()
        for share, task in self.typical():
            for node in nodes or self.nodes:
                for name, milli in self.split(node, task).items():
                    out[name] += share * milli  # type: ignore[assignment]
        return out

    def stranded(self, *nodes: Node) -> float:
        """Return F(M) of some nodes (default: all), milli-GPU."""
        return sum(milli for name, milli in self.buckets(*nodes).items() if name != "q3")

    def cluster_table(self) -> pl.DataFrame:
        """Return the nodes as the package's table."""
        rows = [
            {
                "node": n.name,
                "gpu_model": n.model,
                "gpus": n.gpus,
                "cpu_milli": n.total_cpu,
                "memory_mib": n.total_memory,
                "group": n.group,
                "pooled": n.pooled,
            }
            for n in self.nodes
        ]
        return pl.DataFrame(rows, schema_overrides={"gpu_model": pl.String, "group": pl.String})

    def task_table(self) -> pl.DataFrame:
        """Return what runs as the package's table."""
        schema = {
            "job_id": pl.String, "node": pl.String, "devices": pl.List(pl.Int64), "gpus": pl.Int32,
            "gpu_milli": pl.Int32, "cpu_milli": pl.Int64, "memory_mib": pl.Int64,
            "gpu_models": pl.List(pl.String), "group": pl.String, "movable": pl.Boolean,
        }  # fmt: skip
        rows = [
            [
                f"job-{i}", self.nodes[t.node].name, list(t.devices), t.gpus, t.milli, t.cpu, t.memory,
                list(t.models), t.group, t.movable,
            ]
            for i, t in enumerate(self.tasks)
        ]  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")

    def workload_table(self) -> pl.DataFrame:
        """Return the workload as the package's table."""
        rows = [
            {
                "submit_s": 0.0,
                "duration_s": 1.0,
                "gpus": t.gpus,
                "gpu_milli": t.milli,
                "cpu_milli": t.cpu,
                "memory_mib": t.memory,
                "gpu_models": list(t.models),
                "group": t.group,
            }
            for t in self.workload
        ]
        return pl.DataFrame(rows, schema_overrides={"gpu_models": pl.List(pl.String)})

    def down(self) -> list[str]:
        """Return the names of the nodes that take no tasks."""
        return [node.name for node in self.nodes if not node.up]


@st.composite
def tasks(draw: st.DrawFn, tight: bool, picky: bool, divided: bool) -> Task:
    """Return a task; `picky`: it may name models."""
    kind = draw(st.sampled_from(("share", "share", "whole", "whole", "cpu", "gang")))
    gpus = {"share": 1, "whole": draw(st.sampled_from((1, 1, 2, 4))), "cpu": 0, "gang": 2}[kind]
    milli = {"whole": 1000, "cpu": 0}.get(kind, draw(st.sampled_from((100, 200, 300, 465, 500, 600, 750))))
    return Task(
        gpus,
        milli,
        draw(st.sampled_from((0, 500, 1000, 2000, 4000))) if tight else 0,
        draw(st.sampled_from((0, 100, 512))) if tight else 0,
        draw(st.sampled_from(((), ("V100",), ("V100", "T4"), ("A100",)))) if picky else (),
        draw(st.sampled_from(("", *GROUPS))) if divided else "",
    )


def _running(draw: st.DrawFn, slow: Slow, wanted: list[Task]) -> Iterator[Task]:
    """Start what fits at a place drawn among all; give what runs."""
    for task in wanted:
        open_ = [
            (n, devices)
            for n, node in enumerate(slow.nodes)
            for devices in slow.places(node, task)
            if not node.pooled or task.gpus <= node.gpus
        ]
        if open_:
            task.node, task.devices = draw(st.sampled_from(open_))
            task.movable = draw(st.sampled_from((True, True, True, False)))
            slow.put(slow.nodes[task.node], task, task.devices)
            yield task


@st.composite
def snapshots(draw: st.DrawFn, most_nodes: int = 4, most_tasks: int = 12) -> Slow:
    """Return a cluster with what runs on it and a workload."""
    tight, picky, divided = draw(st.booleans()), draw(st.booleans()), draw(st.integers(0, 3)) == 3
    cpu = st.sampled_from((2000, 4000, 8000)) if tight else st.just(PLENTY)
    memory = st.sampled_from((512, 1024)) if tight else st.just(PLENTY)
    slow = Slow([], [], [])
    for i in range(draw(st.integers(1, most_nodes))):
        slow.nodes.append(
            Node(
                f"n{i}",
                draw(st.sampled_from((2, 4, 1, 3, 0))),
                draw(cpu),
                draw(memory),
                draw(st.sampled_from(("V100", "T4", None))) if picky else None,
                draw(st.sampled_from((None, *GROUPS))) if divided else None,
                draw(st.integers(0, 7)) == 7,
            )
        )
    one = tasks(tight, picky, divided)
    slow.tasks.extend(_running(draw, slow, draw(st.lists(one, max_size=most_tasks))))
    slow.workload.extend(draw(st.lists(one, min_size=1, max_size=8)))
    for node in slow.nodes:
        node.up = draw(st.integers(0, 7)) < 7
    return slow
