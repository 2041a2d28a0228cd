"""The fragmentation gauge: against the published vectors, a slow measure, and a finished run's timeline."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings

import apportion as ap
from apportion.engine.board import Board
from apportion.engine.encode import encode
from apportion.engine.layout import BUCKETS, TARGET
from apportion.engine.target import typical_tasks
from apportion.model import Cluster, InputError, Workload
from apportion.model.cluster_spec import parse_cluster
from apportion.model.snapshot import Snapshot
from apportion.report.stranded import gauge_lines
from apportion.study.fragmentation import STRANDED, WORDS, Gauge, gauge
from apportion.study.moment import most_stranded, running_at
from snapshots import Slow, snapshots

EXACTLY = pytest.approx


def measured(slow: Slow) -> Gauge:
    """Return the gauge of a slow cluster."""
    cluster = Cluster.of(slow.cluster_table())
    return gauge(cluster, slow.task_table(), Workload.of(slow.workload_table()), down=slow.down())


def part_used(*, typical: list[tuple[int, int, int, int]]) -> Gauge:
    """Return the gauge of the node of the published vectors: 1 core left, devices with 200, 1000, 1000, 500 free.

    typical: (count, gpus, gpu_milli, cpu_milli) of the workload's tasks.
    """
    cluster = Cluster.of(pl.DataFrame({"node": ["n"], "gpus": [4], "cpu_milli": [9000]}))
    tasks = pl.DataFrame(
        {"node": ["n", "n"], "devices": ["0", "3"], "gpu_milli": [800, 500], "cpu_milli": [5000, 3000]}
    )
    rows = [
        {"submit_s": 0.0, "duration_s": 1.0, "gpus": gpus, "gpu_milli": milli, "cpu_milli": cpu}
        for count, gpus, milli, cpu in typical
        for _ in range(count)
    ]
    return gauge(cluster, tasks, Workload.of(pl.DataFrame(rows)))


def test_published_vector_lacks_cpu() -> None:
    found = part_used(typical=[(933, 1, 465, 6000), (9067, 1, 200, 0)])
    row = found.classes.row(by_predicate=pl.col("cpu_milli") == 6000, named=True)
    assert found.free_gpus == 2.7
    assert row["share"] == EXACTLY(0.0933)
    assert row["stranded_gpus"] == row["q4"] == 2.7
    assert 1000 * row["contribution_gpus"] == EXACTLY(251.91)
    assert row["reason"] == "q4"
    assert row["room"] == 0
    # the other class can use all of it, so this is all that is stranded
    assert 1000 * found.stranded_gpus == EXACTLY(251.91)


def test_published_vector_of_the_compiled_measure() -> None:
    target = np.zeros(1, TARGET)
    target["cpu"], target["milli"], target["gpus"], target["share"] = 6000, 465, 1, 0.0933
    nodes = part_used(typical=[(1, 1, 465, 6000)]).occupied.nodes
    assert nodes["free_cpu"] == 1000
    assert nodes["free"][0, :4].tolist() == [200, 1000, 1000, 500]
    split = dict(zip(BUCKETS, Board(target).split(nodes)[0], strict=True))
    assert split.pop("q4") == EXACTLY(251.91)
    assert not any(split.values())
    assert Board(target).fragments(nodes) == EXACTLY(251.91)


@pytest.mark.parametrize(("milli", "rest"), [(1000, 0.7), (200, 0.0), (501, 0.7), (500, 0.2), (201, 0.2)])
def test_published_remainders(milli: int, rest: float) -> None:
    found = part_used(typical=[(1, 1, milli, 0)])
    assert found.stranded_gpus == found.buckets["q2"] == EXACTLY(rest)
    assert found.buckets["q3"] == EXACTLY(2.7 - rest)


@pytest.mark.parametrize("milli", [200, 1000])
def test_idle_nodes_have_no_remainder(milli: int) -> None:
    tasks = pl.DataFrame({"node": [], "gpus": []}, schema={"node": pl.String, "gpus": pl.Int32})
    whole = Workload.of(pl.DataFrame({"submit_s": [0.0], "duration_s": [1.0], "gpu_milli": [milli]}))
    assert gauge(parse_cluster("3x4"), tasks, whole).stranded_gpus == 0


def test_each_case_of_the_measure() -> None:
    """Free GPU and CPU of one node against tasks that lack one, the other, both, or neither."""
    cases = {(2, 1000, 1000): "q3", (3, 1000, 1000): "q2", (1, 300, 1001): "q4", (4, 1000, 2000): "q1"}
    cases |= {(0, 0, 1000): "xl", (0, 0, 1001): "xr"}
    for (gpus, milli, cpu), bucket in cases.items():
        split = part_used(typical=[(1, gpus, milli, cpu)]).buckets
        whole = {"q3": 2.0, "q2": 0.7} if bucket == "q3" else {bucket: 2.7}
        assert {name: gpu for name, gpu in split.items() if gpu} == EXACTLY(whole), (gpus, milli, cpu)


@given(snapshots())
@settings(max_examples=150, deadline=None)
def test_the_gauge_says_what_the_slow_measure_says(slow: Slow) -> None:
    found = measured(slow)
    want = slow.buckets()
    for name in BUCKETS:
        assert 1000 * found.buckets[name] == EXACTLY(want[name], abs=1e-6), name
    assert 1000 * found.stranded_gpus == EXACTLY(slow.stranded(), abs=1e-6)
    assert round(1000 * found.free_gpus) == sum(sum(node.free) for node in slow.nodes if node.up)


@given(snapshots())
@settings(max_examples=60, deadline=None)
def test_every_table_adds_up_to_the_whole(slow: Slow) -> None:
    found = measured(slow)
    assert sum(found.buckets.values()) == EXACTLY(found.free_gpus)
    for table, column in (
        (found.nodes, "stranded_gpus"),
        (found.models, "stranded_gpus"),
        (found.classes, "contribution_gpus"),
    ):
        assert table[column].sum() == EXACTLY(found.stranded_gpus, abs=1e-9)
        assert (table["reason"].is_null() == (table["stranded_gpus"] == 0)).all()
        assert set(table["reason"].drop_nulls()) <= set(STRANDED)
    assert found.nodes["free_gpus"].sum() == EXACTLY(found.free_gpus)
    assert found.nodes["tasks"].sum() == len(slow.tasks)
    assert found.classes["share"].sum() == EXACTLY(1)
    assert found.allocated_gpus == EXACTLY(sum(t.gpus * t.milli for t in slow.tasks) / 1000)
    json.dumps(found.summary())


@given(snapshots())
@settings(max_examples=100, deadline=None)
def test_so_many_more_fit_as_can_be_started(slow: Slow) -> None:
    # a task larger than any node is cut, and of those that use parts of several devices the best packing is not known
    largest = max([node.gpus for node in slow.nodes] + [1])
    slow.workload[:] = [t for t in slow.workload if t.gpus <= largest and (t.gpus < 2 or t.milli == 1000)]
    assume(slow.workload)
    want = []
    for share, t in slow.typical():
        anywhere = any(node.up and slow.allowed(node, t) for node in slow.nodes)
        endless = anywhere and t.gpus + t.cpu + t.memory == 0
        want.append((t.gpus, t.milli, t.cpu, round(share, 9), None if endless else slow.count(t)))
    rows = measured(slow).classes.select("gpus", "gpu_milli", "cpu_milli", pl.col("share").round(9), "room").rows()
    assert Counter(want) <= Counter(rows)


def test_nodes_that_are_down_count_neither_as_free_nor_as_stranded() -> None:
    tasks = pl.DataFrame({"node": ["node-0000"], "devices": ["0"], "gpu_milli": [500]})
    whole = Workload.of(pl.DataFrame({"submit_s": [0.0], "duration_s": [1.0]}))
    both = gauge(parse_cluster("2x1"), tasks, whole)
    one = gauge(parse_cluster("2x1"), tasks, whole, down=["node-0000"])
    assert (both.free_gpus, both.stranded_gpus) == (1.5, 0.5)
    assert (one.free_gpus, one.stranded_gpus, one.allocated_gpus, one.capacity_gpus) == (1.0, 0.0, 0.5, 2)
    assert any("take no tasks" in note for note in one.notes)
    with pytest.raises(InputError, match=r"'node-0009' to be down.*did you mean"):
        gauge(parse_cluster("2x1"), tasks, whole, down=["node-0009"])


def test_memory_decides_how_many_fit_but_not_what_is_stranded() -> None:
    cluster = Cluster.of(pl.DataFrame({"node": ["n"], "gpus": [4], "memory_mib": [1000]}))
    tasks = pl.DataFrame({"node": ["n"], "devices": ["0"], "memory_mib": [400]})
    found = gauge(cluster, tasks)
    assert found.stranded_gpus == 0
    assert found.classes["memory_mib"][0] == 400
    assert found.classes["room"][0] == 1


def test_devices_that_are_not_said_are_assigned_by_best_fit() -> None:
    tasks = pl.DataFrame({"node": ["node-0000"] * 4, "gpus": [1, 1, 2, 1], "gpu_milli": [300, 600, 1000, 100]})
    found = gauge(parse_cluster("1x4"), tasks)
    assert sorted(found.occupied.nodes["free"][0, :4].tolist()) == [0, 0, 0, 1000]
    assert found.notes == ["4 tasks do not say which devices they use: assigned by best fit"]
    # those that are said are kept free of the others
    said = pl.DataFrame({"node": ["node-0000"] * 2, "gpus": [1, 1], "gpu_milli": [1000, 700], "devices": [None, "0"]})
    assert gauge(parse_cluster("1x2"), said).occupied.nodes["free"][0, :2].tolist() == [300, 0]


def test_a_moment_of_a_run_is_what_its_timeline_says() -> None:
    trace, cluster = ap.load("synthetic:philly?jobs=400&seed=3"), parse_cluster("10x8")
    result = ap.simulate(trace.workload, cluster, "fifo+spread")
    line = result.timeline
    times = line["time_s"].gather_every(max(1, line.height // 25)).to_list()
    for time in [*times, most_stranded(result)]:
        row = line.row(by_predicate=pl.col("time_s") == time, named=True)
        found = gauge(cluster, running_at(result, time), trace.workload)
        assert found.allocated_gpus == EXACTLY(row["allocated_gpus"])
        assert found.stranded_gpus == EXACTLY(row["fragmented_gpus"], abs=1e-5)
    waiting = line.filter(pl.col("pending_jobs") > 0)["fragmented_gpus"]
    assert row["fragmented_gpus"] == waiting.max()
    assert row["fragmented_gpus"] > 0


def test_jobs_without_gpus_and_shares_are_at_their_places_at_a_moment() -> None:
    jobs = pl.DataFrame(
        {
            "job_id": ["share", "cpu", "gang", "late"],
            "submit_s": [0.0, 0.0, 1.0, 5.0],
            "duration_s": [10.0, 10.0, 2.0, 10.0],
            "tasks": [1, 1, 2, 1],
            "gpus": [1, 0, 1, 1],
            "gpu_milli": [300, 0, 1000, 1000],
            "cpu_milli": [100, 700, 0, 0],
        }
    )
    cluster = Cluster.of(pl.DataFrame({"gpus": [4], "cpu_milli": [1000]}))
    result = ap.simulate(Workload.of(jobs), cluster, "fifo")
    at = {time: running_at(result, time).table for time in (0.0, 1.0, 2.9, 3.0, 5.0, 100.0)}
    assert at[0.0]["job_id"].to_list() == ["share", "cpu"]
    assert at[0.0].select("devices", "gpus", "gpu_milli", "cpu_milli").rows() == [([0], 1, 300, 100), ([], 0, 0, 700)]
    assert at[1.0]["job_id"].to_list() == at[2.9]["job_id"].to_list() == ["share", "cpu", "gang", "gang"]
    assert at[3.0]["job_id"].to_list() == ["share", "cpu"]
    assert at[5.0]["job_id"].to_list() == ["share", "cpu", "late"]
    assert at[100.0].height == 0
    with pytest.raises(InputError, match="expected seconds"):
        running_at(result, float("nan"))


def test_the_published_split_of_a_cluster_filled_by_fgd(data: Callable[..., Path]) -> None:
    """The figures of the FGD artifact for its default trace, seed 42, at 130 % of arrived demand."""
    trace = ap.load(f"openb:{data('openb')}?pods=default&pending=keep")
    assert trace.cluster is not None
    filled = ap.fill(trace.workload, trace.cluster, "fgd", seed=42)
    board = Board(typical_tasks(encode(trace.workload, trace.cluster)))
    split = dict(zip(BUCKETS, board.split(filled.nodes).sum(axis=0) / 1000, strict=True))
    published = {"q1": 138.43, "q2": 85.86, "q3": 1.23, "q4": 27.28, "xl": 6.06, "xr": 33.73, "no_access": 0.0}
    assert {name: round(float(gpus), 2) for name, gpus in split.items()} == published
    assert round(100 * (1 - split["q3"] / sum(split.values())), 2) == 99.58


def test_the_lines_name_every_reason_in_plain_words() -> None:
    assert set(WORDS) == set(BUCKETS) == {*STRANDED, "q3"}
    text = "\n".join(gauge_lines(part_used(typical=[(9, 1, 465, 6000), (9, 1, 1000, 0), (9, 0, 0, 0)])))
    assert "1 node with 4 GPUs: 2 tasks hold 1.3, 2.7 are free" in text
    for name in ("q2", "q3", "q4", "xl"):
        assert WORDS[name] in text
    full = gauge(parse_cluster("1x1"), pl.DataFrame({"node": ["node-0000"], "gpus": [1]}))
    assert gauge_lines(full)[1] == "stranded: 0 GPUs, - of what is free, 0.0 % of capacity"


def test_without_a_task_there_is_nothing_typical() -> None:
    none = Snapshot.of(pl.DataFrame({"node": [], "gpus": []}, schema={"node": pl.String, "gpus": pl.Int32}))
    with pytest.raises(InputError, match="no tasks"):
        gauge(parse_cluster("1x1"), none)
