"""How speed grows with GPUs: in proportion, by Amdahl's law, or as measured; and what a run makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.engine.scaling import scaling_of
from apportion.engine.view import Decision, View
from apportion.model.profiles import Profiles
from apportion.policies.placements.best_fit import BestFit
from apportion.policies.protocol import Policy

ONE, FOUR = np.array([1.0]), np.array([4.0])


def workload(**columns: object) -> ap.Workload:
    frame = {"submit_s": [0.0], "duration_s": [100.0], "gpus": [2], "min_gpus": [1], "max_gpus": [8]}
    return ap.Workload.of(pl.DataFrame(frame | columns))


def test_without_more_it_is_in_proportion() -> None:
    found = scaling_of(workload(), np.array([2.0]), ONE, FOUR)
    assert found.table(np.array([0]), np.arange(5.0)).tolist() == [[0, 0.5, 1, 1.5, 2]]


def test_a_serial_part_follows_amdahl() -> None:
    found = scaling_of(workload(serial_part=[0.5]), np.array([2.0]), ONE, FOUR)
    # S(1) = 1, S(2) = 4/3, S(4) = 8/5
    assert found.table(np.array([0]), np.array([0.0, 1, 2, 4])).tolist() == [pytest.approx([0, 3 / 4, 1, 6 / 5])]
    assert found.relative(0, 4) == pytest.approx(6 / 5)


def test_a_serial_part_is_a_part() -> None:
    with pytest.raises(ap.ApportionError, match=r"serial_part 1\.5, expected 0 to 1"):
        scaling_of(workload(serial_part=[1.5]), np.array([2.0]), ONE, FOUR)


def test_what_was_measured_at_several_widths_goes_first() -> None:
    rows = [("v100", "net", 1, 10.0), ("v100", "net", 2, 16.0), ("v100", "net", 4, 24.0), ("k80", "net", 1, 3.0)]
    alone = pl.DataFrame(rows, schema=["gpu", "job_type", "scale_factor", "steps_per_s"], orient="row")
    profiled = replace(workload(profile=["net"], serial_part=[0.5]), profiles=Profiles(alone))
    found = scaling_of(profiled, np.array([2.0]), ONE, np.array([8.0]))
    assert found.table(np.array([0]), np.array([0.0, 1, 2, 3, 4, 8])).tolist() == [[0, 10 / 16, 1, 20 / 16, 1.5, 1.5]]


@dataclass
class Wide:
    """An allocator that gives every job four GPUs, and is asked at a time of its own."""

    again_s: float | None = None
    round_s: float = 1000.0
    on_change: bool = False

    def decide(self, view: View) -> Decision:
        times.append(view.now_s)
        assert view.on is not None
        held.append(view.on.tolist())
        return Decision(np.where(np.arange(view.jobs.size) == 0, 4.0, 0.0), again_s=self.again_s)


times: list[float] = []
held: list[list[int]] = []


def play(allocator: Wide, jobs: ap.Workload) -> ap.Result:
    times.clear()
    held.clear()
    return ap.simulate(jobs, ap.parse_cluster("1x8:A100"), Policy("wide", allocator, BestFit()), check=True)


def test_a_run_progresses_as_it_scales() -> None:
    assert play(Wide(), workload(serial_part=[0.5])).jobs["end_s"].to_list() == [pytest.approx(100 / (6 / 5))]


def test_an_allocator_says_when_it_is_asked_again_and_sees_what_a_job_holds() -> None:
    play(Wide(again_s=30.0), workload())
    assert times == [0, 30]
    assert held == [[-1], [0]]


def test_an_allocator_is_asked_when_jobs_came_or_went() -> None:
    jobs = workload(submit_s=[0.0, 10.0], duration_s=[100.0, 50.0], gpus=[2, 2], min_gpus=[1, 1], max_gpus=[8, 8])
    result = play(Wide(on_change=True), jobs)
    assert times == [0, 10, 50]
    assert result.jobs["end_s"].to_list() == [50, 75]
