"""Predictions of a live cluster are kept, and calibrate the next ones once their jobs have started."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_memory import seen as seen_jobs

from apportion.live.assemble import assemble
from apportion.live.backend import NODE_COLUMNS, RUNNING, WAITING, Observation, conform
from apportion.live.forecast import Forecast, predict_start
from apportion.live.learn import learn
from apportion.live.memory import Memory
from apportion.live.predictions import keep, learnt, some_waiting
from apportion.live.situation import Situation
from apportion.policies.registry import parse_policy
from apportion.predict.calibration import Calibration
from apportion.predict.run_time import RunTimes

WAITS = np.linspace(100.0, 1000.0, 20)


def seen(now: float, limit_s: float | None = None, **jobs: tuple[str, float | None]) -> Observation:
    """Return an observation of jobs on one node of four GPUs: name -> state, start."""
    looks = seen_jobs(now, **jobs)
    nodes = conform(looks.nodes.with_columns(open=pl.lit(True), reason=pl.lit("")), NODE_COLUMNS)
    return Observation(now, nodes, looks.jobs.with_columns(limit_s=pl.lit(limit_s, pl.Float64)))


@pytest.fixture
def live(tmp_path: Path) -> tuple[Memory, Situation]:
    """A controller's file, and what it shows: a and b run, c and d wait."""
    memory = Memory(tmp_path / "m")
    looks = seen(0, a=(RUNNING, 0.0), b=(RUNNING, 0.0), c=(WAITING, None), d=(WAITING, None))
    learn(memory, looks, {})
    return memory, assemble(looks, memory, RunTimes())


def forecast(job: str, now_s: float = 0.0, waits_s: np.ndarray = WAITS) -> Forecast:  # type: ignore[type-arg]
    return Forecast(job, "fifo", now_s, waits_s, {0.5: float(np.median(waits_s))})


def test_a_prediction_counts_once_its_job_has_started(live: tuple[Memory, Situation]) -> None:
    memory, situation = live
    assert keep(memory.path, situation, [forecast("c"), forecast("d")]) == 2
    assert learnt(memory, "fifo") == Calibration()
    learn(memory, seen(500, b=(RUNNING, 0.0), c=(RUNNING, 400.0), d=(WAITING, None)), {})
    assert learnt(memory, "fifo") == Calibration.fit([(WAITS.astype("<f4"), 400.0)])
    assert learnt(memory, "sjf").size == 0
    learn(memory, seen(5000, d=(RUNNING, 4900.0)), {})  # c has ended: it counts on
    assert learnt(memory, "fifo").size == 2
    # what came is read by the next who asks
    queue = assemble(seen(5000, d=(RUNNING, 4900.0), e=(WAITING, None), f=(WAITING, None)), memory, RunTimes())
    found = predict_start(queue, parse_policy("fifo"), "f", draws=20, calibration=learnt(memory, "fifo"))
    assert found.calibrated_on == 2
    memory.prune(4900.0 + 91 * 86_400)
    assert learnt(memory, "fifo").size == 0


def test_what_teaches_nothing_is_not_kept(live: tuple[Memory, Situation]) -> None:
    memory, situation = live
    assert keep(memory.path, situation, [forecast("c"), forecast("c", 60.0)]) == 1  # of a job one an hour
    assert keep(memory.path, situation, [forecast("c", 3600.0)]) == 1
    for useless in (
        forecast("a"),
        forecast("request"),
        forecast("d", waits_s=WAITS[:5]),
        forecast("d", waits_s=0 * WAITS),
    ):
        assert keep(memory.path, situation, [useless]) == 0
    assert sorted(some_waiting(situation, 5, 0)) == ["c", "d"]
    assert len(some_waiting(situation, 1, 0)) == 1


def test_who_may_not_write_can_ask_all_the_same(live: tuple[Memory, Situation], tmp_path: Path) -> None:
    _, situation = live
    assert keep(tmp_path / "nonesuch", situation, [forecast("c")]) == 0
    assert not (tmp_path / "nonesuch").exists()
    sqlite3.connect(tmp_path / "other").close()
    assert keep(tmp_path / "other", situation, [forecast("c")]) == 0


def test_no_draw_runs_longer_than_the_limit() -> None:
    memory = Memory(":memory:")
    looks = seen(100, 300.0, a=(RUNNING, 40.0), b=(WAITING, None))
    learn(memory, looks, {})
    jobs = assemble(looks, memory, RunTimes()).jobs
    assert jobs["limit_s"].to_list() == [300.0, 300.0]
    past = jobs.with_columns(duration_s=9000.0)
    ran = np.array([60.0, 0.0])
    draws = [RunTimes().draw(past, jobs, np.random.default_rng(seed), ran) for seed in range(20)]
    assert np.max(draws) == 300.0
    # the limit is one of a run: suspended after 200 s a job may run 300 s more
    again = jobs.with_columns(attained_s=200.0)
    draws = [RunTimes().draw(past, again, np.random.default_rng(seed), ran + 200) for seed in range(20)]
    assert np.max(draws) == 500.0
