"""Monte-Carlo arrivals of the FGD paper: a trace shuffled and inflated to a share of a cluster's GPUs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from apportion.model.errors import InputError
from apportion.traces.go_random import GoRandom

MOST_EVENTS = 100_000_000
DRAWS_AT_START = 10
"""Numbers that the Kubernetes informers of the published simulator draw as they start."""

Index = npt.NDArray[np.int64]


class Arrivals(NamedTuple):
    """Who arrives when, and which node wins a tie.

    order: i64[events] row of the task that arrives; clones repeat a row, deleted tasks are absent.
    rank: i64[nodes] index of the node in each place; of nodes with equal scores the earliest here is taken.
    """

    order: Index
    rank: Index


def inflate(
    names: Iterable[str],
    gpus: npt.ArrayLike,
    gpu_milli: npt.ArrayLike,
    nodes: Iterable[str],
    *,
    capacity_milli: int,
    seed: int = 42,
    ratio: float = 1.3,
) -> Arrivals:
    """Shuffle the tasks, then clone or delete some until they ask for `ratio` times the GPUs of the cluster.

    The tasks sorted by name are shuffled. Below the target, clones of tasks drawn from all of them follow, up
    to the first whose share of one device (not of all its devices) would exceed the target; above it, tasks
    are deleted at random until the target is met. The nodes sorted by name are ranked at random. All draws
    are those of the published simulator, so seeds 42 to 51 give its published runs. No arrival has a time.

    Parameters
    ----------
    names, gpus, gpu_milli: of the tasks: name, devices and thousandths of each, i64[tasks] (no GPU: 0).
        Tasks of the same name keep the order given.
    nodes: names of the nodes. capacity_milli: of the cluster, in thousandths of a GPU.
    seed: of Go's generator. ratio: GPUs asked for by all arrivals over capacity.

    Source: Weng et al., Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient
    Descent (ATC'23), and its simulator (hkust-adsl/kubernetes-scheduler-simulator, simulator.go).

    Raises
    ------
    InputError: the ratio or the capacity is not positive, no task asks for a GPU, or the target needs more
    than 100,000,000 arrivals.

    Examples
    --------
    >>> arrivals = inflate(["a", "b", "c"], [1, 1, 0], [1000, 500, 0], ["n0", "n1"], capacity_milli=2000)
    >>> arrivals.order.tolist(), arrivals.rank.tolist()
    ([2, 1, 0, 0], [1, 0])
    """
    sorted_tasks, sorted_nodes = _by_name(names), _by_name(nodes)
    devices = np.asarray(gpus, dtype=np.int64)
    share = np.where(devices > 0, np.asarray(gpu_milli, dtype=np.int64), 0)
    demand = share * devices
    target = ratio * capacity_milli
    _check(demand, target, ratio, capacity_milli)
    random = GoRandom(seed)
    random.int63()  # the published simulator draws one for a line of its log
    order = sorted_tasks.copy()
    random.shuffle(order)
    if demand.sum() < target:
        order += _clones(sorted_tasks, share.tolist(), demand.tolist(), target, random)
    else:
        _delete(order, demand.tolist(), target, random)
    for _ in range(DRAWS_AT_START):
        random.float64()
    rank = np.empty(len(sorted_nodes), dtype=np.int64)
    rank[np.array(random.perm(len(sorted_nodes)), dtype=np.int64)] = sorted_nodes
    return Arrivals(np.array(order, dtype=np.int64), rank)


def _by_name(names: Iterable[str]) -> list[int]:
    known = list(names)
    return sorted(range(len(known)), key=known.__getitem__)


def _check(demand: Index, target: float, ratio: float, capacity_milli: int) -> None:
    if not 0 < ratio < np.inf:
        raise InputError(f"found ratio={ratio:g}, expected a number above 0")
    if capacity_milli <= 0:
        raise InputError(f"found capacity_milli={capacity_milli}, expected a cluster with GPUs")
    total = int(demand.sum())
    if total <= 0:
        raise InputError("found no task that asks for a GPU, expected at least one to reach the load")
    if target > total and len(demand) * (target / total) > MOST_EVENTS:
        raise InputError(f"found ratio={ratio:g}, expected one that needs at most {MOST_EVENTS:,} arrivals")


def _clones(tasks: list[int], share: list[int], demand: list[int], target: float, random: GoRandom) -> list[int]:
    clones: list[int] = []
    total = sum(demand)
    while True:
        task = tasks[random.intn(len(tasks))]
        if total + share[task] > target:
            return clones
        clones.append(task)
        total += demand[task]


def _delete(order: list[int], demand: list[int], target: float, random: GoRandom) -> None:
    total = sum(demand)
    while total > target:
        total -= demand[order.pop(random.intn(len(order)))]
