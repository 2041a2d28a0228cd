"""Policies from elsewhere: written in a few lines, or found through an entry point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl
import pytest

import apportion as ap
from apportion.engine.plan import KEY_JOB, OrderPlan, PlacementPlan, job_key_kernel, score_kernel
from apportion.model.errors import PolicyError
from apportion.policies import registry
from apportion.policies.protocol import Jobs, Policy
from apportion.policies.registry import entries, parse_policy


@job_key_kernel
def widest_key(job, now):
    """The job with the most GPUs first."""
    return -job.gpus


@score_kernel
def last_node(node, task):
    """The last node that has room."""
    return -float(node.index)


@dataclass(frozen=True)
class Widest:
    """Most GPUs first."""

    kind: ClassVar[str] = "order"
    rounds: int = 1

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan."""
        return OrderPlan(KEY_JOB, kernel=widest_key)


@dataclass(frozen=True)
class LastNode:
    """The last node first."""

    kind: ClassVar[str] = "placement"

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return PlacementPlan(last_node)


def run(policy: Policy) -> pl.DataFrame:
    """Run five jobs on three nodes of four GPUs."""
    gpus, submit = [1, 4, 4, 2, 4], [0.0, 1.0, 1.0, 1.0, 1.0]
    frame = pl.DataFrame({"submit_s": submit, "duration_s": [10.0] * 5, "gpus": gpus})
    cluster = ap.parse_cluster("3x4")
    return ap.simulate(ap.Workload.of(frame), cluster, policy, check=True).jobs


def test_an_order_and_a_placement_of_ones_own() -> None:
    jobs = run(Policy("widest+last", Widest(), LastNode()))
    assert jobs["start_s"].to_list() == [0.0, 1.0, 1.0, 1.0, 10.0 + 1.0]
    assert jobs["nodes"].to_list() == ["node-0002", "node-0001", "node-0000", "node-0002", "node-0002"]


@dataclass(frozen=True)
class Point:
    """An entry point."""

    name: str
    target: Any

    def load(self) -> Any:
        """Return what it names."""
        return self.target


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Point]]:
    """What another package brings along."""
    points: list[Point] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "apportion.policies" else [])
    registry._foreign.cache_clear()
    yield points
    registry._foreign.cache_clear()


def test_policies_of_another_package(installed: list[Point]) -> None:
    installed += [Point("widest", Widest), Point("last", LastNode)]
    policy = parse_policy("widest[rounds=2]+last")
    assert policy.order == Widest(2)
    assert run(policy).equals(run(Policy("own", Widest(), LastNode())))
    assert [(e.kind, e.name) for e in entries()][-2:] == [("order", "widest"), ("placement", "last")]
    with pytest.raises(PolicyError, match="did you mean 'widest'"):
        parse_policy("wides")
    with pytest.raises(PolicyError, match="widest: found rounds=x, expected a whole number"):
        parse_policy("widest[rounds=x]")


def test_an_entry_point_that_is_no_policy(installed: list[Point]) -> None:
    installed.append(Point("thing", int))
    with pytest.warns(UserWarning, match="'thing'.*expected a class with `decide`, or with `kind`"):
        parse_policy("fifo")
    with pytest.raises(PolicyError, match="unknown policy 'thing'"):
        parse_policy("thing")
