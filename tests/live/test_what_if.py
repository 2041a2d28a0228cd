"""The live state forked: no change is no difference, and changes do what they must; capacity plans are minimal."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from situations import busy_run, nodes, running, situation, waiting

import apportion as ap
from apportion.live.changes import Add, Drain, parse_change
from apportion.live.situation import Situation
from apportion.live.what_if import what_if
from apportion.model.errors import InputError
from apportion.policies.registry import parse_policy
from apportion.study.plan_capacity import plan_capacity
from apportion.study.situation_at import history_at, situation_at
from apportion.study.target import parse_target


@pytest.fixture(scope="module")
def busy() -> tuple[Situation, pl.DataFrame]:
    """Return a moment at which jobs wait, and the history."""
    result = busy_run(1500, 5)
    time = float(result.workload.table["submit_s"][1400])
    return situation_at(result, time), history_at(result, time)


def test_no_change_is_no_difference(busy: tuple[Situation, pl.DataFrame]) -> None:
    at, history = busy
    same = what_if(at, parse_policy("fifo"), [], history, draws=5)
    assert same.waiting > 3
    for measure in same.measures.values():
        assert measure.before.tolist() == measure.after.tolist()
        assert measure.difference == 0 and measure.spread() == (0.0, 0.0)
    json.dumps(same.summary())
    assert "nothing" in same.sentences()[0]


def test_nodes_and_policies_make_a_difference(busy: tuple[Situation, pl.DataFrame]) -> None:
    at, history = busy
    policy = parse_policy("fifo")
    more = what_if(at, policy, [parse_change("+8x8", at)], history, draws=5)
    assert more.measures["mean_wait_s"].difference < 0
    less = what_if(at, policy, [Drain(tuple(at.cluster.table["node"][:8]))], history, draws=5)
    assert less.measures["mean_wait_s"].difference > 0
    other = what_if(at, policy, [], history, draws=5, other_policy=parse_policy("smallest"))
    assert other.measures["mean_wait_s"].difference != 0
    assert "smallest instead of fifo" in other.sentences()[0]


def test_one_job_with_another_request() -> None:
    at = situation(nodes({"gpus": 8}), [running("a", 6, "n0"), waiting("x", 4), waiting("y", 1)])
    found = what_if(at, parse_policy("fifo"), [parse_change("x:gpus=2", at)], job_id="x", draws=4)
    assert found.measures["job_wait_s"].before.min() > 0
    assert found.measures["job_wait_s"].after.tolist() == [0.0] * 4
    with pytest.raises(InputError, match="expected one that waits"):
        what_if(at, parse_policy("fifo"), job_id="a")
    with pytest.raises(InputError, match="at least 1"):
        what_if(at, parse_policy("fifo"), draws=0)


def test_gpu_use_counts_what_runs() -> None:
    at = situation(nodes({"gpus": 8}), [running("a", 6, "n0", limit_s=90_000.0, duration_s=90_000.0)])
    found = what_if(at, parse_policy("fifo"), [Add({"gpus": 8}, 1)], draws=3, hours=0.01)
    assert found.measures["gpu_use"].before == pytest.approx(np.full(3, 6 / 8))
    assert found.measures["gpu_use"].after == pytest.approx(np.full(3, 6 / 16))


def queue(jobs: int) -> ap.Workload:
    """Return jobs of 8 GPUs and 100 s that all come at once."""
    return ap.Workload.of(pl.DataFrame({"submit_s": [0.0] * jobs, "duration_s": [100.0] * jobs, "gpus": [8] * jobs}))


@pytest.mark.parametrize(("target", "nodes_needed"), [
    ("max wait < 100s", 12), ("max wait <= 100s", 6), ("mean wait <= 100s", 4), ("p50 wait <= 0s", 6),
])  # fmt: skip
def test_a_plan_is_minimal(target: str, nodes_needed: int) -> None:
    plan = plan_capacity(queue(12), ap.parse_cluster("1x8"), "fifo", target)
    assert plan.best is not None and plan.best.count == nodes_needed - 1
    goal = parse_target(target)
    for count, met in ((nodes_needed, True), (nodes_needed - 1, False)):
        result = ap.simulate(queue(12), ap.parse_cluster(f"{count}x8"), "fifo")
        assert goal.met(goal.value(result)) == met
    assert "needs" in plan.sentences()[0]
    json.dumps(plan.summary())


def test_plans_that_need_nothing_or_cannot_be() -> None:
    assert plan_capacity(queue(2), ap.parse_cluster("2x8"), "fifo", "max wait <= 0s").reached
    never = plan_capacity(queue(8), ap.parse_cluster("1x8"), "fifo", "mean jct < 100s", most=16)
    assert not never.reached and never.best is None and "not reached" in never.sentences()[0]


def test_the_cheapest_kind_wins() -> None:
    cluster = ap.Cluster.of(pl.DataFrame([{"gpus": 8, "price_usd_per_h": 20.0}, {"gpus": 16, "price_usd_per_h": 30.0}]))
    plan = plan_capacity(queue(12), cluster, "fifo", "max wait < 100s")
    # 3 jobs at once as it is, 9 more to go: nine of 8 GPUs or five of 16
    assert [(o.kind["gpus"], o.count, o.cost) for o in plan.options] == [(16, 5, 150.0), (8, 9, 180.0)]
    own = plan_capacity(queue(12), cluster, "fifo", "max wait < 100s", kinds=["32"], most=9)
    assert own.best is not None and own.best.count == 3 and own.best.unit == "GPUs"


def test_a_plan_from_the_live_situation(busy: tuple[Situation, pl.DataFrame]) -> None:
    at, history = busy
    plan = plan_capacity(at, None, "fifo", "p95 wait < 10m", history=history)
    assert plan.best is not None and plan.best.value_s < 600 <= plan.best.value_less_s


@pytest.mark.parametrize("text", ["p95 wait", "p0 wait < 1m", "p101 jct < 1m", "mean speed < 2h", "p95 wait > 3m"])
def test_targets_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="expected one such as"):
        parse_target(text)
