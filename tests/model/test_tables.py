"""The tables of jobs and nodes: defaults, bounds, and columns that nobody knows."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from apportion.model import Cluster, InputError, Workload
from apportion.model.cluster import COLUMNS as NODE_COLUMNS
from apportion.model.cluster import UNLIMITED
from apportion.model.workload import COLUMNS

LEAST = {"submit_s": [0.0], "duration_s": [1.0]}


def test_missing_columns_take_their_defaults() -> None:
    table = Workload.of(pl.DataFrame(LEAST)).table
    assert table.columns == list(COLUMNS)
    assert table.schema == {name: column.dtype for name, column in COLUMNS.items()}
    row = table.row(0, named=True)
    assert row["job_id"] == "0"
    assert (row["tasks"], row["gpus"], row["gpu_milli"], row["gpu_models"]) == (1, 1, 1000, [])
    assert (row["preemptible"], row["best_effort"], row["deadline_s"], row["user"]) == (True, False, None, "")


def test_nulls_become_defaults_unless_they_mean_something() -> None:
    frame = pl.DataFrame({"submit_s": [0.0, 1.0], "duration_s": [1, 2], "gpus": [None, 2], "estimate_s": [None, 3.0]})
    table = Workload.of(frame).table
    assert table["gpus"].to_list() == [1, 2]
    assert table["estimate_s"].to_list() == [None, 3.0]
    assert table["duration_s"].dtype == pl.Float64


def test_unknown_columns_are_kept_behind_the_known() -> None:
    table = Workload.of(pl.DataFrame({"model": ["bert"], **LEAST})).table
    assert table.columns == [*COLUMNS, "model"]
    assert table["model"].to_list() == ["bert"]
    nodes = Cluster.of(pl.DataFrame({"owner": ["ops"], "gpus": [4]})).table
    assert nodes.columns == [*NODE_COLUMNS, "owner"]


def test_jobs_are_in_the_order_of_submission_and_ties_stay() -> None:
    frame = pl.DataFrame({"job_id": ["a", "b", "c", "d"], "submit_s": [5, 0, 5, 0], "duration_s": [1] * 4})
    assert Workload.of(frame).table["job_id"].to_list() == ["b", "d", "a", "c"]


def test_an_empty_table_has_every_column() -> None:
    frame = pl.DataFrame({"submit_s": [], "duration_s": [], "extra": []})
    workload = Workload.of(frame)
    assert len(workload) == 0
    assert workload.table.columns == [*COLUMNS, "extra"]
    assert workload.gpu_demand.to_list() == []


def test_the_demand_of_a_job() -> None:
    frame = pl.DataFrame({**LEAST, "tasks": [3], "gpus": [2], "gpu_milli": [250]})
    assert Workload.of(frame).gpu_demand.to_list() == [1.5]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"submit_s": None}, "no column 'submit_s'"),
        ({"duration_s": [-1.0]}, "row 1, column 'duration_s': workload: found -1.0, expected at least 0"),
        ({"duration_s": [float("nan")]}, "column 'duration_s': workload: found nan, expected a finite number"),
        ({"submit_s": [float("inf")]}, "column 'submit_s': workload: found inf, expected a finite number"),
        ({"duration_s": ["long"]}, "column 'duration_s': workload: found 'long'"),
        ({"duration_s": [None]}, "column 'duration_s': workload: found nothing"),
        ({"gpus": [-1]}, "column 'gpus': workload: found -1, expected at least 0"),
        ({"gpus": [1 << 40]}, "column 'gpus': workload: found 1099511627776"),
        ({"tasks": [0]}, "column 'tasks': workload: found 0, expected at least 1"),
        ({"gpu_milli": [1001]}, "column 'gpu_milli': workload: found 1001, expected at most 1000"),
        ({"min_gpus": [0]}, "column 'min_gpus': workload: found 0, expected at least 1"),
        ({"estimate_s": [-0.5]}, "column 'estimate_s': workload: found -0.5"),
    ],
)
def test_what_no_job_can_be(columns: dict[str, Any], said: str) -> None:
    frame = pl.DataFrame({k: v for k, v in (LEAST | columns).items() if v is not None}, strict=False)
    with pytest.raises(InputError) as caught:
        Workload.of(frame)
    assert said in str(caught.value)


def test_the_row_that_is_wrong_is_named() -> None:
    frame = pl.DataFrame({"submit_s": [0, 1, 2], "duration_s": [1, 2, -3]})
    with pytest.raises(InputError) as caught:
        Workload.of(frame)
    assert (caught.value.row, caught.value.column, caught.value.file) == (3, "duration_s", None)


def test_nodes_have_names_and_no_bottleneck_that_is_not_said() -> None:
    cluster = Cluster.of(pl.DataFrame({"gpus": [4, 8], "node": ["big", None]}))
    assert cluster.table["node"].to_list() == ["big", "node-0001"]
    assert cluster.table["cpu_milli"].to_list() == [UNLIMITED] * 2
    assert (cluster.gpus, len(cluster)) == (12, 2)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"gpus": []}, "found no nodes"),
        ({"node": ["a"]}, "no column 'gpus'"),
        ({"gpus": [-1]}, "found -1, expected at least 0"),
        ({"gpus": [33]}, "row 1, column 'gpus': cluster: found 33 GPUs in one node, expected at most 32"),
        ({"gpus": [1, 1], "node": ["a", "a"]}, "found the name 'a' twice"),
        ({"gpus": [1], "price_usd_per_h": [-1.0]}, "column 'price_usd_per_h'"),
    ],
)
def test_what_no_cluster_can_be(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        Cluster.of(pl.DataFrame(columns))
    assert said in str(caught.value)


def test_a_pool_may_be_large() -> None:
    assert Cluster.of(pl.DataFrame({"gpus": [4000], "pooled": [True]})).gpus == 4000
