"""Alibaba's GPU-sharing cluster of 2023."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from reading import column, read, refusal

from inputs import real_data

HEADER = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
)
PODS = (
    "p0,12000,16384,1,1000,,LS,Succeeded,100,200,110\n"
    "p1,6000,12288,1,460,V100M16|V100M32,BE,Running,50,900,60\n"
    "p2,8000,30517,0,0,,Guaranteed,Failed,120,120,120\n"
    "p3,8000,30517,8,1000,G2,Burstable,Pending,130,190,\n"
)
NODES = "sn,cpu_milli,memory_mib,gpu,model\nn0,64000,262144,2,P100\nn1,32000,262144,0,\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "openb_pod_list_default.csv").write_text(HEADER + PODS)
    (tmp_path / "openb_node_list_gpu_node.csv").write_text(NODES)
    return tmp_path


def test_pods_become_jobs(folder: Path) -> None:
    trace = read("openb", folder)
    assert column(trace, "job_id") == ["p1", "p0", "p2"]  # by creation
    assert column(trace, "duration_s") == [840.0, 90.0, 1.0]
    assert column(trace, "gpus") == [1, 1, 0]
    assert column(trace, "gpu_milli") == [460, 1000, 0]
    assert column(trace, "gpu_models") == [["V100M16", "V100M32"], [], []]
    assert column(trace, "priority") == [0, 1, 1]
    assert column(trace, "best_effort") == [True, False, False]
    assert column(trace, "qos") == ["BE", "LS", "Guaranteed"]
    assert column(trace, "source_wait_s") == [10.0, 10.0, 0.0]
    assert column(trace, "status") == ["censored", "completed", "failed"]
    assert trace.report.censored == 1
    assert trace.report.repaired == {"run time below 1 s counted as 1 s": 1}
    assert trace.cluster is not None
    assert trace.cluster.table["gpu_model"].to_list() == ["P100", None]


def test_pending_pods_are_dropped_or_kept_as_censored(folder: Path) -> None:
    assert sum(read("openb", folder).report.dropped.values()) == 1
    kept = read("openb", folder, pending="keep")
    last = kept.workload.table.row(3, named=True)
    assert (last["job_id"], last["duration_s"], last["status"]) == ("p3", 60.0, "censored")
    assert (last["gpus"], last["source_wait_s"]) == (8, None)
    assert kept.report.dropped == {}


def test_a_pod_without_times_is_repaired_or_dropped(folder: Path) -> None:
    path = folder / "openb_pod_list_default.csv"
    path.write_text(HEADER + PODS + "p4,1,1,1,500,,LS,Running,700,,710\np5,1,1,1,500,,LS,Failed,,800,710\n")
    trace = read("openb", path)
    assert trace.workload.table.filter(pl.col("job_id") == "p4")["duration_s"].to_list() == [190.0]
    assert trace.report.censored == 2
    assert trace.report.dropped["no creation_time"] == 1


def test_a_list_without_any_time_has_no_jobs(folder: Path) -> None:
    path = folder / "openb_pod_list_default.csv"
    path.write_text(HEADER + "p0,1,1,1,500,,LS,Running,,,\n")
    trace = read("openb", path)
    assert len(trace.workload) == 0
    assert trace.report.dropped == {"no creation_time": 1}


def test_a_request_of_no_share_asks_for_no_gpu(folder: Path) -> None:
    path = folder / "openb_pod_list_default.csv"
    path.write_text(HEADER + "p0,12000,16384,1,0,,LS,Succeeded,100,200,110\n")
    assert column(read("openb", path), "gpus") == [0]


def test_variant_without_times(folder: Path) -> None:
    path = folder / "openb_pod_list_multigpu20.csv"
    path.write_text("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np0,1,2,4,1000\np1,1,2,1,500\n")
    trace = read("openb", folder, pods="multigpu20")
    assert column(trace, "submit_s") == [0.0, 0.0]
    assert column(trace, "duration_s") == [1.0, 1.0]
    assert any("no times" in note for note in trace.report.notes)


def test_a_path_of_a_pod_list_takes_the_nodes_beside_it(folder: Path) -> None:
    path = folder / "openb_pod_list_default.csv"
    assert read("openb", path).cluster is not None
    (folder / "openb_node_list_gpu_node.csv").unlink()
    alone = read("openb", path)
    assert alone.cluster is None
    assert any("no cluster" in note for note in alone.report.notes)


def test_mistakes_are_named(folder: Path) -> None:
    assert "openb_pod_list_nope.csv: no such file" in refusal("openb", folder, pods="nope")
    assert "openb_node_list_all_node.csv: no such file" in refusal("openb", folder, nodes="all_node")
    assert "nodes=some" in refusal("openb", folder, nodes="some")
    assert "expected one of drop, keep" in refusal("openb", folder, pending="perhaps")
    path = folder / "openb_pod_list_default.csv"
    assert "expected a folder" in refusal("openb", path, pods="default")
    path.write_text(HEADER + "p0,12000,16384,1,1001,,LS,Succeeded,100,200,110\n")
    assert "row 2, column 'gpu_milli': found '1001', expected a number of at most 1000" in refusal("openb", path)
    path.write_text(HEADER + PODS)
    (folder / "openb_node_list_gpu_node.csv").write_text(NODES + "n0,1,1,1,T4\n")
    assert "found the name 'n0' twice" in refusal("openb", path)


def test_real_default_has_the_published_facts() -> None:
    trace = read("openb", real_data("openb"), pending="keep")
    table = trace.workload.table
    assert table.height == 8152
    assert dict(table["gpus"].value_counts().iter_rows()) == {0: 1088, 1: 3078 + 3911, 2: 16, 4: 15, 8: 44}
    assert ((table["gpus"] == 1) & (table["gpu_milli"] < 1000)).sum() == 3078
    assert trace.workload.gpu_demand.sum() == pytest.approx(6086.8)
    qos = {"LS": 4647, "BE": 3398, "Burstable": 100, "Guaranteed": 7}
    assert dict(table["qos"].value_counts().iter_rows()) == qos
    assert trace.report.censored == 5193 + 897
    assert trace.cluster is not None
    assert (len(trace.cluster), trace.cluster.gpus) == (1213, 6212)
    scheduled = read("openb", real_data("openb")).workload.table
    assert scheduled.height == 8152 - 897
    assert scheduled["duration_s"].median() == 616
    assert scheduled["source_wait_s"].median() == 2
    assert scheduled["duration_s"].quantile(0.9) == pytest.approx(7764, rel=0.001)


@pytest.mark.parametrize(
    ("variant", "rows", "demand", "with_spec"),
    [("multigpu50", 9061, 11358.8, 0), ("gpuspec33", 8152, 6086.8, 2388), ("gpushare100", 8152, 3952.67, 0)],
)
def test_real_variants(variant: str, rows: int, demand: float, with_spec: int) -> None:
    trace = read("openb", real_data("openb"), pods=variant, nodes="all_node", pending="keep")
    assert len(trace.workload) == rows
    assert trace.workload.gpu_demand.sum() == pytest.approx(demand, abs=0.01)
    assert (trace.workload.table["gpu_models"].list.len() > 0).sum() == with_spec
    assert trace.cluster is not None
    assert len(trace.cluster) == 1523
