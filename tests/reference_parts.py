"""What the reference simulator is made of: nodes, jobs as they are asked for, and taking and giving back.

Slow and obvious, like all of it: a node is a list of what is free on each of its devices.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

WHOLE = 1000
INF = math.inf


@dataclass(frozen=True)
class NodeSpec:
    """A node: `gpus` devices of `gpu_model` (one amount if `pooled`), CPU, memory, the group that owns it."""

    gpus: int
    cpu_milli: int = 1 << 40
    memory_mib: int = 1 << 40
    gpu_model: str | None = None
    group: str | None = None
    pooled: bool = False


@dataclass(frozen=True)
class JobSpec:
    """A job: when it comes, how long it runs and is thought to run (s), and what each of its tasks needs."""

    submit: float = 0.0
    duration: float = 1.0
    estimate: float | None = None
    tasks: int = 1
    gpus: int = 1
    gpu_milli: int = WHOLE
    cpu_milli: int = 0
    memory_mib: int = 0
    gpu_models: tuple[str, ...] = ()
    user: str = ""
    group: str = ""
    priority: int = 0
    preemptible: bool = True


def owner(group: str, nodes: Iterable[NodeSpec]) -> str | None:
    """Return the group whose nodes a job of `group` may use beside those of nobody, None where it owns none."""
    return group if any(node.group == group for node in nodes) else None


def may_use(node: NodeSpec, models: tuple[str, ...], group: str | None) -> bool:
    """Say whether a task may run on this kind of node, however full it is."""
    return (not models or node.gpu_model in models) and node.group in (None, group)


@dataclass(frozen=True)
class Shape:
    """What one piece takes from the one node that it runs on; `gpus` is 0 where no GPU is needed."""

    gpus: int
    milli: int
    cpu: int
    memory: int

    @property
    def kind(self) -> str | int:
        """What gpu-clustering keeps together: tasks that share devices, or use as many whole ones."""
        return "share" if self.milli < WHOLE else self.gpus


class Node:
    """A node as it is now; a pool is a node with a single device of many thousand milli."""

    def __init__(self, spec: NodeSpec) -> None:
        self.spec = spec
        self.up = True
        self.free_cpu, self.free_memory = spec.cpu_milli, spec.memory_mib
        self.free = [spec.gpus * WHOLE] if spec.pooled else [WHOLE] * spec.gpus
        self.tasks = 0
        self.guests: Counter[str | int] = Counter()

    @property
    def free_milli(self) -> int:
        return sum(self.free)

    def takes(self, shape: Shape) -> bool:
        """Return whether a piece of this shape fits now."""
        if not self.up or shape.cpu > self.free_cpu or shape.memory > self.free_memory:
            return False
        if shape.gpus == 0:
            return True
        if self.spec.pooled:
            return shape.gpus * shape.milli <= self.free_milli
        return sum(free >= shape.milli for free in self.free) >= shape.gpus

    def fullest(self, shape: Shape) -> tuple[int, ...]:
        """Return the devices for a fitting piece: the fullest that have room, the lowest index on ties.

        For whole devices that is the lowest idle ones, as only idle devices have room.
        """
        if shape.gpus == 0 or self.spec.pooled:
            return ()
        roomy = [d for d in range(len(self.free)) if self.free[d] >= shape.milli]
        return tuple(sorted(roomy, key=lambda d: (self.free[d], d))[: shape.gpus])

    def change(self, shape: Shape, devices: tuple[int, ...], sign: int) -> None:
        """Give back a piece (+1) or take it (-1)."""
        self.free_cpu += sign * shape.cpu
        self.free_memory += sign * shape.memory
        self.tasks -= sign
        if shape.gpus > 0:
            self.guests[shape.kind] -= sign
        if self.spec.pooled:
            self.free[0] += sign * shape.gpus * shape.milli
        for device in devices:
            self.free[device] += sign * shape.milli
        most = self.spec.gpus * WHOLE if self.spec.pooled else WHOLE
        assert all(0 <= free <= most for free in self.free)
        assert 0 <= self.free_cpu <= self.spec.cpu_milli and 0 <= self.free_memory <= self.spec.memory_mib

    def after(self, shape: Shape, devices: tuple[int, ...]) -> Node:
        """Return the node as it would be with a piece on these devices."""
        later = copy.copy(self)
        later.free, later.guests = list(self.free), Counter(self.guests)
        later.change(shape, devices, -1)
        return later


@dataclass(frozen=True)
class Piece:
    """A piece in its place; `devices` is empty in a pool and where no GPU is needed."""

    node: int
    shape: Shape
    devices: tuple[int, ...]


def take(nodes: list[Node], index: int, shape: Shape, devices: tuple[int, ...] | None = None) -> Piece:
    """Put a piece on a node on which it fits, by default on the fullest devices."""
    node = nodes[index]
    assert node.takes(shape)
    piece = Piece(index, shape, node.fullest(shape) if devices is None else devices)
    node.change(shape, piece.devices, -1)
    return piece


def give_back(nodes: list[Node], pieces: list[Piece]) -> None:
    """Take pieces off their nodes."""
    for piece in pieces:
        nodes[piece.node].change(piece.shape, piece.devices, +1)
