"""Watts and energy of what is held and what is idle."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from apportion.model.cluster_spec import parse_cluster
from apportion.model.trace import Trace
from apportion.model.workload import Workload
from apportion.study.characterize import power
from apportion.study.characterize.section import Section
from apportion.study.characterize.subject import prepare


def look(cluster: str | None, **columns: list[float]) -> Section:
    given = parse_cluster(cluster) if cluster else None
    return power.look(prepare(Trace(Workload.of(pl.DataFrame(columns))), given))


HOURS = {"submit_s": [0, 0, 36000], "duration_s": [36000, 18000, 1], "gpus": [1, 2, 1]}
"""Ten hours: one GPU all of them, two more in the first half."""


def test_measured_utilisation_lies_between_idle_and_the_limit() -> None:
    section = look("1x4:A100", **HOURS, gpu_util=[50, 100, 0])
    busy = (60 + 0.5 * 340) * 10 + 2 * 400 * 5
    idle = 60 * (1 * 5 + 3 * 5)
    assert section.numbers["busy_kwh"] == pytest.approx(busy / 1000)
    assert section.numbers["idle_kwh"] == pytest.approx(idle / 1000)
    assert section.numbers["idle_energy_share"] == pytest.approx(idle / (busy + idle))
    assert section.numbers["peak_w"] == pytest.approx(230 + 800 + 60)
    assert section.numbers["limit_w"] == 1600
    assert "busy_low_kwh" not in section.numbers


def test_without_utilisation_the_published_quantiles_stand_in() -> None:
    section = look("1x4:A100", **HOURS)
    low, high = section.numbers["busy_low_kwh"], section.numbers["busy_high_kwh"]
    assert 0.06 * 20 < low < section.numbers["busy_kwh"] < high < 0.4 * 20
    assert section.numbers["servers_kwh"] > section.numbers["busy_kwh"] + section.numbers["idle_kwh"]
    assert "does not say how busy" in " ".join(section.sentences)


def test_no_more_than_the_cluster_has() -> None:
    section = look("1x2:A100", **HOURS, gpu_util=[100, 100, 0])
    assert section.numbers["peak_w"] == pytest.approx(800)


def test_without_a_cluster_only_what_was_held() -> None:
    section = look(None, **HOURS)
    assert "idle_kwh" not in section.numbers
    assert "held drew" in section.sentences[0]


def test_the_published_clusters_by_hand() -> None:
    # Seren from its idle share 0.31 on: trapezoids between the quantiles
    at = np.array([0.31, 0.5, 0.75, 0.9, 0.99])
    watts = np.array([66 + 30 * 0.06 / 0.25, 96, 290, 395, 437])
    mean = float(np.sum((watts[1:] + watts[:-1]) / 2 * np.diff(at)) / (0.99 - 0.31))
    assert power.busy_share("Seren") == pytest.approx((mean - 60) / 340, rel=1e-3)
    assert power.busy_share("Seren") < power.busy_share("Kalos")
    still, more = power.rest_of_server()
    assert (still, more) == pytest.approx((1512 / 8 - 63, 4851 / 8 - 395 - (1512 / 8 - 63)))
