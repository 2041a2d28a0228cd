"""The derived inputs of the published PAI simulator, and what `pai-sim` makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import column, read

import parity
from inputs import real_data


@pytest.mark.parametrize("which", [parity.P1K, parity.P10K, parity.P65K], ids=lambda d: d.name)
def test_derived_files_have_the_published_bytes_and_read_back(which: parity.Derived, tmp_path: Path) -> None:
    path = parity.write(real_data("philly", "philly.csv"), which, tmp_path)
    table = read("pai-sim", path).workload.table
    assert table.height == (which.rows or 64_933)
    assert table["job_id"].to_list() == [str(i) for i in range(table.height)]
    assert (table["cpu_milli"] == 6000 * table["gpus"]).all()
    assert (table["gpu_milli"] == 1000).all()
    if which.mean_duration_s is not None:
        assert table["duration_s"].mean() == pytest.approx(which.mean_duration_s, abs=0.05)


def test_estimates_are_means_of_strictly_earlier_rows(tmp_path: Path) -> None:
    philly = tmp_path / "philly.csv"
    philly.write_text(
        "timestamp,duration,num_gpus,gpu_time,cluster\n"
        "2017-10-09 01:00:00,10.0,1,10,a\n"
        "2017-10-08 23:59:59,999.0,1,999,a\n"  # before second 0: neither a job nor history
        "2017-10-09 01:10:00,20.0,1,20,a\n"
        "2017-10-09 02:00:00,30.0,2,60,a\n"
        "2017-10-09 02:30:00,5.0,1,5,a\n"
    )
    jobs = parity.derive(philly, parity.Derived("x", None, 25, "", None))
    assert jobs["duration"].to_list() == [10, 20, 25, 5]
    assert jobs["user_dur"].to_list() == [0.0, 10.0, 15.0, 20.0]  # 30, uncut, counts in the history
    assert jobs["user_gpu_dur"].to_list() == [0.0, 10.0, 0.0, 15.0]
    assert jobs["group_gpu_dur"].to_list() == [0.0, 10.0, 0.0, 0.0]


def test_arrival_rate_sends_batches_every_minute(tmp_path: Path) -> None:
    path = parity.write(real_data("philly", "philly.csv"), parity.P1K, tmp_path)
    assert set(column(read("pai-sim", path, arrival_rate=1000), "submit_s")) == {0.0}
    assert column(read("pai-sim", path, arrival_rate=300), "submit_s")[299:301] == [0.0, 60.0]
