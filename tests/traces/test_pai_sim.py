"""Job lists of the PAI simulator."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import column, read, refusal

HEADER = "job_id,user,num_gpu,num_cpu,num_inst,gpu_type,submit_time,duration,wait_time,user_dur,group_dur\n"


def write(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "jobs.csv"
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return path


def test_requests_become_devices_and_shares(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "0,u,0.5,6.0,1,T4,10,5,0,1.5,2",
        "1,u,1.0,0.125,3,T4,11,5,0,,",
        "2,u,4,600,,V100,12,5,7,0,0",
        "3,u,2.5,6,1,V100,13,5.9,0,0,0",
        "4,u,0,6,1,CPU,14,0.4,0,0,0",
        "5,u,0.005,6,1,MISC,15,5,0,0,0",
    )
    trace = read("pai-sim", path)
    assert column(trace, "gpus") == [1, 1, 4, 3, 0, 0]
    assert column(trace, "gpu_milli")[:4] == [500, 1000, 1000, 833]
    assert column(trace, "cpu_milli") == [6000, 120, 600_000, 6000, 6000, 6000]  # 12.5 % rounds to 12 %
    assert column(trace, "tasks") == [1, 3, 1, 1, 1, 1]
    assert column(trace, "duration_s") == [5, 5, 5, 5, 1, 5]
    assert column(trace, "submit_s")[0] == 10  # the origin stays
    assert column(trace, "user_dur") == [1.5, None, 0, 0, 0, 0]
    assert column(trace, "source_wait_s")[2] == 7
    assert "group_gpu_dur" not in trace.workload.table.columns
    assert sorted(trace.report.repaired.values()) == [1, 1]


def test_ties_are_broken_by_the_number_of_the_job(tmp_path: Path) -> None:
    rows = [f"{i},u,1,1,1,T4,{t},5,0,0,0" for i, t in ((10, 0), (9, 0), (100, 0), (2, 60), (1, 61))]
    path = write(tmp_path, *rows)
    assert column(read("pai-sim", path), "job_id") == ["9", "10", "100", "2", "1"]
    batches = read("pai-sim", path, arrival_rate=2)
    assert column(batches, "job_id") == ["9", "10", "100", "2", "1"]
    assert column(batches, "submit_s") == [0, 0, 60, 60, 120]
    assert column(read("pai-sim", path, arrival_rate=-1), "submit_s") == [0, 0, 0, 60, 61]


def test_clip_cuts_gpus_and_cores_separately(tmp_path: Path) -> None:
    path = write(tmp_path, "0,u,16,10,1,T4,0,5,0,0,0", "1,u,1,500,1,T4,0,5,0,0,0", "2,u,8,1,1,T4,0,5,0,0,0")
    trace = read("pai-sim", path, clip=8)
    assert column(trace, "gpus") == [8, 1, 8]
    assert column(trace, "cpu_milli") == [10_000, 186_000, 1000]  # round(23.22 * 8) cores
    assert sorted(trace.report.repaired.values()) == [1, 1]


@pytest.mark.parametrize(
    ("matching", "models"),
    [(0, [[], [], [], []]), (1, [["V100"], ["T4"], [], []]), (2, [["V100"], [], [], []])],
)
def test_matching_binds_jobs_to_their_gpu(tmp_path: Path, matching: int, models: list[list[str]]) -> None:
    path = write(
        tmp_path,
        "0,u,1,1,1,V100,0,5,0,0,0",
        "1,u,1,1,1,T4,0,5,0,0,0",
        "2,u,0,1,1,CPU,0,5,0,0,0",
        "3,u,0,1,1,V100,0,5,0,0,0",
    )
    assert column(read("pai-sim", path, matching=matching), "gpu_models") == models


def test_only_the_needed_columns_are_needed(tmp_path: Path) -> None:
    path = write(tmp_path, "7,1,1,0,5", header="job_id,num_gpu,num_cpu,submit_time,duration\n")
    trace = read("pai-sim", path)
    assert column(trace, "tasks") == [1]
    assert column(trace, "user") == [""]


def test_mistakes_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "0,u,1,1,1,T4,0,5,0,0,0", "1,u,1,1,0,T4,0,5,0,0,0")
    assert "row 3, column 'num_inst': found '0', expected a number of at least 1" in refusal("pai-sim", path)
    assert "found arrival_rate=2.5" in refusal("pai-sim", path, arrival_rate=2.5)
    assert "expected one of 0, 1, 2" in refusal("pai-sim", path, matching=3)
    path = write(tmp_path, "0,u,-1,1,1,T4,0,5,0,0,0")
    assert "row 2, column 'num_gpu': found '-1'" in refusal("pai-sim", path)
    path = write(tmp_path, "0,u,1,1,1,T4,,5,0,0,0")
    assert "row 2, column 'submit_time': found nothing" in refusal("pai-sim", path)
