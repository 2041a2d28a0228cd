"""Job lists of Tiresias and Astraea."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import column, read, refusal
from samples import SAMPLES

from apportion.model import InputError
from apportion.traces.registry import recognise
from inputs import real_data

HEADER = "job_id,num_gpu,submit_time,iterations,model_name,duration,interval\n"
ASTRAEA = "job_id,user,num_gpu,submit_time,iterations,model_name,duration,interval,expect_time\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "job.csv"
    path.write_text(text)
    return path


def test_seconds_and_total_gpus(tmp_path: Path) -> None:
    trace = read("tiresias", write(tmp_path, HEADER + "0,1,0,606,vgg19,164,30\n1,16,30,133,vgg11,147,23\n"))
    assert column(trace, "submit_s") == [0.0, 30.0]
    assert column(trace, "duration_s") == [164.0, 147.0]
    assert column(trace, "gpus") == [1, 16]
    assert column(trace, "tasks") == [1, 1]
    assert column(trace, "profile") == ["vgg19", "vgg11"]
    assert column(trace, "deadline_s") == [None, None]


def test_astraea_adds_tenants_and_expected_times(tmp_path: Path) -> None:
    trace = read("tiresias", write(tmp_path, ASTRAEA + "4,Tiffany,16,1229,2351,vgg11,271,10,748\n"))
    assert column(trace, "user") == column(trace, "group") == ["Tiffany"]
    # The expected time counts from the submission: as a clock time it would lie before it.
    assert column(trace, "deadline_s") == [1229.0 + 748.0]


def test_run_times_alone_are_recognised_and_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "duration\n121\n122\n")
    assert recognise(path).name == "tiresias"
    assert f"{path}, row 1: found only run times" in refusal("tiresias", path)


def test_only_these_headers_are_taken_for_tiresias(tmp_path: Path) -> None:
    for header in (HEADER, ASTRAEA):
        assert recognise(write(tmp_path, header + "0\n")).name == "tiresias"
    for other in ("chronus", "muri"):
        location, _ = SAMPLES[other].write(tmp_path / other)
        assert recognise(location).name == other
    with pytest.raises(InputError, match="no known format fits"):
        recognise(write(tmp_path, "job_id,num_gpu,submit_time,model_name,duration,liar\n"))


def test_bad_cells_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "0,1,0,606,vgg19,164,30\n1,8,soon,133,vgg11,147,23\n")
    assert f"{path}, row 3, column 'submit_time': found 'soon'" in refusal("tiresias", path)


def test_the_published_files() -> None:
    small = read("tiresias", real_data("tiresias", "60_job.csv"))
    assert len(small.workload) == 60
    assert small.workload.table["gpus"].sum() == 170
    fake = read("tiresias", real_data("astraea", "fake_job.csv"))
    table = fake.workload.table
    assert (len(table), table["user"].n_unique()) == (500, 20)
    assert (table["deadline_s"] - table["submit_s"] > table["duration_s"]).all()
    assert "found only run times" in refusal("tiresias", real_data("tiresias", "yarn-gput1000.csv"))
