"""The packing experiment under several placements: the same arrivals for each, over workloads and seeds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.layout import F8
from apportion.model.cluster import Cluster
from apportion.model.errors import InputError, UsageError
from apportion.model.trace import Trace
from apportion.policies.registry import parse_placement
from apportion.study.compare import Progress, in_threads
from apportion.study.fill import LOAD, SEED, Filler, Filling


@dataclass(frozen=True)
class FillRun:
    """What a study keeps of one filling: its curve, without the arrivals one by one.

    Parameters
    ----------
    trace, policy: as the user wrote them. capacity_gpu_milli: of the cluster. curve: as `Filling.curve`.
    arrivals: tasks that arrived. engine_s: seconds of the compiled loop.
    """

    trace: str
    policy: str
    seed: int
    capacity_gpu_milli: int
    curve: pl.DataFrame = field(repr=False)
    arrivals: int
    engine_s: float

    @classmethod
    def of(cls, filling: Filling) -> FillRun:
        """Return what is kept of `filling`."""
        return cls(
            filling.trace,
            filling.policy,
            filling.seed,
            filling.capacity_gpu_milli,
            filling.curve,
            filling.order.size,
            filling.engine_s,
        )

    def summary(self) -> dict[str, Any]:
        """Return the dictionary of `fill --json`, with the trace."""
        return {
            "policy": self.policy,
            "seed": self.seed,
            "capacity_gpu_milli": self.capacity_gpu_milli,
            "curve": self.curve.to_dicts(),
            "trace": self.trace,
        }


@dataclass(frozen=True)
class FillStudy:
    """Fillings of every trace under every placement with every seed.

    Parameters
    ----------
    traces, policies, seeds: what was asked for. runs: in the order traces x policies x seeds.
    """

    traces: list[str]
    policies: list[str]
    seeds: list[int]
    runs: list[FillRun] = field(repr=False)

    @property
    def last_pct(self) -> int:
        """Arrived demand at the end, in whole percents of capacity."""
        return self.runs[0].curve.height - 1

    @property
    def gpus(self) -> list[float]:
        """GPUs of the cluster of each trace."""
        step = len(self.policies) * len(self.seeds)
        return [run.capacity_gpu_milli / 1000 for run in self.runs[::step]]

    def values(self, column: str) -> F8:
        """Return `column` of the curves, f8[traces, policies, seeds, percents].

        At a percent at which nothing arrived, what held before holds still; NaN before the first arrival.
        """
        rows = [_held(run.curve[column]) for run in self.runs]
        shape = (len(self.traces), len(self.policies), len(self.seeds), self.last_pct + 1)
        return np.array(rows, dtype=np.float64).reshape(shape)

    def unallocated(self) -> F8:
        """Return the unallocated GPUs in % of capacity, f8[traces, policies, seeds, percents]."""
        return 100 - self.values("allocated_pct")

    def summaries(self) -> list[dict[str, Any]]:
        """Return the summary of every run."""
        return [run.summary() for run in self.runs]

    def frame(self) -> pl.DataFrame:
        """Return the curves of all runs in one table: `trace, policy, seed`, then the columns of a curve."""
        return pl.concat(
            run.curve.select(
                pl.lit(run.trace).alias("trace"),
                pl.lit(run.policy).alias("policy"),
                pl.lit(run.seed, pl.Int64).alias("seed"),
                pl.all(),
            )
            for run in self.runs
        )


def compare_fills(
    traces: Sequence[Trace],
    placements: Sequence[str],
    *,
    cluster: Cluster | None = None,
    seeds: int = 1,
    seed: int = SEED,
    load: float = LOAD,
    workers: int | None = None,
    progress: Progress | None = None,
) -> FillStudy:
    """Fill the cluster of every trace under every placement with every seed.

    Parameters
    ----------
    traces: read with `load(spec, timeless=True)`, so that tasks that never ran are in them. cluster: default each
    trace's own. seeds: runs per cell, with seeds `seed`, `seed` + 1, ... load: arrived demand over capacity at the end.
    workers: runs at once (default: one per core). progress: called with (run, arrivals, of all).

    The outcome does not depend on `workers`.

    Raises
    ------
    InputError, PolicyError, UsageError: what was asked for cannot be.

    Examples
    --------
    >>> import apportion as ap
    >>> study = compare_fills([ap.load("synthetic:philly?jobs=300")], ["fgd", "best-fit"], seeds=2)
    >>> study.unallocated().shape
    (1, 2, 2, 131)
    """
    if not traces or not placements:
        raise UsageError("expected at least one trace and one placement")
    if seeds < 1:
        raise UsageError(f"found {seeds} seeds, expected at least 1")
    for placement in placements:
        parse_placement(placement)
    fillers = [_filler(trace, cluster, load) for trace in traces]
    cells = [(t, p, s) for t in range(len(traces)) for p in range(len(placements)) for s in range(seeds)]
    # one seed after the other: its arrivals are drawn once for all placements
    turns = sorted(range(len(cells)), key=lambda i: (cells[i][0], cells[i][2], cells[i][1]))
    jobs = [partial(_one, fillers[t], placements[p], seed + s) for t, p, s in (cells[i] for i in turns)]
    done = in_threads(jobs, workers or os.cpu_count() or 1, progress)
    runs = dict(zip(turns, done, strict=True))
    return FillStudy(
        [filler.trace for filler in fillers],
        list(placements),
        [seed + s for s in range(seeds)],
        [runs[i] for i in range(len(cells))],
    )


def short_names(names: Sequence[str]) -> list[str]:
    """Return what tells the names of traces apart: what all begin and end with is left out, up to a separator.

    Examples
    --------
    >>> short_names(["openb:data?pods=cpu050", "openb:data?pods=cpu100"])
    ['cpu050', 'cpu100']
    """
    if len(set(names)) < 2:
        return list(names)
    pieces = [re.split(r"(?<=[/?&=:])", name) for name in names]
    for end in (0, -1):
        while min(map(len, pieces)) > 1 and len({piece[end] for piece in pieces}) == 1:
            for piece in pieces:
                del piece[end]
    return ["".join(piece).rstrip("/?&=:") for piece in pieces]


def _filler(trace: Trace, cluster: Cluster | None, load: float) -> Filler:
    name = trace.spec or trace.workload.name
    machine = cluster or trace.cluster
    if machine is None:
        raise InputError(f"{name}: the trace has no nodes; give a cluster")
    return Filler(trace.workload, machine, load, name)


def _one(filler: Filler, placement: str, seed: int, progress: Callable[[int, int], None] | None = None) -> FillRun:
    return FillRun.of(filler.run(placement, seed, progress))


def _held(column: pl.Series) -> F8:
    """Return the values with each null replaced by the value before it."""
    values: F8 = column.cast(pl.Float64).fill_null(strategy="forward").fill_null(float("nan")).to_numpy()
    return values
