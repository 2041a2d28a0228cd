"""What a Slurm job asks for, as a gang of identical tasks: one task a node.

Slurm says the same thing in many ways (`--gres`, `--gpus`, `--gpus-per-task`, `--mem-per-cpu`, ...). Whatever cannot be
said as so many nodes with the same on each is left alone, and the job is told why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from apportion.live.slurm import values


@dataclass(frozen=True)
class Site:
    """Facts of the nodes that bear on what a job asks for.

    Parameters
    ----------
    models: GPU model of every node. features: nodes that have a feature. cpus: of the largest node. threads: of a core.
    gpus: of the largest node.
    """

    models: Mapping[str, str | None]
    features: Mapping[str, set[str]]
    cpus: int
    threads: int
    gpus: int


@dataclass(frozen=True)
class Demand:
    """What one task (node) asks for; `unfit` says why the job cannot be placed by a policy, else it is empty."""

    tasks: int
    gpus: int
    cpu_milli: int
    memory_mib: int
    gpu_models: tuple[str, ...]
    unfit: str = ""


def demand_of(row: Mapping[str, str], site: Site, holds: int = 0) -> Demand:
    """Return what a job asks for.

    Parameters
    ----------
    row: of `squeue`. holds: nodes that it holds, 0 while it waits.
    """
    nodes = holds or max(values.count(row["NumNodes"], 1), 1)
    gpus, models, unfit = _gpus(row, nodes, site, holds)
    constrained = row["Feature"] not in ("", "(null)")
    if not unfit and not holds and constrained:
        models, unfit = _constraint(row["Feature"], models, gpus, site)
    return Demand(nodes, gpus, _cpus(row, nodes, gpus, site, holds) * 1000, _memory(row, nodes, gpus), models, unfit)


def _gpus(row: Mapping[str, str], nodes: int, site: Site, holds: int) -> tuple[int, tuple[str, ...], str]:
    """Return the GPUs of a node, their models, and why that is not known."""
    for name, times in (
        ("tres-per-node", nodes),
        ("tres-per-job", 1),
        ("tres-per-task", values.count(row["NumTasks"], 1)),
    ):
        wanted = values.generic(row[name])
        if wanted is None:
            return 0, (), f"it asks for {row[name][:60]!r}, which is not known here"
        other = [what for what, _, _ in wanted if what != "gpu"]
        if other:
            return 0, (), f"it asks for {other[0]}, and policies place GPUs, CPUs and memory"
        if wanted:
            kinds = {kind for _, kind, _ in wanted if kind}
            if len(kinds) > 1:
                return 0, (), f"it asks for GPUs of several models at once ({', '.join(sorted(kinds))})"
            if kinds - set(site.models.values()):
                return 0, (), f"no node has {max(kinds)} as the GPUs that policies place there"
            even = name == "tres-per-node" or (name == "tres-per-task" and values.count(row["NTPerNode"]) > 0)
            gpus, unfit = _of_a_node(times * sum(n for _, _, n in wanted), nodes, site.gpus, even, holds)
            return gpus, tuple(kinds), unfit
    if values.generic(row["tres-per-socket"]) != []:
        return 0, (), "it asks for GPUs by socket, and policies place them by node"
    return 0, (), ""


def _of_a_node(total: int, nodes: int, most: int, even: bool, holds: int) -> tuple[int, str]:
    """Return the GPUs of each of a job's nodes, and why that is not known.

    GPUs asked for in all Slurm takes from one node as far as it goes, at least one from each (22.05 makes 7 + 1 of
    eight on two nodes): what is left on which node is known only where whole nodes are asked for. Of a job that runs
    as much is taken for held as can be.
    """
    if even or nodes == 1 or total >= nodes * most:
        return math.ceil(total / nodes), ""
    if holds:
        return min(total - nodes + 1, most), ""
    return 0, f"it asks for {total} GPUs in all on {nodes} nodes; say how many on each, as --gpus-per-node does"


def _cpus(row: Mapping[str, str], nodes: int, gpus: int, site: Site, holds: int) -> int:
    if row["OverSubscribe"] == "NO" and not holds:
        return site.cpus
    cpus = math.ceil(values.count(row["NumCPUs"], 1) / nodes)
    if not holds:
        by_gpu = values.generic(row["cpus-per-tres"]) or []
        cpus = max([cpus, *(number * gpus for name, _, number in by_gpu if name == "gpu")])
    return math.ceil(cpus / site.threads) * site.threads


def _memory(row: Mapping[str, str], nodes: int, gpus: int) -> int:
    by_gpu = values.generic(row["mem-per-tres"]) or []
    if by_gpu:
        return max(number * gpus for _, _, number in by_gpu)
    total = values.tres(row["tres-alloc"])
    memory = values.mib(total.get("mem", ""))
    over = values.count(total.get("node", ""), nodes) or nodes
    if memory is None:
        memory, over = values.mib(row["MinMemory"]) or 0.0, 1
    return math.ceil(memory / over)


def _constraint(text: str, models: tuple[str, ...], gpus: int, site: Site) -> tuple[tuple[str, ...], str]:
    """Return the GPU models that a constraint on features comes to, or why it comes to none."""
    nodes: set[str] = set()
    for name in text.split("|"):
        nodes |= site.features.get(name, set())
    if nodes >= set(site.models):
        return models, ""
    allowed = {site.models[node] for node in nodes if node in site.models}
    same = all(node in nodes for node, model in site.models.items() if model in allowed)
    named = tuple(sorted(model for model in allowed if model and (not models or model in models)))
    if not named or not same or not gpus:
        return models, f"its constraint {text[:60]!r} does not come down to GPU models"
    return named, ""
