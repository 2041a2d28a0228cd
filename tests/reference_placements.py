"""The reference simulator's placements: which node is best for a piece, and which devices of it.

Those of Weng et al., "Beware of fragmentation", ATC 2023, are written from its text and its program: points are whole
numbers, and the sums over the typical tasks are added up in the published order, on which the figures depend.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from reference_parts import WHOLE, JobSpec, Node, NodeSpec, Shape, may_use, owner

MAX_CPU, MAX_GPU = 128_000, 8 * WHOLE
"""Milli-cores and milli-GPU of a large node, the unit of several points."""


# -- fragmentation


@dataclass(frozen=True)
class Typical:
    """A class of tasks that is frequent in a workload: `share` of the typical ones. `gpus` is 0 = no GPU."""

    cpu: int
    milli: int
    gpus: int
    models: tuple[str, ...]
    group: str | None
    share: float


Target = tuple[Typical, ...]


def typical_tasks(jobs: Iterable[JobSpec], nodes: tuple[NodeSpec, ...], percent: int = 95) -> Target:
    """Return the most frequent classes, larger demands first on ties, until they make up `percent` of all tasks."""
    owners = [*dict.fromkeys(node.group for node in nodes if node.group is not None)]
    count: Counter[tuple[int, int, int, str, int]] = Counter()
    models = {}
    for job in jobs:
        milli, gpus = (job.gpu_milli, job.gpus) if job.gpus * job.gpu_milli > 0 else (0, 0)
        part = owners.index(job.group) if owner(job.group, nodes) is not None else len(owners)
        written = "|".join(job.gpu_models)
        models[written] = job.gpu_models
        count[job.cpu_milli, milli, gpus, written, part] += job.tasks
    total, covered = sum(count.values()), 0
    kept = []
    for key in sorted(count, key=lambda k: (count[k], *k), reverse=True):
        kept.append(key)
        covered += count[key]
        if 100 * covered >= percent * total:
            break
    largest = max(1, *(node.gpus for node in nodes))
    typical = []
    for key in kept:
        cpu, milli, gpus, written, part = key
        share = count[key] / total
        if len(kept) < len(count):
            share /= covered / total
        if gpus > largest:
            cpu, gpus = -(-cpu * largest // gpus), largest
        group = owners[part] if part < len(owners) else None
        typical.append(Typical(cpu, milli, gpus, models[written], group, share))
    return tuple(typical)


def fragment(node: Node, target: Target) -> float:
    """Return the milli-GPU free on a node that the typical tasks cannot use, in expectation."""
    by_case = dict.fromkeys(("q1", "q2", "q4", "xl", "xr", "no access", "q3"), 0.0)
    free = node.free_milli if node.up else 0
    for m in target:
        cpu_fits = node.free_cpu >= m.cpu
        if node.spec.pooled:
            gpu_fits, rest = node.free_milli >= m.gpus * m.milli, 0
        else:
            gpu_fits = sum(on_device >= m.milli for on_device in node.free) >= m.gpus
            rest = sum(on_device for on_device in node.free if on_device < m.milli)
        if m.milli == 0:
            by_case["xl" if cpu_fits else "xr"] += m.share * free
        elif not may_use(node.spec, m.models, m.group):
            by_case["no access"] += m.share * free
        elif gpu_fits and cpu_fits:
            by_case["q2"] += m.share * rest
            by_case["q3"] += m.share * (free - rest)
        elif gpu_fits:
            by_case["q4"] += m.share * free
        else:
            by_case["q2" if cpu_fits else "q1"] += m.share * free
    total = 0.0
    for case in ("q1", "q2", "q4", "xl", "xr", "no access"):
        total += by_case[case]
    return total


def fgd_points(node: Node, shape: Shape, devices: tuple[int, ...], target: Target) -> int:
    """Return the points of one way to place a piece: 50 where fragmentation stays, more where it shrinks."""
    shrinks = fragment(node, target) - fragment(node.after(shape, devices), target)
    return math.trunc(1 / (1 + math.exp(-shrinks / 1000)) * 100)


def fgd_devices(node: Node, shape: Shape, target: Target) -> tuple[int, ...]:
    """Return the device with the most points for a piece that shares one, the lowest index on ties."""
    if shape.gpus != 1 or shape.milli == WHOLE or node.spec.pooled:
        return node.fullest(shape)
    roomy = [(d,) for d in range(len(node.free)) if node.free[d] >= shape.milli]
    return max(roomy, key=lambda devices: fgd_points(node, shape, devices, target))


def fullest_devices(node: Node, shape: Shape, target: Target) -> tuple[int, ...]:
    """Return the fullest devices that have room."""
    return node.fullest(shape)


# -- scores: the smallest wins


def utilisation(node: Node) -> float:
    """Return the whole percent of CPU and GPU in use, as the simulator published with PAI counts it."""
    cpu = 1 - node.free_cpu / node.spec.cpu_milli if node.spec.cpu_milli else 0.0
    if node.spec.gpus == 0:
        return round(100 * cpu)
    gpu = 1 - node.free_milli / (node.spec.gpus * WHOLE)
    return round(100 * (gpu + cpu) / 2)


def fgd(node: Node, shape: Shape, target: Target) -> float:
    """The points of the best device."""
    return -fgd_points(node, shape, fgd_devices(node, shape, target), target)


def best_fit(node: Node, shape: Shape, target: Target) -> float:
    """The least CPU and GPU left free, each in units of a large node."""
    cpu = 0.5 * (node.free_cpu - shape.cpu) / MAX_CPU
    left = cpu + 0.5 * (node.free_milli - shape.gpus * shape.milli) / MAX_GPU
    return -math.trunc(100 * (1 - left))


def dot_product(node: Node, shape: Shape, target: Target) -> float:
    """The smallest product of what is free and what is asked for."""
    cpu = (node.free_cpu / MAX_CPU) * (shape.cpu / MAX_CPU)
    gpu = (node.free_milli / MAX_GPU) * (shape.gpus * shape.milli / MAX_GPU)
    return -math.trunc(100 * (1 - (cpu + gpu) / 2))


def gpu_packing(node: Node, shape: Shape, target: Target) -> float:
    """Devices in use first, then idle devices of a node in use, then an idle node; a pool is one large device."""
    if shape.gpus == 0:
        return 0
    if node.free_milli == node.spec.gpus * WHOLE:
        return -max(33 - node.spec.gpus, node.spec.gpus)
    picked = node.free if node.spec.pooled else [node.free[d] for d in node.fullest(shape)]
    idle = 0 if node.spec.pooled else picked.count(WHOLE)
    if idle:
        return -max(50 - idle, 33)
    return -max(100 - sum(free * 100 // WHOLE for free in picked) // 10, 50)


def gpu_clustering(node: Node, shape: Shape, target: Target) -> float:
    """Pieces of a kind together."""
    if shape.gpus == 0:
        return 0
    kinds = {kind for kind, count in node.guests.items() if count > 0}
    base = 25 if not kinds else 75 if kinds == {shape.kind} else 50 if shape.kind in kinds else 0
    return -(base + 25 * (MAX_GPU - node.free_milli) // MAX_GPU)


Score = Callable[[Node, Shape, Target], float]


@dataclass(frozen=True)
class Rule:
    """A placement: scores and their weights, what decides ties before the position does, the devices of a piece."""

    terms: tuple[tuple[float, Score], ...]
    ties: Score | None = None
    devices: Callable[[Node, Shape, Target], tuple[int, ...]] = fullest_devices

    def key(self, node: Node, shape: Shape, target: Target) -> tuple[float, float]:
        """Return what the best node has the least of."""
        total = 0.0
        for weight, score in self.terms:
            total += weight * score(node, shape, target)
        if len(self.terms) > 1:
            total = round(total * 1e9) / 1e9
        return total, self.ties(node, shape, target) if self.ties else 0


SIMPLE = {
    "first-fit": Rule(()),
    "best-fit": Rule(((1.0, best_fit),)),
    "worst-fit": Rule(((1.0, lambda node, shape, target: -node.free_milli),)),
    "load-balance": Rule(((1.0, lambda node, shape, target: utilisation(node)),)),
    "spread": Rule(((1.0, lambda node, shape, target: node.tasks),)),
}
"""Placements that look at a node and a piece and nothing else."""

RULES = SIMPLE | {
    "fgd": Rule(((1.0, fgd),), devices=fgd_devices),
    "fgd[ties=best-fit]": Rule(((1.0, fgd),), best_fit, fgd_devices),
    "dot-product": Rule(((1.0, dot_product),)),
    "gpu-packing": Rule(((1.0, gpu_packing),)),
    "gpu-packing[ties=best-fit]": Rule(((1.0, gpu_packing),), best_fit),
    "gpu-clustering": Rule(((1.0, gpu_clustering),)),
    "fgd*0.7+best-fit*0.3": Rule(((0.7, fgd), (0.3, best_fit)), devices=fgd_devices),
    "gpu-clustering*0.4+fgd*0.6": Rule(((0.4, gpu_clustering), (0.6, fgd))),
}
"""All of them, by the names the package gives them."""
