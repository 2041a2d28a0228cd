"""Load in bins, what repeats daily, and day against night."""

from __future__ import annotations

import itertools
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from apportion.model.trace import Trace
from apportion.model.workload import Workload
from apportion.study.characterize import seasonality
from apportion.study.characterize.running import edges, per_bin, starts, thin
from apportion.study.characterize.subject import prepare

DAY = 86400.0


def test_bins_hold_the_mean_of_what_ran() -> None:
    random = np.random.default_rng(1)
    start = random.uniform(-50, 900, 200)
    end = start + random.exponential(100, 200)
    weight = random.integers(1, 9, 200).astype(float)
    at = np.arange(0.0, 801.0, 100.0)
    slow = [
        (weight * np.clip(np.minimum(end, b) - np.maximum(start, a), 0, None)).sum() / 100
        for a, b in itertools.pairwise(at)
    ]
    assert per_bin(start, end, weight, at) == pytest.approx(slow)


def test_bins_begin_at_round_times_of_the_calendar() -> None:
    frame = pl.DataFrame({"submit_s": [0.0, 5000.0], "duration_s": [1.0, 1.0]})
    subject = prepare(Trace(Workload.of(frame, origin=datetime(2020, 1, 1, 9, 4))))
    assert edges(subject).tolist() == [360.0 + 600 * i for i in range(8)]


def test_a_recorded_wait_moves_the_start() -> None:
    frame = pl.DataFrame({"submit_s": [0.0, 5.0], "duration_s": [2.0, 1.0], "source_wait_s": [3.0, None]})
    start, end = starts(prepare(Trace(Workload.of(frame))).jobs)
    assert (start.tolist(), end.tolist()) == ([3.0, 5.0], [5.0, 6.0])


def test_parts_add_up_and_a_daily_wave_is_regular() -> None:
    random = np.random.default_rng(2)
    time = np.arange(20 * seasonality.PER_DAY)
    wave = 50 + 10 * np.sin(2 * np.pi * time / seasonality.PER_DAY)
    noise = random.normal(0, 10, time.size)
    assert np.sum(seasonality.decompose(wave + noise), axis=0) == pytest.approx(wave + noise)
    assert seasonality.seasonality(wave) == pytest.approx(1, abs=0.01)
    assert seasonality.seasonality(noise) < 0.15
    # variance of the wave 50, of the noise 100
    assert seasonality.seasonality(wave + noise) == pytest.approx(1 / 3, abs=0.08)
    assert np.isnan(seasonality.seasonality(np.full(time.size, 3.0)))


def test_day_and_night() -> None:
    hour = np.tile(np.arange(seasonality.PER_DAY) / 6, 4)
    by_day = np.where((hour >= 8) & (hour < 20), 80.0, 30.0)
    assert seasonality.inequality(by_day, hour) == 50
    assert seasonality.inequality(-by_day, hour) == -50
    assert seasonality.inequality(-by_day, None) == 50
    assert seasonality.course(by_day, hour)["mean"].to_list() == [30.0] * 8 + [80.0] * 12 + [30.0] * 4


def test_a_load_by_the_clock_is_found_in_the_jobs() -> None:
    days = 10
    frame = pl.DataFrame(
        {
            "submit_s": [DAY * d + 3600 * h for d in range(days) for h in (0, 9)],
            "duration_s": [DAY - 1, 8 * 3600.0] * days,
            "gpus": [2, 6] * days,
            "group": ["base", "day"] * days,
        }
    )
    section = seasonality.look(prepare(Trace(Workload.of(frame, origin=datetime(2020, 1, 6)))))
    assert section.numbers["seasonality"] > 0.99
    assert section.numbers["peak_busy_gpus"] == pytest.approx(8)
    assert section.numbers["diurnal_inequality"] == pytest.approx(6 / 8, abs=0.01)
    assert section.tables["groups"].filter(group="day")["inequality"].item() == pytest.approx(1)
    assert "planned from today" in section.sentences[0]


def test_short_traces_are_left_out() -> None:
    frame = pl.DataFrame({"submit_s": [0.0, 2 * DAY], "duration_s": [9.0, 9.0]})
    assert "3 days" in seasonality.look(prepare(Trace(Workload.of(frame)))).skipped


def test_a_long_series_is_thinned_by_means() -> None:
    table = pl.DataFrame({"time_s": np.arange(5000.0), "x": np.arange(5000.0)})
    thinned = thin(table)
    assert thinned.height == 1667
    assert thinned.row(1) == (3.0, 4.0)
