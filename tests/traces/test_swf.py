"""Standard Workload Format: header, -1 for nothing, executions in parts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from apportion.model.errors import InputError
from apportion.model.trace import Trace
from apportion.traces.registry import load

HEADER = """; Version: 2.2
; Computer: IBM SP2
; MaxNodes: 8 (all alike)
; MaxProcs: 64
; UnixStartTime: 878000000
; TimeZoneString: Europe/Berlin
"""
JOB = "  1   0   10  100   4 -1 -1   8  200 2048 1  3  2 -1  1 -1 -1 -1"


def swf(tmp_path: Path, *lines: str, header: str = HEADER, query: str = "") -> Trace:
    file = tmp_path / "log.swf"
    file.write_text(header + "\n".join(lines) + "\n")
    return load(f"swf:{file}{query}")


def test_a_processor_is_a_task_of_one_gpu(tmp_path: Path) -> None:
    trace = swf(tmp_path, JOB)
    got = trace.workload.table.row(0, named=True)
    wanted = {
        "job_id": "1",
        "user": "3",
        "group": "2",
        "submit_s": 0.0,
        "duration_s": 100.0,
        "tasks": 8,  # requested, not the 4 that were allocated
        "gpus": 1,
        "cpu_milli": 0,
        "memory_mib": 2,
        "estimate_s": 200.0,
        "source_wait_s": 10.0,
        "status": "completed",
    }
    assert {name: got[name] for name in wanted} == wanted
    assert trace.cluster is not None
    assert (len(trace.cluster), trace.cluster.gpus) == (8, 64)
    assert trace.workload.origin == datetime(1997, 10, 28, 1, 53, 20)  # in the log's own time zone


def test_resource_cpu(tmp_path: Path) -> None:
    trace = swf(tmp_path, JOB, query="?resource=cpu")
    got = trace.workload.table.row(0, named=True)
    assert (got["tasks"], got["gpus"], got["cpu_milli"]) == (8, 0, 1000)
    assert trace.cluster is not None
    assert (trace.cluster.gpus, trace.cluster.table["cpu_milli"].sum()) == (0, 64_000)


def test_minus_one_is_nothing(tmp_path: Path) -> None:
    line = "1 0 -1 100 4 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1"
    got = swf(tmp_path, line).workload.table.row(0, named=True)
    assert (got["tasks"], got["memory_mib"], got["user"]) == (4, 0, "")
    assert got["estimate_s"] is None and got["source_wait_s"] is None and got["status"] is None


def test_what_cannot_run_is_dropped_with_the_reason(tmp_path: Path) -> None:
    lines = [
        "1 0 5 -1 4 -1 -1 4 -1 -1 5 1 1 -1 1 -1 -1 -1",
        "2 0 5 -1 4 -1 -1 4 -1 -1 0 1 1 -1 1 -1 -1 -1",
        "3 0 5 10 -1 -1 -1 0 -1 -1 1 1 1 -1 1 -1 -1 -1",
        "4 -1 5 10 1 -1 -1 1 -1 -1 1 1 1 -1 1 -1 -1 -1",
        "5 0 5 0 1 -1 -1 1 -1 -1 5 1 1 -1 1 -1 -1 -1",
    ]
    trace = swf(tmp_path, *lines)
    assert trace.workload.table.select("job_id", "duration_s", "status").rows() == [("5", 1.0, "cancelled")]
    assert trace.report.dropped == {
        "no submission time": 1,
        "cancelled before start": 1,
        "no run time": 1,
        "no processors": 1,
    }


def test_parts_of_an_execution(tmp_path: Path) -> None:
    """With a summary line the parts go; without one they are added up."""
    lines = [
        "1 0 0 50 2 -1 -1 2 -1 -1 1 1 1 -1 1 -1 -1 -1",
        "1 0 0 20 2 -1 -1 2 -1 -1 2 1 1 -1 1 -1 -1 -1",
        "1 0 0 30 2 -1 -1 2 -1 -1 3 1 1 -1 1 -1 -1 -1",
        "2 5 1 20 2 -1 -1 2 -1 -1 2 1 1 -1 1 -1 -1 -1",
        "2 9 7 40 2 -1 -1 2 -1 -1 4 1 1 -1 1 -1 -1 -1",
    ]
    trace = swf(tmp_path, *lines)
    rows = trace.workload.table.select("job_id", "submit_s", "source_wait_s", "duration_s", "status").rows()
    assert rows == [("1", 0.0, 0.0, 50.0, "completed"), ("2", 5.0, 1.0, 60.0, "failed")]
    assert trace.report.rows_read == 5
    assert trace.report.dropped == {"a part of an execution; its job is kept": 3}


@pytest.mark.parametrize(
    ("header", "nodes", "gpus"),
    [
        ("; MaxProcs: 430\n", 430, 430),
        ("; MaxNodes: 144\n; MaxProcs: 1152\n", 144, 1152),
        ("; MaxNodes: 3\n; MaxProcs: 10\n", 1, 10),  # no even split: one pool
        ("; MaxNodes: 1\n; MaxProcs: 4096\n", 1, 4096),
        ("; MaxProcs: 999999999999\n", None, None),
        ("; Computer: x\n", None, None),
    ],
)
def test_the_header_gives_the_cluster(tmp_path: Path, header: str, nodes: int | None, gpus: int | None) -> None:
    cluster = swf(tmp_path, JOB, header=header).cluster
    assert (cluster and len(cluster), cluster and cluster.gpus) == (nodes, gpus)


def test_bad_lines_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 8: found 3 values, expected the 18"):
        swf(tmp_path, JOB, "1 2 3")
    with pytest.raises(InputError, match=r"row 8, column 'run': found 'x', expected a number"):
        swf(tmp_path, JOB, JOB.replace("100", "  x"))
    with pytest.raises(InputError, match=r"row 7, column 'run': found '-7', expected a number of at least -1"):
        swf(tmp_path, JOB.replace("100", " -7"))
