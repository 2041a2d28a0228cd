"""MIT Supercloud: resource ids, packed memory, anonymised arrays, zero times."""

from __future__ import annotations

from pathlib import Path

import pytest

from apportion.model.errors import InputError
from apportion.model.trace import Trace
from apportion.traces.registry import load

BASE = {
    "id_job": "82691694838059",
    "id_array_job": "7",
    "id_array_task": "1",
    "id_user": "11",
    "nodes_alloc": "2",
    "cpus_req": "80",
    "mem_req": "9223372036854784308",
    "partition": "xeon-g6",
    "state": "3",
    "timelimit": "1440",
    "time_submit": "1614557000",
    "time_eligible": "1614557010",
    "time_start": "1614557100",
    "time_end": "1614558000",
    "time_suspended": "0",
    "tres_alloc": '"1=80,2=340000,4=2,1002=4"',
    "tres_req": '"1=80,2=340000,4=2,1002=4"',
    "gres_used": "gpu:volta:2",
}


def supercloud(tmp_path: Path, *rows: dict[str, str], query: str = "") -> Trace:
    file = tmp_path / "slurm-log.csv"
    lines = [",".join((BASE | row).values()) for row in rows]
    file.write_text("\n".join([",".join(BASE), *lines, ""]))
    return load(f"supercloud:{file}{query}")


def job(trace: Trace) -> dict[str, object]:
    assert len(trace.workload) == 1
    return trace.workload.table.row(0, named=True)


def test_a_job_of_two_nodes(tmp_path: Path) -> None:
    got = job(supercloud(tmp_path, {}))
    wanted = {
        "job_id": "82691694838059",
        "submit_s": 0.0,
        "duration_s": 900.0,
        "tasks": 2,
        "gpus": 2,
        "cpu_milli": 40_000,
        "memory_mib": 170_000,
        "gpu_models": ["volta"],
        "estimate_s": 86_400.0,
        "source_wait_s": 100.0,
        "source_hold_s": 10.0,
        "status": "completed",
        "partition": "xeon-g6",
    }
    assert {name: got[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("asked", "given", "used", "gpus", "models"),
    [
        ('"1=8,1001=2"', "", "", 2, ["tesla"]),
        ('"1=8,1001=2,1002=2"', "", "", 4, ["tesla", "volta"]),
        ('"1=8,11002=2"', '"1=8,1002=1"', "", 1, ["volta"]),  # another id that ends alike is no GPU
        ('"1=8"', "", "gpu:volta:2", 2, ["volta"]),
    ],
)
def test_gpus_are_resource_ids(tmp_path: Path, asked: str, given: str, used: str, gpus: int, models: list[str]) -> None:
    row = {"tres_req": asked, "tres_alloc": given, "gres_used": used, "nodes_alloc": "1"}
    got = job(supercloud(tmp_path, row))
    assert (got["gpus"], got["gpu_models"]) == (gpus, models)


@pytest.mark.parametrize(("packed", "mib"), [("9223372036854784308", 8500 * 8), ("4000", 4000), ("", 0)])
def test_memory_for_each_core_has_the_highest_bit(tmp_path: Path, packed: str, mib: int) -> None:
    row = {"mem_req": packed, "tres_req": '"1=8,1002=1"', "nodes_alloc": "1"}
    assert job(supercloud(tmp_path, row))["memory_mib"] == mib


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("3", "completed"),
        ("4", "cancelled"),
        ("5", "failed"),
        ("6", "failed"),
        ("7", "failed"),
        ("11", "failed"),
    ],
)
def test_states_are_numbers(tmp_path: Path, code: str, status: str) -> None:
    assert job(supercloud(tmp_path, {"state": code}))["status"] == status


def test_state_flags_above_the_low_byte_are_ignored(tmp_path: Path) -> None:
    assert job(supercloud(tmp_path, {"state": str(0x400 + 5)}))["status"] == "failed"


@pytest.mark.parametrize("limit", ["4294967295", "4294967294", ""])
def test_no_time_limit(tmp_path: Path, limit: str) -> None:
    assert job(supercloud(tmp_path, {"timelimit": limit}))["estimate_s"] is None


def test_zero_times_mean_not_yet(tmp_path: Path) -> None:
    rows = [
        {"time_end": "0", "state": "1"},
        {"id_job": "2", "time_start": "0", "state": "4"},
        {"id_job": "3", "time_start": "0", "time_end": "0", "state": "0"},
        {"id_job": "4", "time_end": "1614558100", "time_suspended": "100"},
    ]
    trace = supercloud(tmp_path, *rows)
    assert trace.workload.table["duration_s"].to_list() == [1000.0, 900.0]
    assert trace.workload.table["status"].to_list() == ["censored", "completed"]
    assert trace.report.dropped == {"cancelled before start": 1, "never started": 1}
    assert trace.report.censored == 1


def test_the_array_of_many_users_is_no_array(tmp_path: Path) -> None:
    rows = [
        {"id_array_job": "555", "id_user": "1", "id_job": "1"},
        {"id_array_job": "555", "id_user": "2", "id_job": "2"},
        {"id_array_job": "9", "id_user": "2", "id_job": "3"},
        {"id_array_job": "9", "id_user": "2", "id_job": "4"},
    ]
    assert supercloud(tmp_path, *rows).workload.table["array_job"].to_list() == [None, None, "9", "9"]


def test_cpu_jobs_and_repeated_ids(tmp_path: Path) -> None:
    cpu = {"tres_req": '"1=8,4=1"', "tres_alloc": "", "gres_used": ""}
    trace = supercloud(tmp_path, {}, {}, cpu)
    assert trace.workload.table["job_id"].to_list() == ["82691694838059", "82691694838059#2"]
    assert trace.report.dropped == {"asks for no GPU (cpu=keep keeps them)": 1}
    kept = supercloud(tmp_path, cpu, query="?cpu=keep")
    assert (job(kept)["gpus"], job(kept)["cpu_milli"]) == (0, 4000)


def test_bad_cells_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 2, column 'time_start': found 'noon', expected a number"):
        supercloud(tmp_path, {"time_start": "noon"})
    with pytest.raises(InputError, match=r"column 'tres_req': .*expected at most"):
        supercloud(tmp_path, {"tres_req": '"1=1,1002=99999999999999"'})
