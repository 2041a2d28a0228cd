"""Arrivals of the FGD paper: the orders of its published runs, and what holds for any trace."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import cache
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read

from apportion.model import InputError, Trace
from apportion.traces.arrivals import Arrivals, inflate
from inputs import real_data

# default trace: seed, arrivals, milli-GPU they ask for, hash of their names, hash of the nodes' names, first pods
PUBLISHED = [
    (42, 10866, 8075080, "80e1e09a8ef1875d", "7ab1747346239703", "0255 1685 6784 4463"),
    (43, 10793, 8074900, "8001c53f687c3bfa", "b94f3b958e8b3b5a", "2283 7248 5897 4175"),
    (44, 10863, 8075270, "533e498da0aff519", "7b8ca133c9fd8df2", "2703 5401 5623 5761"),
    (45, 10813, 8082190, "eeaaba4003fef61a", "e4225272216e112d", "1603 6756 0139 6581"),
    (46, 10814, 8075240, "8eb4b0463765e3af", "cdc7437fb19bc1d6", "4012 0406 0404 3354"),
    (47, 10831, 8074860, "add1e9a5022ea5e9", "51ed9237ab7de997", "1915 4744 7035 3613"),
    (48, 10805, 8075340, "64b2e072bb6eef42", "3773481bc4d81854", "3154 3572 2396 4826"),
    (49, 10835, 8075140, "69519234dbdd45d5", "22e777db4c310aa9", "7880 6789 4238 6335"),
    (50, 10766, 8075230, "7b42a3f0304433c7", "d967c7d8f64c83e5", "4998 6404 4135 6636"),
    (51, 10859, 8074900, "db1b1b53436d0c93", "66fa2e27ff0ff544", "7151 7598 3598 3081"),
]
# other traces, seed 42: arrivals, hash of their names
VARIANTS = {
    "cpu050": (9957, "3c07b4ec7324953f"),
    "cpu100": (10504, "f5d4a0cce44043f3"),
    "cpu200": (11683, "fd8a59d468121fc6"),
    "gpushare40": (11771, "d5d19c65386842d8"),
    "gpushare80": (15020, "6b1ca13903116009"),
    "gpushare100": (16629, "bcefcaa3e37531b4"),
    "gpuspec10": (10866, "80e1e09a8ef1875d"),
    "gpuspec20": (10866, "80e1e09a8ef1875d"),
    "gpuspec33": (10866, "80e1e09a8ef1875d"),
    "multigpu20": (9456, "91abc36493670a12"),
    "multigpu30": (8496, "207e4fdcd7ef72d9"),
    "multigpu50": (6361, "4f4b94baf57a5574"),
}


@cache
def openb(variant: str) -> Trace:
    return read("openb", real_data("openb"), pods=variant, pending="keep")


def published(trace: Trace, seed: int, table: pl.DataFrame | None = None) -> tuple[Arrivals, list[str], list[str]]:
    """The arrivals, their names, and the nodes' names by rank."""
    assert trace.cluster is not None
    table = trace.workload.table if table is None else table
    nodes = trace.cluster.table["node"]
    capacity = trace.cluster.gpus * 1000
    arrivals = inflate(table["job_id"], table["gpus"], table["gpu_milli"], nodes, capacity_milli=capacity, seed=seed)
    return arrivals, table["job_id"].gather(arrivals.order).to_list(), nodes.gather(arrivals.rank).to_list()


