"""The packing experiment of the FGD paper: tasks arrive until they ask for so much of the cluster, nothing departs."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.encode import Encoded, encode
from apportion.engine.fill import fill as fill_loop
from apportion.engine.fill import measure
from apportion.engine.layout import F8, I8, Records
from apportion.engine.state import State
from apportion.engine.target import typical_tasks
from apportion.engine.world import PUT
from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.workload import Workload
from apportion.policies.registry import parse_placement
from apportion.traces.arrivals import MOST_EVENTS, Arrivals, inflate

LOAD = 1.3
"""Arrived demand over capacity at which the published runs end."""
SEED = 42
"""First of the ten seeds of the published runs."""
SLICE = 2_000
"""Arrivals between two looks at the outside (progress, Ctrl-C)."""


@dataclass(frozen=True)
class Filling:
    """One filling of a cluster.

    Parameters
    ----------
    policy, trace: names as the user wrote them. seed, load: of the arrivals. capacity_gpu_milli: of the cluster.
    order: i64[arrivals], rows of the workload's table. arrived, used, fragmented: f8[arrivals], milli-GPU asked for,
        allocated and in fragments (F) after each arrival. placed: bool[arrivals].
    nodes: `NODE` records at the end, in the order of the cluster's table. engine_s: seconds of the compiled loop.
    """

    policy: str
    trace: str
    seed: int
    load: float
    capacity_gpu_milli: int
    order: I8 = field(repr=False)
    arrived: F8 = field(repr=False)
    used: F8 = field(repr=False)
    fragmented: F8 = field(repr=False)
    placed: Any = field(repr=False)
    nodes: Records = field(repr=False)
    engine_s: float = 0.0

    @cached_property
    def curve(self) -> pl.DataFrame:
        """A row for each whole percent of arrived demand, as published (merge scripts of the FGD artifact).

        `arrived_pct`; `allocated_pct`, the mean over the arrivals that round to it of the allocation, rounded to 0.01;
        `frag_pct`, the mean fragment amount in % of capacity, rounded to 0.01; `frag_ratio_pct`, the mean fragment in %
        of free GPU; `failed`, tasks that found no place so far. A percent at which nothing arrived takes the mean of
        the arrivals within one percent (null where there is none).
        """
        # the published log counts in whole percents and rounds to two decimals: sums of hundredths are exact
        bucket = np.rint(self.arrived / self.capacity_gpu_milli * 100).astype(np.int64)
        free = self.capacity_gpu_milli - self.used
        ratio = np.divide(100 * self.fragmented, free, out=np.zeros_like(free), where=free > 0)
        rows = round(self.load * 100) + 1
        width = max(rows, int(bucket.max(initial=0)) + 1)
        count = np.bincount(bucket, minlength=width)
        near = _with_neighbours(count)
        columns = {
            "allocated_pct": self.used / self.capacity_gpu_milli * 100,
            "frag_pct": self.fragmented,
            "frag_ratio_pct": ratio,
        }
        out: dict[str, Any] = {"arrived_pct": np.arange(rows)}
        for name, values in columns.items():
            total = np.bincount(bucket, np.rint(100 * values), minlength=width)
            total = np.where(count > 0, total, _with_neighbours(total))
            number = 100 * np.where(count > 0, count, near)
            out[name] = np.divide(total, number, out=np.full(width, np.nan), where=number > 0)[:rows]
        out["allocated_pct"] = np.round(out["allocated_pct"], 2)
        out["frag_pct"] = np.round(100 * out["frag_pct"] / self.capacity_gpu_milli, 2)
        failed = np.bincount(bucket, ~self.placed, minlength=width)
        out["failed"] = np.cumsum(failed)[:rows].astype(np.int64)
        return pl.DataFrame(out).with_columns(pl.col("^.*_pct$").fill_nan(None))

    def summary(self) -> dict[str, Any]:
        """Return the dictionary of `fill --json`."""
        return {
            "policy": self.policy,
            "seed": self.seed,
            "capacity_gpu_milli": self.capacity_gpu_milli,
            "curve": self.curve.to_dicts(),
        }


class Filler:
    """A workload and a cluster, ready to be filled under any placement with any seed.

    Parameters
    ----------
    workload, cluster: who asks for what, and where. load: arrived demand over capacity at which to stop. trace: name
    shown in results.

    Raises
    ------
    InputError: nothing asks for a GPU, the cluster has none, or the load is not above 0 or needs too many arrivals.
    """

    def __init__(self, workload: Workload, cluster: Cluster, load: float = LOAD, trace: str | None = None) -> None:
        self.workload, self.cluster, self.load = workload, cluster, load
        self.trace = trace or workload.name
        self._check(round(workload.gpu_demand.sum() * 1000))
        self._encoded = encode(workload, cluster)
        self._targets = typical_tasks(self._encoded)
        table = workload.table
        self._names: list[str] = table["job_id"].to_list()
        self._demand = self._encoded.milli
        self._gpus = np.where(self._demand > 0, table["tasks"] * table["gpus"], 0)
        self._each = np.where(self._demand > 0, table["gpu_milli"], 0)
        # the same for every placement: a few seeds are kept for those that run them next
        self._arrivals = lru_cache(maxsize=16)(self._drawn)

    def run(self, placement: str, seed: int = SEED, progress: Callable[[int, int], None] | None = None) -> Filling:
        """Fill the cluster once; `progress` is called with (arrivals, of all).

        Raises
        ------
        PolicyError: no such placement.
        """
        plan = parse_placement(placement).plan()
        capacity = self.cluster.gpus * 1000
        arrivals = self._arrivals(seed)
        encoded = _ranked(self._encoded, arrivals.rank)
        kinds = encoded.kind[arrivals.order].astype(np.int64)
        began = time.perf_counter()
        state = State(encoded, plan, seed)
        if not state.arrays.get("targets", np.zeros(0)).size:
            state.attach_targets(self._targets)
        state.attach("puts", np.zeros(int(encoded.kinds["pieces"][kinds].sum()) + 64, PUT))
        events = kinds.size
        used, fragmented = np.zeros(events), np.zeros(events)
        placed = np.full(events, -1, np.int64)
        fragments = np.zeros(encoded.nodes.size)
        measure(state.root, fragments)
        for first in range(0, events, SLICE):
            last = min(first + SLICE, events)
            fill_loop(state.root, kinds, first, last, fragments, used, fragmented, placed)
            if progress is not None:
                progress(last, events)
        took = time.perf_counter() - began
        nodes = np.empty_like(encoded.nodes)
        nodes[arrivals.rank] = state.arrays["nodes"]
        return Filling(
            placement, self.trace, seed, self.load, capacity, arrivals.order,
            np.cumsum(self._demand[arrivals.order]).astype(float), used, fragmented, placed >= 0, nodes, took,
        )  # fmt: skip

    def _check(self, demand_milli: int) -> None:
        if not 0 < self.load < math.inf:
            raise InputError(f"{self.trace}: found load {self.load:g}, expected a number above 0")
        if self.cluster.gpus == 0:
            raise InputError(f"{self.trace}: the cluster has no GPUs to fill")
        if demand_milli == 0:
            raise InputError(f"{self.trace}: found no task that asks for a GPU, expected at least one")
        if len(self.workload) * self.load * self.cluster.gpus * 1000 / demand_milli > MOST_EVENTS:
            raise InputError(f"{self.trace}: load {self.load:g} needs more than {MOST_EVENTS:,} arrivals")

    def _drawn(self, seed: int) -> Arrivals:
        return inflate(
            self._names,
            self._gpus,
            self._each,
            self.cluster.table["node"],
            capacity_milli=self.cluster.gpus * 1000,
            seed=seed,
            ratio=self.load,
        )


def _with_neighbours(values: Any) -> Any:
    out = values.copy()
    out[1:] += values[:-1]
    out[:-1] += values[1:]
    return out


def _ranked(encoded: Encoded, rank: I8) -> Encoded:
    """Return the same with the nodes in the order of their ranks, which decides ties."""
    nodes = encoded.nodes[rank]
    nodes["index"] = np.arange(nodes.size)
    return dataclasses.replace(encoded, nodes=nodes, reach=encoded.reach[:, rank])


def fill(
    workload: Workload,
    cluster: Cluster,
    placement: str = "fgd",
    *,
    seed: int = SEED,
    load: float = LOAD,
    trace: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Filling:
    """Let the tasks of `workload` arrive in an order drawn with `seed` until they ask for `load` x the cluster's GPUs.

    The protocol, to the draw, is that of Weng et al., "Beware of fragmentation", ATC 2023: tasks are shuffled; clones
    of random ones follow, or random ones are left out, until the demand is reached; nodes get random ranks, which
    decide ties; each task is placed at once or dropped, and nothing departs. Times play no part.

    Raises
    ------
    PolicyError, InputError: what was asked for cannot be.

    Examples
    --------
    >>> import apportion as ap
    >>> trace = ap.load("synthetic:philly?jobs=500&seed=1")
    >>> ap.fill(trace.workload, trace.cluster, "best-fit", seed=42).curve["arrived_pct"].max()
    130
    """
    return Filler(workload, cluster, load, trace).run(placement, seed, progress)
