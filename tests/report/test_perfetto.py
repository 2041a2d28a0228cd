"""The trace for ui.perfetto.dev: valid, one slice a device, never two at once in a thread."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from report_runs import placements, run, workload

from apportion.model.cluster_spec import parse_cluster
from apportion.report import write_perfetto
from apportion.study.result import Result


def trace(result: Result, folder: Path, **options: int) -> dict[str, Any]:
    """Write, read and return a trace whose threads were checked for overlaps."""
    path = folder / "trace.perfetto.json"
    write_perfetto(result, path, **options)
    parsed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    threads = defaultdict(list)
    for event in parsed["traceEvents"]:
        if event["ph"] == "X":
            threads[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for slices in threads.values():
        slices.sort()
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(slices))
    return parsed


def test_every_placement_is_on_its_devices(pair: list[Result], tmp_path: Path) -> None:
    result = pair[0]
    events = trace(result, tmp_path)["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    assert len(slices) == int(result.placements["gpus"].sum())
    held = sum(e["dur"] for e in slices) / 1e6
    pieces = result.placements
    assert held == pytest.approx(float((pieces["gpus"] * (pieces["end_s"] - pieces["start_s"])).sum()), rel=1e-6)
    job = result.jobs.row(0, named=True)
    first = next(e for e in slices if e["args"]["job_id"] == job["job_id"])
    assert {k: first["args"][k] for k in ("user", "group", "wait_s")} == {
        k: job[k] for k in ("user", "group", "wait_s")
    }
    names = {(e["pid"], e["args"]["name"]) for e in events if e["name"] == "process_name"}
    assert len(names) == 17 and any(name == "node-0003 (V100)" for _, name in names)
    assert {e["args"]["name"] for e in events if e["name"] == "thread_name"} == {f"GPU {i}" for i in range(8)}


def test_counters_are_the_timeline(pair: list[Result], tmp_path: Path) -> None:
    events = trace(pair[0], tmp_path)["traceEvents"]
    queue = [e["args"]["jobs"] for e in events if e["ph"] == "C" and e["name"] == "pending jobs"]
    assert queue == pair[0].timeline["pending_jobs"].to_list()


def test_shared_devices_and_pools_get_lanes(tmp_path: Path) -> None:
    base = run(workload(3), "1x2")
    shared = [(0, 0.0, 10.0, 0, 0.5, 1), (1, 5.0, 15.0, 0, 0.5, 1), (2, 10.0, None, 0, 0.5, 1)]
    for cluster, pieces in (("1x2", shared), ("pool:2", [(*p[:5], 0) for p in shared])):
        result = Result("p", "t", base.workload, parse_cluster(cluster), base.jobs, placements(pieces))
        slices = [e for e in trace(result, tmp_path)["traceEvents"] if e["ph"] == "X"]
        assert len(slices) == 3 and len({e["tid"] for e in slices}) == 2


def test_limit_keeps_the_earliest_and_says_so(pair: list[Result], tmp_path: Path) -> None:
    parsed = trace(pair[0], tmp_path, limit=10)
    assert parsed["otherData"]["note"].startswith("the first 10 of ")
    jobs = {e["args"]["job_id"] for e in parsed["traceEvents"] if e["ph"] == "X"}
    assert 0 < len(jobs) <= 10


def test_no_jobs(tmp_path: Path) -> None:
    base = run(workload(2), "1x2", until=-1.0)
    assert not [e for e in trace(base, tmp_path)["traceEvents"] if e["ph"] == "X"]
