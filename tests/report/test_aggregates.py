"""What the plots are drawn from, against plain computations."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import placements, run, workload

from apportion.model.cluster_spec import parse_cluster
from apportion.report.breakdown import by_demand, by_group, by_run_time
from apportion.report.curves import Bins, bin_steps
from apportion.report.lanes import lanes
from apportion.report.measures import best
from apportion.report.occupancy import occupancy
from apportion.report.words import change, percent, unbroken
from apportion.study.result import Result


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 9)), min_size=1, max_size=30),
    st.integers(1, 13),
)
def test_binned_steps_are_means_and_extremes(steps: list[tuple[int, int]], count: int) -> None:
    times = np.unique([float(t) for t, _ in steps])
    values = np.array([float(v) for _, v in steps])[: times.size]
    bins = Bins.between(0.0, 110.0, count)
    got = bin_steps(times, values, bins)
    fine = np.linspace(0, 110, 110 * 64 * count, endpoint=False) + 110 / (110 * 64 * count) / 2
    at = np.searchsorted(times, fine, side="right") - 1
    plain = np.where(at >= 0, values[np.maximum(at, 0)], 0.0).reshape(count, -1)
    np.testing.assert_allclose(got.mean, plain.mean(axis=1), atol=0.2)
    np.testing.assert_array_less(plain.max(axis=1) - 1e-9, got.high + 1e-6)
    np.testing.assert_array_less(got.low - 1e-6, plain.min(axis=1) + 1e-9)


def test_occupancy_of_a_few_placements() -> None:
    pieces = [(0, 0.0, 10.0, 0, 4.0, 15), (1, 5.0, None, 1, 8.0, 255), (2, 2.5, 7.5, 0, 0.5, 16)]
    base = run(workload(3), "2x8")
    result = Result("p", "t", base.workload, parse_cluster("2x8"), base.jobs, placements(pieces))
    map_ = occupancy(result, Bins.between(0.0, 20.0, 4))
    assert map_ is not None and map_.rows == ["node-0000", "node-0001"]
    np.testing.assert_allclose(map_.share[0], [4.25 / 8, 4.25 / 8, 0, 0])
    np.testing.assert_allclose(map_.share[1], [0, 1, 1, 1])
    grouped = occupancy(result, Bins.between(0.0, 20.0, 4), max_rows=1)
    assert grouped is not None and grouped.rows == ["node-0000 … node-0001"]
    np.testing.assert_allclose(grouped.share[0], map_.share.mean(axis=0))


def test_no_heat_map_without_gpus() -> None:
    base = run(workload(3), "2x8")
    result = Result("p", "t", base.workload, parse_cluster("2x0"), base.jobs, base.placements)
    assert occupancy(result, Bins.between(0.0, 20.0, 4)) is None


def test_waits_by_category_cover_every_started_job() -> None:
    jobs = run(workload(800)).jobs
    for categories, table in (by_demand([jobs]), by_run_time([jobs]), by_group([jobs]) or ([], [])):
        assert sum(table[0][name].jobs for name in categories) == 800
    one = jobs.filter(pl.col("gpus") == 1)["wait_s"]
    assert by_demand([jobs])[1][0]["1 GPU"].p90 == pytest.approx(float(np.quantile(one, 0.9)))
    categories, _ = by_group([jobs]) or ([], [])
    assert len(categories) == 13 and categories[-1] == "others"
    assert by_group([jobs.with_columns(group=pl.lit("x"))]) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50), st.integers(0, 20)), max_size=60))
def test_lanes_never_hold_two_at_once_and_are_few(intervals: list[tuple[int, int, int]]) -> None:
    track, start, length = (np.array([i[k] for i in intervals], dtype=np.int64) for k in range(3))
    end = start + length
    got = lanes(track, start, end)
    for t in np.unique(track):
        mine = track == t
        most = max(int(((start[mine] <= s) & (end[mine] >= s)).sum()) for s in start[mine])
        assert got[mine].max() < most
        for lane in np.unique(got[mine]):
            rows = np.flatnonzero(mine & (got == lane))
            rows = rows[np.lexsort((end[rows], start[rows]))]
            assert (end[rows][:-1] <= start[rows][1:]).all()


def test_best_marks_ties_and_needs_two() -> None:
    assert best([2.0, 1.0, 1.0, None], True) == [False, True, True, False]
    assert best([2.0, 1.0], False) == [True, False]
    assert best([2.0], True) == [False] and best([2.0, None], True) == [False, False]


def test_words() -> None:
    assert (percent(0.38), percent(0.996), percent(1.0), percent(0.00001)) == (
        "38 %",
        "99.6 %",
        "100 %",
        "under 0.1 %",
    )
    assert (change(62, 100), change(112, 100), change(310, 100)) == ("−38 %", "+12 %", "3.1×")
    assert (change(5, 5), change(5, 0)) == ("same", "")
    assert unbroken("40 % in 3 h") == "40\u00a0% in 3\u00a0h"
