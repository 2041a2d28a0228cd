"""Traces that are series: the published numbers of Venus and Philly, and virtual clusters by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import apportion as ap
from apportion.study.characterize import series
from apportion.study.characterize.section import Section
from apportion.study.characterize.subject import lacking, prepare
from inputs import real_data


def venus() -> Section:
    path = real_data("helios", "venus_cluster_throughput.csv")
    return series.arrivals(prepare(ap.load(f"venus-counts:{path}")))


HOURLY = "90 66 60 38 27 21 19 22 37 80 129 147 116 130 156 166 173 173 128 131 134 136 115 104"
HOURLY_GPUS = "81 69 67 44 44 33 28 40 60 119 134 129 213 116 147 140 149 140 112 118 130 120 86 82"
WEEKDAYS = "102 110 127 120 95 68 77"


def hundredths(text: str) -> list[float]:
    return [int(word) / 100 for word in text.split()]


def test_arrivals_of_venus() -> None:
    numbers = venus().numbers
    assert numbers["jobs"] == 125_214
    assert numbers["gpus"] == 843_064
    assert numbers["jobs_per_hour"] == pytest.approx(28.8, abs=0.05)
    assert numbers["mean_count"] == pytest.approx(4.8, abs=0.05)
    assert numbers["dispersion"] == pytest.approx(15.4, abs=0.05)
    assert numbers["hourly_dispersion"] == pytest.approx(39, abs=0.5)
    assert (numbers["p90_count"], numbers["p99_count"], numbers["max_count"]) == (11, 26, 717)


def test_weights_of_venus() -> None:
    tables = venus().tables
    assert tables["hour"]["jobs"].to_list() == pytest.approx(hundredths(HOURLY), abs=0.0051)
    assert tables["hour"]["gpus"].to_list() == pytest.approx(hundredths(HOURLY_GPUS), abs=0.0051)
    assert tables["weekday"]["jobs"].to_list() == pytest.approx(hundredths(WEEKDAYS), abs=0.0051)
    thousands = [20.9, 17.6, 16.2, 22.8, 22.1, 25.6]
    assert tables["month"]["jobs"].to_list() == pytest.approx([1000 * k for k in thousands], abs=50)


def test_active_nodes_of_philly() -> None:
    path = real_data("helios", "philly_node_sequence.csv")
    section = series.nodes(prepare(ap.load(f"philly-nodes:{path}")))
    numbers = section.numbers
    assert numbers["mean_active_nodes"] == pytest.approx(313, abs=0.5)
    assert numbers["in_use_share"] == pytest.approx(0.74, abs=0.005)
    assert (numbers["smallest_total_nodes"], numbers["largest_total_nodes"]) == (174, 552)
    assert section.sentences[0].startswith("313 of 423 nodes are in use on average, 74 %")


HEADER = "time,running_gpujob_num,pending_gpujob_num,total_gpu_num,running_gpu_num,pending_gpu_num\n"


def test_virtual_clusters(tmp_path: Path) -> None:
    rows = {"vcA": ["2,1,8,8,4", "2,0,8,8,0"], "vcB": ["1,0,8,2,0", "1,0,8,4,0"]}
    for name, lines in rows.items():
        (tmp_path / name).mkdir()
        text = "".join(f"2020-05-01 00:0{i}:00,{line}\n" for i, line in enumerate(lines))
        (tmp_path / name / "cluster_sequence_vc.csv").write_text(HEADER + text)
    subject = prepare(ap.load(tmp_path))
    section = series.gpus(subject)
    assert section.numbers["in_use_share"] == pytest.approx(22 / 32)
    assert section.numbers["waiting_time_share"] == 0.5
    assert section.numbers["idle_while_waiting_gpus"] == 6
    assert section.tables["groups"]["group"].to_list() == ["vcA", "vcB"]
    assert section.tables["groups"]["in_use"].to_list() == pytest.approx([1, 3 / 8])
    assert section.tables["groups"]["waiting_gpus"].to_list() == [2, 0]
    assert "vcA uses 100 % of its GPUs, vcB 38 %" in " ".join(section.sentences)
    assert "submitted_jobs" in lacking(subject, series.ANALYSES[0])


def test_a_day_curve_of_nodes(tmp_path: Path) -> None:
    hours = np.arange(96)
    active = np.where((hours % 24 >= 8) & (hours % 24 < 20), 90, 30)
    rows = [f"2020-05-{1 + h // 24:02d} {h % 24:02d}:00:00,{a},100\n" for h, a in zip(hours, active, strict=True)]
    file = tmp_path / "nodes.csv"
    file.write_text("time,active,total\n" + "".join(rows))
    section = series.nodes(prepare(ap.load(file)))
    assert section.numbers["diurnal_swing"] == pytest.approx(0.6)
    assert section.numbers["diurnal_inequality"] == pytest.approx(0.6)
    assert section.numbers["seasonality"] == pytest.approx(1, abs=0.05)
    assert "nights have room" in section.sentences[1]
