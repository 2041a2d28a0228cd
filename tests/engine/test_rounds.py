"""The door for allocators: elastic counts, suspension, progress in proportion, and its first user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.engine.view import Decision, View
from apportion.policies.placements.best_fit import BestFit
from apportion.policies.protocol import Policy


@dataclass
class Scripted:
    """An allocator that answers with what a function says."""

    answer: Callable[[View], list[float]]
    round_s: float = 10.0

    def decide(self, view: View) -> Decision:
        return Decision(np.array(self.answer(view)))


def play(frame: pl.DataFrame, cluster: str, answer: Callable[[View], list[float]], **settings: float) -> ap.Result:
    policy = Policy("scripted", Scripted(answer), BestFit())
    return ap.simulate(ap.Workload.of(frame), ap.parse_cluster(cluster), policy, check=True, **settings)


def jobs(**columns: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"submit_s": [0.0], "duration_s": [100.0], "gpus": [4]} | columns)


@pytest.mark.parametrize(("gpus", "end"), [(4, 100.0), (2, 200.0), (8, 50.0), (1, 400.0)])
def test_a_resized_job_progresses_in_proportion(gpus: int, end: float) -> None:
    result = play(jobs(), "1x8", lambda view: [gpus])
    assert result.jobs["end_s"].to_list() == [end]
    assert result.placements["gpus"].to_list() == [gpus]


def test_a_resize_in_mid_life_keeps_what_was_done() -> None:
    # 10 s on 4 GPUs, then 8: 10 + 90 / 2
    result = play(jobs(), "1x8", lambda view: [4 if view.now_s < 10 else 8])
    assert result.jobs["end_s"].to_list() == [55.0]
    assert result.placements.select("start_s", "end_s", "gpus").rows() == [(0, 10, 4), (10, 55, 8)]
    assert result.jobs["preemptions"].to_list() == [1]


def test_a_job_that_keeps_its_gpus_goes_on_undisturbed() -> None:
    result = play(jobs(), "1x8", lambda view: [4])
    assert result.placements.height == 1


def test_suspension_costs_a_checkpoint_and_the_wait_is_counted() -> None:
    # runs 0-10, suspended until 30, 2 s of checkpoint: 30 + 90 + 2
    result = play(jobs(), "1x8", lambda view: [0 if 10 <= view.now_s < 30 else 4], checkpoint_cost=2.0)
    assert result.jobs["end_s"].to_list() == [122.0]
    assert result.jobs["wait_s"].to_list() == [20.0]


def test_the_view_says_what_is_true() -> None:
    seen: list[View] = []

    def answer(view: View) -> list[float]:
        seen.append(view)
        return [float(g) if s < 15 else 0.0 for g, s in zip(view.gpus, view.submit_s)]

    frame = jobs(submit_s=[0.0, 5.0, 40.0], duration_s=[30.0, 20.0, 5.0], gpus=[4, 2, 1])
    result = play(frame.with_columns(user=pl.Series(["a", "b", "a"])), "1x8", answer, until=60.0)
    assert [view.now_s for view in seen] == [0, 10, 20, 40, 50, 60]
    assert [view.jobs.tolist() for view in seen] == [[0], [0, 1], [0, 1], [2], [2], [2]]
    assert seen[1].running.tolist() == [True, False]
    assert seen[2].attained_s.tolist() == [20, 10]
    assert seen[2].remaining_s.tolist() == [10, 10]
    assert seen[2].held.tolist() == [4, 2]
    assert seen[0].capacity_gpus == 8
    assert seen[3].user.tolist() == [0]
    assert result.jobs["status"].to_list() == ["completed", "completed", "unfinished"]
    with pytest.raises(ValueError, match="read-only"):
        seen[0].nodes["gpus"] = 1


def test_what_does_not_fit_waits_for_the_next_round() -> None:
    frame = jobs(submit_s=[0.0, 0.0], duration_s=[15.0, 5.0], gpus=[6, 4])
    result = play(frame, "1x8", lambda view: list(view.gpus))
    assert result.jobs["start_s"].to_list() == [0.0, 20.0]


def test_many_sizes_of_one_job_on_nodes_of_their_own() -> None:
    # every size is a class of its own, added while the run goes on; 12 GPUs take a node and a half
    sizes = [4.0, 2.0, 12.0, 1.0, 8.0, 3.0]
    frame = jobs(duration_s=[1000.0])
    result = play(frame, "2x8", lambda view: [sizes[int(view.now_s / 10) % 6]])
    done = sum(10 * s / 4 for s in sizes)
    assert result.jobs["end_s"].item() == pytest.approx(6 * 10 * (1000 // done) + _rest(1000 % done, sizes))
    assert set(result.placements.group_by("start_s").agg(pl.col("gpus").sum())["gpus"].to_list()) == set(sizes)


def _rest(work: float, sizes: list[float]) -> float:
    time = 0.0
    for size in sizes:
        if work <= 10 * size / 4:
            return time + work / (size / 4)
        work -= 10 * size / 4
        time += 10
    raise AssertionError


def test_round_robin_takes_turns() -> None:
    frame = jobs(submit_s=[0.0, 0.0, 0.0], duration_s=[20.0] * 3, gpus=[8] * 3)
    result = ap.simulate(ap.Workload.of(frame), ap.parse_cluster("1x8"), "round-robin[quantum=10]", check=True)
    assert result.placements.select("job", "start_s", "end_s").rows() == [
        (0, 0, 10),
        (1, 10, 20),
        (2, 20, 30),
        (0, 30, 40),
        (1, 40, 50),
        (2, 50, 60),
    ]


def test_round_robin_starves_nobody_and_loses_nothing() -> None:
    trace = ap.load("synthetic:philly?jobs=300&load=1.3&seed=5")
    assert trace.cluster is not None
    result = ap.simulate(trace.workload, trace.cluster, "round-robin[quantum=5m]", checkpoint_cost=3.0, check=True)
    assert result.jobs["status"].unique().to_list() == ["completed"]
    length = (pl.col("end_s") - pl.col("start_s")).sum().alias("ran")
    ran = result.placements.filter("first").group_by("job").agg(length)
    work = result.jobs["duration_s"] + 3.0 * result.jobs["preemptions"]
    assert np.allclose(ran.sort("job")["ran"].to_numpy(), work.to_numpy())


def test_a_job_without_gpus_runs_beside_an_allocator() -> None:
    jobs = pl.DataFrame({"submit_s": [0.0, 1.0], "duration_s": [10.0, 20.0], "gpus": [0, 8], "cpu_milli": [1000, 1000]})
    result = ap.simulate(ap.Workload.of(jobs), ap.parse_cluster("1x8"), "round-robin", check=True)
    assert result.jobs["end_s"].to_list() == [10.0, 320.0]


@pytest.mark.parametrize("rules", [None, "gavel"])
@pytest.mark.parametrize("policy", ["afs", "gavel", "gavel[objective=fifo]", "gandiva-fair", "themis"])
def test_a_run_ends_though_a_job_is_wider_than_any_model(policy: str, rules: str | None) -> None:
    jobs = pl.DataFrame({"submit_s": [0.0, 0.0], "duration_s": [100.0, 50.0], "gpus": [6, 2]})
    cluster = ap.parse_cluster("1x4:V100+1x4:K80")
    result = ap.simulate(ap.Workload.of(jobs), cluster, policy, rules=rules, check=True)
    assert result.jobs["status"].to_list() == ["unfinished", "completed"]
    assert result.jobs["end_s"].to_list() == [None, 50.0]


def test_a_cluster_may_stand_idle_for_a_while() -> None:
    result = play(jobs(), "1x8", lambda view: [4 if view.now_s >= 5000 else 0])
    assert result.jobs["end_s"].to_list() == [5100.0]
