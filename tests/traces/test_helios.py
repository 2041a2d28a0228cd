"""The Helios release."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from reading import column, read, refusal

HEADER = "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n"


def row(
    job: int,
    submit: str,
    start: str,
    end: str,
    *,
    vc: str = "vcA",
    gpus: int = 1,
    state: str = "COMPLETED",
    duration: object = "",
    queue: object = "",
) -> str:
    times = ",".join(f"2020-04-01 {t}" if t else "" for t in (submit, start, end))
    return f"{job},u1,{vc},{gpus},{6 * gpus},1,{state},{times},{duration},{queue}\n"


def write(folder: Path, *rows: str) -> Path:
    (folder / "cluster_log.csv").write_text(HEADER + "".join(rows))
    return folder


def test_jobs_of_a_log(tmp_path: Path) -> None:
    write(
        tmp_path,
        row(2, "00:10:00", "00:12:00", "00:13:00", gpus=16, state="TIMEOUT"),
        row(1, "00:00:00", "00:00:00", "01:00:00", vc="vcB", duration=3600, queue=0),
    )
    trace = read("helios", tmp_path)
    assert trace.workload.origin == datetime(2020, 4, 1)
    assert column(trace, "job_id") == ["1", "2"]
    assert column(trace, "group") == ["vcB", "vcA"]
    assert column(trace, "submit_s") == [0.0, 600.0]
    assert column(trace, "duration_s") == [3600.0, 60.0]
    assert column(trace, "source_wait_s") == [0.0, 120.0]
    assert column(trace, "gpus") == [1, 16]
    assert column(trace, "tasks") == [1, 1]
    assert column(trace, "cpu_milli") == [6000, 96_000]
    assert column(trace, "node_num") == [1, 1]
    assert column(trace, "status") == ["completed", "failed"]
    assert trace.report.repaired == trace.report.dropped == {}


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("COMPLETED", "completed"),
        ("CANCELLED", "cancelled"),
        ("CANCELLED by 1000", "cancelled"),
        ("FAILED", "failed"),
        ("TIMEOUT", "failed"),
        ("NODE_FAIL", "failed"),
    ],
)
def test_states(tmp_path: Path, state: str, status: str) -> None:
    write(tmp_path, row(1, "00:00:00", "00:00:00", "01:00:00", state=state))
    assert column(read("helios", tmp_path), "status") == [status]


def test_cpu_jobs_are_dropped_or_kept(tmp_path: Path) -> None:
    write(
        tmp_path,
        row(1, "00:00:00", "00:00:00", "01:00:00", gpus=0),
        row(2, "00:01:00", "00:01:00", "01:00:00"),
    )
    trace = read("helios", tmp_path)
    assert list(trace.report.dropped.values()) == [1]
    assert trace.workload.origin == datetime(2020, 4, 1, 0, 1)
    kept = read("helios", tmp_path, cpu="keep")
    assert column(kept, "gpus") == [0, 1]
    assert column(kept, "gpu_milli") == [0, 1000]


def test_the_duration_of_the_file_is_not_trusted(tmp_path: Path) -> None:
    write(
        tmp_path,
        row(1, "00:00:00", "00:00:00", "00:01:00", duration=1000),
        row(2, "00:00:00", "00:01:00", "00:01:00", duration=0),
        row(3, "00:00:00", "00:01:00", "00:00:30", duration=-30),
    )
    trace = read("helios", tmp_path)
    assert column(trace, "duration_s") == [60.0, 1.0, 1.0]
    assert trace.report.repaired == {
        "duration in the file is not end - start, which is used": 1,
        "run time below 1 s counted as 1 s": 2,
    }


def test_what_never_ran_or_has_no_times(tmp_path: Path) -> None:
    write(
        tmp_path,
        row(1, "00:00:00", "00:00:00", "00:01:00", state="SUSPENDED"),
        row(2, "00:00:00", "", "", state="PENDING", queue=7),
        row(3, "00:00:00", "", "00:02:00", queue=30),
        row(4, "00:00:10", "00:01:00", "", state="RUNNING"),
        row(5, "", "00:01:00", "00:02:00"),
    )
    trace = read("helios", tmp_path)
    assert column(trace, "job_id") == ["3", "4"]
    assert column(trace, "duration_s") == [90.0, 60.0]
    assert column(trace, "status") == ["completed", "censored"]
    assert trace.report.censored == 1
    assert trace.report.dropped == {
        "suspended in the log": 1,
        "never started: no start_time": 1,
        "no submit_time": 1,
    }
    assert trace.report.repaired == {"missing start_time taken as submit_time + queue": 1}


def test_capacity_is_the_median_of_the_days(tmp_path: Path) -> None:
    write(
        tmp_path,
        row(1, "00:00:00", "00:00:00", "01:00:00"),
        row(2, "00:00:00", "00:00:00", "01:00:00", vc="vcB", gpus=24),
        row(3, "23:00:00", "23:00:00", "23:30:00").replace("2020-04-01 23", "2020-04-03 23"),
    )
    (tmp_path / "cluster_gpu_number.csv").write_text(
        "date,vcA,vcB,vcC,total\n"
        "2020-03-31,800,800,8,1608\n"  # before the first job
        "2020-04-01,8,0,0,8\n"
        "2020-04-02,20,16,0,36\n"
        "2020-04-03,32,16,0,48\n"
        "2020-04-04,800,800,0,1600\n"  # after the last
    )
    trace = read("helios", tmp_path)
    assert trace.cluster is not None
    table = trace.cluster.table
    assert table["gpus"].to_list() == [8, 8, 4, 8, 8]  # vcB had none on one day; vcC never had any
    assert table["group"].to_list() == ["vcA"] * 3 + ["vcB"] * 2
    assert any("median" in note for note in trace.report.notes)
    assert any("1 jobs ask for more GPUs" in note for note in trace.report.notes)
    only = read("helios", tmp_path, vc="vcA")
    assert column(only, "job_id") == ["1", "3"]
    assert only.cluster is not None
    assert only.cluster.gpus == 20
    assert only.report.dropped == {"of another virtual cluster than vcA": 1}


def test_mistakes_are_named(tmp_path: Path) -> None:
    assert "cluster_log.csv: no such file" in refusal("helios", tmp_path)
    write(tmp_path, row(1, "00:00:00", "00:00:00", "01:00:00", vc="vc6YE"))
    assert "found no job of vc=vc6Y; did you mean 'vc6YE'?" in refusal("helios", tmp_path, vc="vc6Y")
    write(tmp_path, row(1, "00:00:00", "00:61:00", "01:00:00"))
    assert "row 2, column 'start_time': found '2020-04-01 00:61:00'" in refusal("helios", tmp_path)
    write(tmp_path, row(1, "00:00:00", "00:00:00", "01:00:00", gpus=0))
    assert "found no job with" in refusal("helios", tmp_path)
    write(tmp_path, row(1, "00:00:00", "00:00:00", "01:00:00"))
    (tmp_path / "cluster_gpu_number.csv").write_text("date,vcA\n2020-04-01,many\n")
    message = refusal("helios", tmp_path)
    assert "cluster_gpu_number.csv, row 2, column 'vcA': found 'many'" in message
