"""The job-level Philly CSV."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from reading import column, read, refusal

from inputs import real_data

HEADER = "timestamp,duration,num_gpus,gpu_time,cluster\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "philly.csv"
    path.write_text(HEADER + text)
    return path


def test_unsorted_rows_are_sorted_and_ties_keep_their_order(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "2017-10-09 07:01:55,66.0,1,66.0,b\n2017-10-09 07:00:55,10,8,80,a\n2017-10-09 07:01:55,7,2,14,c\n\n",
    )
    trace = read("philly", path)
    assert trace.workload.origin == datetime(2017, 10, 9, 7, 0, 55)
    assert column(trace, "submit_s") == [0.0, 60.0, 60.0]
    assert column(trace, "user") == column(trace, "group") == ["a", "b", "c"]
    assert column(trace, "job_id") == ["0", "1", "2"]
    assert column(trace, "gpus") == [8, 1, 2]
    assert column(trace, "tasks") == [1, 1, 1]


def test_no_run_time_becomes_a_second_and_is_counted(tmp_path: Path) -> None:
    trace = read("philly", write(tmp_path, "2017-10-09 07:01:55,0,1,0,b\n2017-10-09 07:01:56,-5,1,0,b\n"))
    assert column(trace, "duration_s") == [1.0, 1.0]
    assert trace.report.repaired == {"run time below 1 s counted as 1 s": 2}


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ("2017-10-39 07:01:55,66.0,1,66.0,b", "row 3, column 'timestamp': found '2017-10-39 07:01:55'"),
        (",66.0,1,66.0,b", "row 3, column 'timestamp': found nothing"),
        ("2017-10-09 07:01:55,long,1,66.0,b", "row 3, column 'duration': found 'long', expected a number"),
        ("2017-10-09 07:01:55,inf,1,66.0,b", "row 3, column 'duration'"),
        (
            "2017-10-09 07:01:55,66,1.5,66.0,b",
            "row 3, column 'num_gpus': found '1.5', expected a whole number",
        ),
        ("2017-10-09 07:01:55,66,0,66.0,b", "row 3, column 'num_gpus': found '0'"),
        ("2017-10-09 07:01:55,66,9e99,66.0,b", "row 3, column 'num_gpus': found '9e99'"),
    ],
)
def test_bad_cells_are_named(tmp_path: Path, row: str, place: str) -> None:
    path = write(tmp_path, f"2017-10-09 07:01:55,66.0,1,66.0,b\n{row}\n")
    assert f"{path}, {place}" in refusal("philly", path)


def test_bad_files_are_named(tmp_path: Path) -> None:
    assert "no such file" in refusal("philly", tmp_path / "missing.csv")
    assert "found a folder" in refusal("philly", tmp_path)
    assert "no jobs" in refusal("philly", write(tmp_path, ""))
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    assert "found columns a, b; expected timestamp" in refusal("philly", path)


def test_real_file_has_the_known_facts() -> None:
    trace = read("philly", real_data("philly", "philly.csv"))
    table = trace.workload.table
    assert (trace.report.rows_read, trace.report.dropped, trace.report.repaired) == (82_247, {}, {})
    assert trace.workload.origin == datetime(2017, 9, 4, 10, 30, 41)
    assert table["group"].n_unique() == 15
    sizes = dict(table["group"].value_counts().iter_rows())
    assert (sizes["6214e9"], sizes["e13805"], sizes["ee9e8c"]) == (41_226, 374, 1_511)
    gpu_s = table["duration_s"] * table["gpus"]
    assert gpu_s.sum() / 3600 == pytest.approx(978_078, abs=1)
    counts = dict(table["gpus"].value_counts().iter_rows())
    share = {g: round(100 * n / table.height, 1) for g, n in counts.items()}
    assert (share[1], share[2], share[4], share[8]) == (93.2, 2.2, 2.3, 2.0)
    assert counts.get(64, 0) + counts.get(128, 0) == 9
    ln_sd = table["duration_s"].log().std()
    assert table["duration_s"].log().mean() == pytest.approx(6.79, abs=0.005)
    assert isinstance(ln_sd, float)
    assert ln_sd == pytest.approx(2.16, abs=0.005)
    assert (table["duration_s"] > 3600).mean() == pytest.approx(0.227, abs=0.0005)
    # Median, P90 by GPUs from 2017-09-25, as the characterisation tables give them.
    late = table.filter(table["submit_s"] >= (datetime(2017, 9, 25) - trace.workload.origin).total_seconds())
    for gpus, median, p90 in ((1, 1153, 8586), (8, 23392, 316507)):
        run_s = late.filter(late["gpus"] == gpus)["duration_s"]
        assert run_s.quantile(0.5) == pytest.approx(median, rel=0.01)
        assert run_s.quantile(0.9) == pytest.approx(p90, rel=0.01)
