"""The section of the report about switching nodes off."""

from __future__ import annotations

import pytest

import apportion as ap
from apportion.study.characterize.report import characterize
from inputs import real_data


def test_philly_nodes_as_published() -> None:
    """Measured with the released code: 22.64 nodes, 5.29 %, 100.1 nodes off, 68.98 % to 90.41 %."""
    pytest.importorskip("lightgbm")
    trace = ap.load(f"philly-nodes:{real_data('helios/philly_node_sequence.csv')}")
    found = characterize(trace)["power_off"].numbers
    assert found["published_rmse_nodes"] == pytest.approx(22.64, rel=0.03)
    assert found["published_smape"] == pytest.approx(0.0529, abs=0.004)
    assert found["published_nodes_off_mean"] == pytest.approx(100.1, abs=1.5)
    assert found["published_use_of_nodes_on"] == pytest.approx(0.9041, abs=0.005)
    assert found["use"] == pytest.approx(0.6898, abs=0.0001)
    assert 60 < found["nodes_off_mean"] < found["published_nodes_off_mean"]


def test_a_list_of_jobs_has_no_such_section() -> None:
    section = characterize(ap.load("synthetic:philly?jobs=100"))["power_off"]
    assert "active_nodes" in section.skipped
