"""Muri's job lists, in milliseconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import column, read, refusal

HEADER = (
    "job_id,num_gpu,submit_time,iterations,model_name,batch_size,duration,interval,iteration_time,resource_time_0,"
    "resource_time_1,resource_time_2,priority\n"
)


def write(folder: Path, *rows: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def test_milliseconds_become_seconds(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "0,8,0,10956,gpt2,4,5095000,91000,437,0.6,419,49,0",
        "1,1,1534500,1463,vgg16,16,281,28000,107,117,68,0,1",
    )
    trace = read("muri", path)
    assert column(trace, "submit_s") == [0.0, 1534.5]
    assert column(trace, "duration_s") == [5095.0, 1.0]
    assert column(trace, "gpus") == [8, 1]
    assert column(trace, "tasks") == [1, 1]
    assert column(trace, "priority") == [0, 1]
    assert column(trace, "profile") == ["gpt2", "vgg16"]
    assert column(trace, "batch_size") == [4.0, 16.0]
    assert column(trace, "iteration_s") == [0.437, 0.107]
    assert column(trace, "resource_0_s") == pytest.approx([0.0006, 0.117])
    assert column(trace, "resource_1_s") == pytest.approx([0.419, 0.068])
    assert column(trace, "resource_2_s") == pytest.approx([0.049, 0.0])
    assert trace.report.repaired == {"run time below 1 s counted as 1 s": 1}
    assert trace.report.notes == []


def test_pr_files_submit_everything_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "0,8,0,10956,gpt2,4,5095000,91000,437,0.6,419,49,0",
        "1,8,0,1463,vgg16,16,281000,28000,214,82,75,66,1",
    )
    trace = read("muri", path)
    assert column(trace, "submit_s") == [0.0, 0.0]
    assert trace.report.notes == ["every job is submitted at 0, as in the authors' _pr files"]


def test_bad_cells_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "0,8,0,10956,gpt2,4,x,91000,437,0.6,419,49,0")
    assert f"{path}, row 2, column 'duration': found 'x', expected a number" in refusal("muri", path)
    path = write(tmp_path, "0,8,0,10956,gpt2,4,5,91000,437,0.6,419,49,high")
    assert f"{path}, row 2, column 'priority': found 'high'" in refusal("muri", path)
