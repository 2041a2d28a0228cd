"""The Philly job log as released."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from reading import column, read, refusal

from apportion.traces import json_array


def attempt(start: str | None, end: str | None, *gpus: int) -> dict[str, Any]:
    """An attempt on servers with that many GPUs, on 2017-10-09."""
    day = "2017-10-09 "
    return {
        "start_time": day + start if start and start != "None" else start,
        "end_time": day + end if end and end != "None" else end,
        "detail": [{"ip": f"m{i}", "gpus": [f"gpu{k}" for k in range(n)]} for i, n in enumerate(gpus)],
    }


def job(name: str, submitted: str | None, *attempts: dict[str, Any], status: str = "Pass") -> dict[str, Any]:
    return {
        "status": status,
        "vc": "6214e9",
        "jobid": f"application_{name}",
        "attempts": list(attempts),
        "submitted_time": f"2017-10-09 {submitted}" if submitted else submitted,
        "user": "ce2f4c",
    }


def write(folder: Path, *jobs: Any) -> Path:
    path = folder / "cluster_job_log"
    path.write_text(json.dumps(list(jobs), indent=1))
    return path


def test_a_job_runs_from_its_first_start_to_its_last_end(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        job("b", "08:00:00", attempt("08:00:10", "08:00:20", 2, 2), attempt("08:01:00", "08:02:00", 2, 2)),
        job("a", "07:00:00", attempt("07:30:00", "07:30:01", 1), status="Killed"),
    )
    trace = read("philly-raw", path)
    assert trace.workload.origin == datetime(2017, 10, 9, 7)
    assert column(trace, "job_id") == ["application_a", "application_b"]
    assert column(trace, "submit_s") == [0.0, 3600.0]
    assert column(trace, "duration_s") == [1.0, 110.0]
    assert column(trace, "source_wait_s") == [1800.0, 10.0]
    assert column(trace, "gpus") == [1, 4]
    assert column(trace, "servers") == [1, 2]
    assert column(trace, "attempts") == [1, 2]
    assert column(trace, "status") == ["cancelled", "completed"]
    assert column(trace, "user") == ["ce2f4c", "ce2f4c"]
    assert column(trace, "group") == ["6214e9", "6214e9"]
    assert trace.report.dropped == trace.report.repaired == {}


def test_jobs_without_attempts_are_dropped(tmp_path: Path) -> None:
    nothing = job("c", "07:00:00") | {"attempts": None}
    path = write(tmp_path, job("a", "07:00:00"), nothing, job("b", "07:00:00", attempt("07:00:00", "07:00:09", 1)))
    trace = read("philly-raw", path)
    assert trace.report.dropped == {"no attempts: it never started": 2}
    assert trace.report.rows_read == 3


@pytest.mark.parametrize("missing", [None, "None", ""])
def test_a_last_attempt_without_end_is_censored_at_the_latest_time(tmp_path: Path, missing: str | None) -> None:
    path = write(
        tmp_path,
        job("a", "07:00:00", attempt("07:00:00", "07:10:00", 1), attempt("07:20:00", missing, 1)),
        job("b", "07:00:00", attempt("07:00:00", "09:00:00", 1), status="Failed"),
    )
    trace = read("philly-raw", path)
    assert column(trace, "duration_s") == [7200.0, 7200.0]
    assert column(trace, "status") == ["censored", "failed"]
    assert trace.report.censored == 1


def test_attempts_without_start_or_end(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        job("late", "07:00:00", attempt(None, "07:05:00", 1), attempt("07:06:00", "07:10:00", 1)),
        job("idle", "07:00:00", attempt("07:00:00", "07:05:00", 1), attempt("None", "None")),
        job("none", "07:00:00", attempt(None, None, 1)),
        job("when", None, attempt("07:00:00", "07:05:00", 1)),
    )
    trace = read("philly-raw", path)
    assert column(trace, "duration_s") == [240.0, 300.0]
    assert trace.report.censored == 0
    assert trace.report.dropped == {"no submitted_time": 1, "no attempt has a start": 1}
    assert trace.report.repaired == {
        "attempt without start and end ignored": 1,
        "the first attempt has no start: the first known start rules": 1,
    }


def test_the_first_attempt_gives_the_number_of_gpus(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        job("a", "07:00:00", attempt("07:00:00", "07:05:00", 8), attempt("07:06:00", "07:10:00", 4)),
        job("b", "07:00:00", attempt("07:00:00", "07:05:00"), attempt("07:06:00", "07:10:00", 4)),
        job("c", "07:00:00", attempt("07:00:00", "07:05:00")),
    )
    trace = read("philly-raw", path)
    assert column(trace, "gpus") == [8, 4]
    assert trace.report.repaired == {"the number of GPUs differs between attempts: the first rules": 1}
    assert trace.report.dropped == {"no GPU in any attempt": 1}


def test_each_attempt_can_be_a_job(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        job(
            "a",
            "07:00:00",
            attempt("07:00:10", "07:05:00", 8),
            attempt("07:05:30", None, 8),
            attempt(None, None, 8),
            attempt("07:06:00", "07:10:00", 4),
        ),
        job("b", "07:02:00", attempt("07:03:00", None, 1)),
    )
    trace = read("philly-raw", path, attempts="each")
    assert column(trace, "job_id") == ["application_a/1", "application_b/1", "application_a/4"]
    assert column(trace, "submit_s") == [0.0, 120.0, 300.0]
    assert column(trace, "source_wait_s") == [10.0, 60.0, 60.0]
    assert column(trace, "duration_s") == [290.0, 420.0, 240.0]
    assert column(trace, "gpus") == [8, 1, 4]
    assert column(trace, "status") == ["failed", "censored", "completed"]
    assert trace.report.dropped == {
        "attempt without a start": 1,
        "attempt without an end that was tried again": 1,
    }


def test_the_machine_list_is_the_cluster(tmp_path: Path) -> None:
    write(tmp_path, job("a", "07:00:00", attempt("07:00:00", "07:05:00", 8)))
    assert read("philly-raw", tmp_path).cluster is None
    machines = tmp_path / "cluster_machine_list"
    machines.write_text("machineId, number of GPUs, single GPU mem\nm31,8, 24GB\nm2,2, 12GB\n")
    cluster = read("philly-raw", tmp_path).cluster
    assert cluster is not None
    assert cluster.table["gpus"].to_list() == [8, 2]
    assert cluster.table["gpu_memory_mib"].to_list() == [24 * 1024, 12 * 1024]
    machines.write_text("machineId, number of GPUs, single GPU mem\nm31,8, lots\n")
    assert "row 2, column 'single GPU mem': found" in refusal("philly-raw", tmp_path)


def test_long_logs_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, *(job(f"é{i}", "07:00:00", attempt("07:00:00", "07:05:00", 1)) for i in range(30)))
    whole = read("philly-raw", path).workload.table
    assert whole.height == 30
    for size in (1, 7, 100):
        monkeypatch.setattr(json_array, "CHUNK", size)
        assert read("philly-raw", path).workload.table.equals(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "expected a JSON array"),
        ("", "expected a JSON array"),
        ("[1]", "row 1: found no object"),
        ('[{"attempts": []}, {"attempts": 3}]', "row 2, column 'attempts': found 3, expected a list"),
        ('[{"attempts": [7]}]', "row 1, column 'attempts': found [7]"),
        ('[{"attempts": []}, {"att', "cannot read job 2"),
        ('[{"attempts": []}', "cannot read job 2: the file ends inside the array"),
        ('[{"attempts": []}]', "found no job that ran"),
        ("[" * 100_000, "cannot read job 1"),
        ('[{"submitted_time": "soon"}]', "row 1, column 'submitted_time': found 'soon', expected a date"),
    ],
)
def test_bad_json_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cluster_job_log"
    path.write_text(text)
    assert message in refusal("philly-raw", path)


def test_a_bad_attempt_names_its_job(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        job("a", "07:00:00", *[attempt("07:00:00", "07:05:00", 1)] * 3),
        job("b", "07:00:00", attempt("07:00:00", "later", 1)),
    )
    message = refusal("philly-raw", path)
    assert message == (
        f"{path}, row 2, column 'end_time': found '2017-10-09 later', expected a date such as 2017-10-01 12:30:00"
    )
