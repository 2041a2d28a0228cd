"""Chronus' jobs with deadlines, in minutes."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import column, read, refusal

from inputs import real_data

HEADER = (
    "job_id,user,num_gpu,submit_time,iterations,model_name,duration,interval,expect_time_list,expect_value_list,"
    "best_effort,job_type\n"
)


def write(folder: Path, *rows: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def test_minutes_deadlines_and_classes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "0,vc_a,4,10,505,vgg16,747,14,1105,10,0,strict",
        "1,vc_b,1,11,553,alexnet,96,5,159-189-229-289,10-8-5-2,0,soft",
        "2,vc_b,1,12,362,bert,30,17,12,10,1,best",
    )
    trace = read("chronus", path)
    assert column(trace, "submit_s") == [600.0, 660.0, 720.0]
    assert column(trace, "duration_s") == [44_820.0, 5760.0, 1800.0]
    assert column(trace, "deadline_s") == [600.0 + 66_300.0, 660.0 + 9540.0, None]
    assert column(trace, "expect_times_s") == [[66_300.0], [9540.0, 11_340.0, 13_740.0, 17_340.0], []]
    assert column(trace, "expect_values") == [[10.0], [10.0, 8.0, 5.0, 2.0], []]
    assert column(trace, "best_effort") == [False, False, True]
    assert column(trace, "job_type") == ["strict", "soft", "best"]
    assert column(trace, "user") == column(trace, "group") == ["vc_a", "vc_b", "vc_b"]
    assert column(trace, "profile") == ["vgg16", "alexnet", "bert"]
    assert column(trace, "gpus") == [4, 1, 1]
    assert column(trace, "tasks") == [1, 1, 1]


def test_rows_without_gpus_are_dropped(tmp_path: Path) -> None:
    row = "vgg16,747,14,1105,10,0,strict"
    trace = read("chronus", write(tmp_path, f"0,vc_a,0,10,5,{row}", f"1,vc_a,1,9,5,{row}"))
    assert column(trace, "job_id") == ["1"]
    assert trace.report.rows_read == 2
    assert trace.report.dropped == {"asks for 0 GPUs": 1}


@pytest.mark.parametrize(
    ("row", "place"),
    [
        (
            "1,v,1,10,5,m,7,1,1105,10,0,hard",
            "column 'job_type': found 'hard', expected one of strict, soft, best",
        ),
        ("1,v,1,10,5,m,7,1,12-x,10-5,0,soft", "column 'expect_time_list': found '12-x'"),
        ("1,v,1,10,5,m,7,1,,10,0,soft", "column 'expect_time_list': found ''"),
        (
            "1,v,1,10,5,m,7,1,12-13,10,0,soft",
            "column 'expect_value_list': found '10', expected as many values",
        ),
        ("1,v,1,10,5,m,7,1,12,10,2,soft", "column 'best_effort': found '2'"),
        ("1,v,x,10,5,m,7,1,12,10,0,soft", "column 'num_gpu': found 'x'"),
    ],
)
def test_bad_cells_are_named(tmp_path: Path, row: str, place: str) -> None:
    path = write(tmp_path, "0,vc_a,1,10,5,vgg16,747,14,1105,10,0,strict", row)
    assert f"{path}, row 3, {place}" in refusal("chronus", path)


@pytest.mark.parametrize(("name", "jobs", "strict", "best"), [
    ("SLO", 30_735, 1.0, 0.0),
    ("MIX1", 30_756, 0.7, 0.3),
    ("MIX2", 30_746, 0.3, 0.1),
])  # fmt: skip
def test_the_published_mixes(name: str, jobs: int, strict: float, best: float) -> None:
    trace = read("chronus", real_data("chronus", f"trace_job_Philly_{name}.csv"))
    table = trace.workload.table
    assert (len(table), trace.report.rows_read) == (jobs, 30_940)
    assert (table["job_type"] == "strict").mean() == pytest.approx(strict, abs=0.01)
    assert table["best_effort"].mean() == pytest.approx(best, abs=0.01)
    assert table["duration_s"].min() == 20 * 60
    assert table["duration_s"].max() == 4317 * 60
    assert table["gpus"].max() == 32
    # A deadline leaves at least a tenth of the run time as slack; best-effort jobs have none.
    asked = table.filter(~table["best_effort"])
    slack = (asked["deadline_s"] - asked["submit_s"]) / asked["duration_s"]
    assert slack.min() > 1.0
    assert table["deadline_s"].null_count() == table["best_effort"].sum()
