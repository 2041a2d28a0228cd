"""GAIA's job lists, whose unit of time is not written in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import column, read, refusal

from inputs import real_data

HEADER = "arrival_time,length,cpus\n"


def write(folder: Path, *rows: str) -> Path:
    path = folder / "jobs.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def test_whole_numbers_are_seconds(tmp_path: Path) -> None:
    trace = read("gaia", write(tmp_path, "0.0,6302.0,1", "68.0,1000.0,3"))
    assert column(trace, "submit_s") == [0.0, 68.0]
    assert column(trace, "duration_s") == [6302.0, 1000.0]
    assert column(trace, "gpus") == [1, 3]
    assert column(trace, "cpu_milli") == [0, 0]
    assert trace.report.notes[0].startswith("times taken as seconds")


def test_a_fraction_makes_them_hours_rounded_to_seconds(tmp_path: Path) -> None:
    trace = read("gaia", write(tmp_path, "0.0,25.408055555555556,1", "0.5769444444444503,1,4"))
    assert column(trace, "submit_s") == [0.0, 2077.0]
    assert column(trace, "duration_s") == [91469.0, 3600.0]
    assert trace.report.notes[0].startswith("times taken as hours")


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("min", 60), ("h", 3600)])
def test_a_given_unit_is_not_doubted(tmp_path: Path, unit: str, factor: int) -> None:
    trace = read("gaia", write(tmp_path, "2,3,1"), unit=unit)
    assert column(trace, "submit_s") == [2.0 * factor]
    assert column(trace, "duration_s") == [3.0 * factor]
    assert trace.report.notes == []


def test_cores_and_clipping(tmp_path: Path) -> None:
    path = write(tmp_path, "0,100,400", "1,100,2")
    assert column(read("gaia", path, cpu=6), "cpu_milli") == [2_400_000, 12_000]
    trace = read("gaia", path, cpu=6, clip=100)
    assert column(trace, "gpus") == [100, 2]
    assert column(trace, "cpu_milli") == [2_322_000, 12_000]
    assert trace.report.repaired == {"request cut to 100 GPUs": 1}


def test_nothing_asked_for_and_no_length(tmp_path: Path) -> None:
    trace = read("gaia", write(tmp_path, "0,100,0", "1,0,1"))
    assert column(trace, "job_id") == ["1"]
    assert column(trace, "duration_s") == [1.0]
    assert trace.report.dropped == {"asks for no resources (cpus 0)": 1}
    assert trace.report.repaired == {"run time below 1 s counted as 1 s": 1}


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ("x,1,1", "row 3, column 'arrival_time': found 'x'"),
        ("1,,1", "row 3, column 'length': found nothing"),
        ("1,1,1.5", "row 3, column 'cpus': found '1.5', expected a whole number"),
        ("1,nan,1", "row 3, column 'length': found 'nan'"),
    ],
)
def test_bad_cells_are_named(tmp_path: Path, row: str, place: str) -> None:
    path = write(tmp_path, "0,1,1", row)
    assert f"{path}, {place}" in refusal("gaia", path)


def test_options_are_checked(tmp_path: Path) -> None:
    path = write(tmp_path, "0,1,1")
    assert "unit=hours, expected one of" in refusal("gaia", path, unit="hours")
    assert "clip=0, expected a number of at least 1" in refusal("gaia", path, clip=0)


def test_the_published_files_differ_in_their_unit() -> None:
    week = read("gaia", real_data("gaia", "pai_1k.csv"))
    assert len(week.workload) == 1000
    assert column(week, "submit_s")[-1] == 604_756.0
    assert week.workload.table["duration_s"].mean() == pytest.approx(9066.101)
    year = read("gaia", real_data("gaia", "pai-100k.csv"))
    assert len(year.workload) == 99_998
    assert column(year, "submit_s")[-1] == 31_534_021.0
    assert year.workload.table["gpus"].max() == 400
    gpu_hours = (year.workload.table["gpus"] * year.workload.table["duration_s"]).sum() / 3600
    assert gpu_hours == pytest.approx(1_011_246, rel=1e-5)
