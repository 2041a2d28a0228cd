"""Alibaba's recommendation-serving instances of 2025."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import column, read, refusal

HEADER = (
    "instance_sn,role,app_name,cpu_request,cpu_limit,gpu_request,gpu_limit,rdma_request,rdma_limit,memory_request,"
    "memory_limit,disk_request,disk_limit,max_instance_per_node,creation_time,scheduled_time,deletion_time\n"
)


def row(name: str, role: str, times: str, most: str = "-1", memory: str = "120.0") -> str:
    gpu = "1" if role == "HN" else "0"
    return f"{name},{role},app_7,12,12,{gpu},{gpu},25,25,{memory},{memory},640.0,800.0,{most},{times}\n"


def write(folder: Path, *rows: str) -> Path:
    path = folder / "disaggregated_DLRM_trace.csv"
    path.write_text(HEADER + "".join(rows))
    return path


def test_units_roles_and_kept_columns(tmp_path: Path) -> None:
    path = write(tmp_path, row("a", "HN", "5,8,100", most="8"), row("b", "CN", "6,6,50", memory="0.5"))
    trace = read("dlrm2025", path)
    assert column(trace, "gpus") == [1, 0]
    assert column(trace, "cpu_milli") == [12_000, 12_000]
    assert column(trace, "memory_mib") == [120 * 1024, 512]
    assert column(trace, "group") == ["app_7", "app_7"]
    assert column(trace, "role") == ["HN", "CN"]
    assert column(trace, "max_instance_per_node") == [8, -1]
    assert column(trace, "rdma_percent") == [25.0, 25.0]
    assert column(trace, "preemptible") == [False, False]
    assert column(trace, "submit_s") == [5.0, 6.0]
    assert column(trace, "duration_s") == [92.0, 44.0]
    assert column(trace, "source_wait_s") == [3.0, 0.0]
    assert column(trace, "status") == ["completed", "completed"]


def test_no_creation_is_before_the_trace_and_no_deletion_after_it(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        row("before", "HN", ",,70"),
        row("throughout", "CN", ",,"),
        row("after", "HN", "10,20,"),
        row("inside", "HN", "30,30,200"),
    )
    trace = read("dlrm2025", path)
    assert column(trace, "job_id") == ["before", "throughout", "after", "inside"]
    assert column(trace, "submit_s") == [0.0, 0.0, 10.0, 30.0]
    assert column(trace, "duration_s") == [70.0, 200.0, 180.0, 170.0]
    assert column(trace, "status") == ["completed", "censored", "censored", "completed"]
    assert trace.report.censored == 2
    assert trace.report.repaired == {"no creation_time: it existed before the trace, submitted at 0": 2}
    assert any("inside the trace" in note for note in trace.report.notes)


def test_the_word_nan_of_the_published_description_is_no_time(tmp_path: Path) -> None:
    trace = read("dlrm2025", write(tmp_path, row("a", "HN", "NaN,nan,70"), row("b", "HN", "1,1,NaN")))
    assert column(trace, "submit_s") == [0.0, 1.0]
    assert column(trace, "status") == ["completed", "censored"]


def test_the_folder_is_read_too(tmp_path: Path) -> None:
    write(tmp_path, row("a", "HN", "1,1,2"))
    assert len(read("dlrm2025", tmp_path).workload) == 1


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        (row("b", "XN", "1,1,2"), "row 3, column 'role': found 'XN', expected CN or HN"),
        (row("b", "HN", "soon,1,2"), "row 3, column 'creation_time': found 'soon', expected a number"),
        (row("b", "HN", "1,1,2", memory="much"), "row 3, column 'memory_request': found 'much'"),
        (row("b", "HN", "1,1,2", most="1.5"), "row 3, column 'max_instance_per_node': found '1.5'"),
    ],
)
def test_bad_cells_are_named(tmp_path: Path, bad: str, place: str) -> None:
    path = write(tmp_path, row("a", "HN", "1,1,2"), bad)
    assert f"{path}, {place}" in refusal("dlrm2025", path)
