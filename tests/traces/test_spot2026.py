"""Alibaba's high-priority and spot jobs of 2026."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import column, read, refusal

HEADER = "job_name,organization,gpu_model,cpu_request,gpu_request,worker_num,submit_time,duration,job_type\n"
NODES = "gpu_model,gpu_capacity_num,cpu_num,node_name\nA10,1,128,0\nA800-SXM4-80GB,8,128,7\nA10,1,126,9\n"


def write(folder: Path, *rows: str, nodes: str | None = NODES) -> Path:
    (folder / "job_info_df.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    if nodes is not None:
        (folder / "node_info_df.csv").write_text(nodes)
    return folder


def test_workers_models_and_classes(tmp_path: Path) -> None:
    write(tmp_path, "239255,13,A10,20,1,1,0,2764799,HP", "437260,57,A800-SXM4-80GB,15,8,16,95,41060,Spot")
    trace = read("spot2026", tmp_path)
    assert column(trace, "tasks") == [1, 16]
    assert column(trace, "gpus") == [1, 8]
    assert column(trace, "cpu_milli") == [20_000, 15_000]
    assert column(trace, "gpu_models") == [["A10"], ["A800-SXM4-80GB"]]
    assert column(trace, "user") == column(trace, "group") == ["13", "57"]
    assert column(trace, "priority") == [1, 0]
    assert column(trace, "preemptible") == column(trace, "best_effort") == [False, True]
    assert trace.workload.gpu_demand.to_list() == [1.0, 128.0]


def test_fractional_requests_share_a_device(tmp_path: Path) -> None:
    write(tmp_path, *(f"{i},1,A10,8,{g},1,{i},10,HP" for i, g in enumerate((0.5, 0.125, 2.5, 0, 3))))
    trace = read("spot2026", tmp_path)
    assert column(trace, "gpus") == [1, 1, 3, 0, 3]
    assert column(trace, "gpu_milli") == [500, 125, 833, 0, 1000]
    assert column(trace, "gpu_models")[3] == []
    reason = "a fraction above one GPU became equal shares of the next whole number of devices"
    assert trace.report.repaired == {reason: 1}


def test_jobs_piled_up_in_hour_zero_are_noted(tmp_path: Path) -> None:
    old = [f"{i},1,A10,8,1,1,0,99999,HP" for i in range(100)]
    steady = [f"n{i},1,A10,8,1,1,{i * 3600},10,HP" for i in range(1, 30)]
    notes = read("spot2026", write(tmp_path, *old, *steady)).report.notes
    assert notes == ["hour 0 holds 100 jobs, most of them older than the trace (from=3600 leaves them out)"]
    assert read("spot2026", write(tmp_path, *steady)).report.notes == []


def test_nodes_become_the_cluster(tmp_path: Path) -> None:
    folder = write(tmp_path, "1,13,A10,20,1,1,0,100,HP")
    for location in (folder, folder / "job_info_df.csv", folder / "node_info_df.csv"):
        cluster = read("spot2026", location).cluster
        assert cluster is not None and cluster.gpus == 10
        assert cluster.table["cpu_milli"].to_list() == [128_000, 128_000, 126_000]
        assert cluster.table["gpu_model"].to_list() == ["A10", "A800-SXM4-80GB", "A10"]


def test_jobs_without_nodes_are_read_and_nodes_without_jobs_are_not(tmp_path: Path) -> None:
    trace = read("spot2026", write(tmp_path, "1,13,A10,20,1,1,0,100,HP", nodes=None))
    assert trace.cluster is None and "no cluster" in trace.report.notes[0]
    (tmp_path / "job_info_df.csv").rename(tmp_path / "else.csv")
    (tmp_path / "node_info_df.csv").write_text(NODES)
    assert "no job_info_df.csv in this folder" in refusal("spot2026", tmp_path)


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        ("2,13,A10,20,1,1,0,100,Best", "row 3, column 'job_type': found 'Best', expected HP or Spot"),
        ("2,13,A10,20,-1,1,0,100,HP", "row 3, column 'gpu_request': found '-1'"),
        ("2,13,A10,20,1,0,0,100,HP", "row 3, column 'worker_num': found '0'"),
        ("2,13,A10,20,1,1,,100,HP", "row 3, column 'submit_time': found nothing"),
    ],
)
def test_bad_cells_are_named(tmp_path: Path, bad: str, place: str) -> None:
    assert place in refusal("spot2026", write(tmp_path, "1,13,A10,20,1,1,0,100,HP", bad))


def test_bad_nodes_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path, "1,13,A10,20,1,1,0,100,HP", nodes=NODES + "A10,many,128,10\n")
    assert "node_info_df.csv, row 5, column 'gpu_capacity_num': found 'many'" in refusal("spot2026", folder)
    folder = write(tmp_path, "1,13,A10,20,1,1,0,100,HP", nodes=NODES + "A10,1,128,9\n")
    assert "node_info_df.csv" in refusal("spot2026", folder)
