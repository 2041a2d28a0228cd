"""Offered load, and the same jobs at another load."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apportion.model import InputError, Workload
from apportion.model.cluster_spec import parse_cluster
from apportion.study.load import at_load, offered_load

FRAME = pl.DataFrame(
    {
        "submit_s": [100.0, 150.0, 200.0],
        "duration_s": [10.0, 20.0, 30.0],
        "gpus": [1, 2, 4],
        "gpu_milli": [500, 1000, 1000],
        "deadline_s": [120.0, None, 260.0],
    }
)
WORKLOAD = Workload.of(FRAME)
CLUSTER = parse_cluster("1x4")


def test_the_load_is_work_over_capacity() -> None:
    assert offered_load(WORKLOAD, CLUSTER) == (0.5 * 10 + 2 * 20 + 4 * 30) / (4 * 100)


@given(st.floats(0.01, 100))
def test_jobs_at_another_load_have_that_load(load: float) -> None:
    scaled = at_load(WORKLOAD, CLUSTER, load)
    assert math.isclose(offered_load(scaled, CLUSTER), load, rel_tol=1e-9)
    assert scaled.table["submit_s"][0] == 100.0
    assert scaled.table["duration_s"].equals(FRAME["duration_s"])
    slack = (scaled.table["deadline_s"] - scaled.table["submit_s"]).to_list()
    assert slack[1] is None
    assert math.isclose(slack[0], 20.0, rel_tol=1e-6)
    assert math.isclose(slack[2], 60.0, rel_tol=1e-6)


def test_half_the_load_is_twice_the_time() -> None:
    now = offered_load(WORKLOAD, CLUSTER)
    assert at_load(WORKLOAD, CLUSTER, now / 2).table["submit_s"].to_list() == [100.0, 200.0, 300.0]


@pytest.mark.parametrize("load", [0.0, -1.0, math.nan])
def test_what_is_no_load(load: float) -> None:
    with pytest.raises(InputError, match="expected a number above 0"):
        at_load(WORKLOAD, CLUSTER, load)


@pytest.mark.parametrize(("rows", "cluster"), [(0, "1x4"), (1, "1x4"), (3, "1x0")])
def test_there_must_be_something_to_scale(rows: int, cluster: str) -> None:
    with pytest.raises(InputError, match="a load needs jobs over some time and a cluster with GPUs"):
        at_load(Workload.of(FRAME.head(rows)), parse_cluster(cluster), 1.0)