def digest(names: list[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("seed", "events", "total", "order", "rank", "first"), PUBLISHED)
def test_published_runs_of_the_default_trace(
    seed: int, events: int, total: int, order: str, rank: str, first: str
) -> None:
    trace = openb("default")
    arrivals, names, nodes = published(trace, seed)
    table = trace.workload.table
    assert len(names) == events
    assert (table["gpus"] * table["gpu_milli"]).gather(arrivals.order).sum() == total
    assert names[:4] == [f"openb-pod-{number}" for number in first.split()]
    assert (digest(names), digest(nodes)) == (order, rank)


def test_published_first_nodes() -> None:
    nodes = published(openb("default"), 42)[2]
    assert nodes[:3] == ["openb-node-0260", "openb-node-0858", "openb-node-0619"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_orders_of_the_other_traces(variant: str) -> None:
    names = published(openb(variant), 42)[1]
    assert (len(names), digest(names)) == VARIANTS[variant]


def test_the_order_of_rows_is_of_no_account() -> None:
    trace = openb("default")
    table = trace.workload.table.sample(fraction=1.0, shuffle=True, seed=3)
    assert published(trace, 42, table)[1] == published(trace, 42)[1]


class Tasks(NamedTuple):
    """A small trace: names, devices, thousandths of each, and what all ask for."""

    names: list[str]
    gpus: np.ndarray
    milli: np.ndarray

    @property
    def demand(self) -> np.ndarray:
        return self.gpus * self.milli


@st.composite
def some_tasks(draw: st.DrawFn) -> Tasks:
    names = draw(st.lists(st.text(max_size=4), min_size=1, max_size=30, unique=True))
    sizes = st.one_of(st.tuples(st.sampled_from([0, 1, 2, 8]), st.just(1000)), st.tuples(st.just(1), st.just(330)))
    drawn = draw(st.lists(sizes, min_size=len(names), max_size=len(names)).filter(lambda x: any(g for g, _ in x)))
    gpus, milli = np.array(drawn, dtype=np.int64).T
    return Tasks(names, gpus, milli)


CAPACITIES, RATIOS, SEEDS = st.integers(1, 200_000), st.floats(0.05, 2.0), st.integers(0, 2**31)


@given(some_tasks(), CAPACITIES, RATIOS, SEEDS, st.integers(0, 20))
def test_arrivals_reach_the_target_within_a_task(
    tasks: Tasks, capacity: int, ratio: float, seed: int, nodes: int
) -> None:
    names = [f"n{i}" for i in range(nodes)]
    order, rank = inflate(*tasks, names, capacity_milli=capacity, seed=seed, ratio=ratio)
    target, before, after = ratio * capacity, tasks.demand.sum(), tasks.demand[order].sum()
    number = len(tasks.names)
    assert sorted(rank) == list(range(nodes))
    assert abs(after - target) <= tasks.demand.max()
    if before > target:
        assert after <= target
        assert len(order) < number
        assert max(Counter(order.tolist()).values(), default=1) == 1
    else:
        assert sorted(order[:number]) == list(range(number))
        if before == target:
            assert len(order) == number
        # a clone came only while one more device of it stayed within the target
        reached = before + np.cumsum(tasks.demand[order[number:]])
        share = np.where(tasks.gpus > 0, tasks.milli, 0)[order[number:]]
        assert np.all(reached - tasks.demand[order[number:]] + share <= target)


@given(some_tasks(), CAPACITIES, RATIOS, SEEDS)
def test_same_seed_same_arrivals(tasks: Tasks, capacity: int, ratio: float, seed: int) -> None:
    first, again = (inflate(*tasks, ["a", "b", "c"], capacity_milli=capacity, seed=seed, ratio=ratio) for _ in range(2))
    assert np.array_equal(first.order, again.order)
    assert np.array_equal(first.rank, again.rank)
    assert (first.order.dtype, first.rank.dtype) == (np.int64, np.int64)


def test_another_seed_gives_another_order() -> None:
    names = [f"t{i}" for i in range(50)]
    runs = [
        inflate(names, [1] * 50, [1000] * 50, names, capacity_milli=50_000, seed=seed, ratio=1.0) for seed in (1, 2)
    ]
    assert sorted(runs[0].order) == list(range(50))
    assert runs[0].order.tolist() != runs[1].order.tolist()
    assert runs[0].rank.tolist() != runs[1].rank.tolist()


def test_a_task_without_gpus_asks_for_none_whatever_its_share() -> None:
    order = inflate(["a", "b"], [0, 1], [1000, 1000], [], capacity_milli=5000, ratio=1.0).order
    assert np.count_nonzero(order == 1) == 5


@pytest.mark.parametrize(
    ("gpus", "capacity", "ratio", "message"),
    [
        ([0, 0], 1000, 1.3, "found no task that asks for a GPU, expected at least one to reach the load"),
        ([1, 0], 0, 1.3, "found capacity_milli=0, expected a cluster with GPUs"),
        ([1, 0], 1000, 0.0, "found ratio=0, expected a number above 0"),
        ([1, 0], 1000, float("nan"), "found ratio=nan, expected a number above 0"),
        ([1, 0], 1000, float("inf"), "found ratio=inf, expected a number above 0"),
        ([1, 0], 1000, 1e9, "found ratio=1e+09, expected one that needs at most 100,000,000 arrivals"),
    ],
)
def test_what_would_never_end_is_refused(gpus: list[int], capacity: int, ratio: float, message: str) -> None:
    with pytest.raises(InputError) as refused:
        inflate(["a", "b"], gpus, [1000, 1000], ["n"], capacity_milli=capacity, ratio=ratio)
    assert str(refused.value) == message


def test_a_trace_without_tasks_is_refused() -> None:
    with pytest.raises(InputError, match="no task that asks for a GPU"):
        inflate([], [], [], ["n"], capacity_milli=1000)
