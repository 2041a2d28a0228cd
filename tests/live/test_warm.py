"""The made-up situation that a policy is warmed up on."""

from __future__ import annotations

import json

import polars as pl
import pytest

from apportion.live import run
from apportion.live.controller import Controller
from apportion.live.log import Log
from apportion.live.memory import Memory
from apportion.live.metrics import Metrics
from apportion.live.run import Service
from apportion.live.simulated import SimulatedCluster
from apportion.live.warm import made_up, warm_up
from apportion.model.cluster import Cluster
from apportion.model.errors import UsageError
from apportion.model.workload import Workload
from apportion.policies.registry import parse_policy


@pytest.mark.parametrize("policy", ["fifo+fgd", "srtf", "fair+best-fit", "round-robin", "qssf+dot-product"])
def test_policies_can_decide_on_it(policy: str) -> None:
    warm_up(policy)


def test_it_has_jobs_of_every_state() -> None:
    assert set(made_up().jobs["state"]) == {"ended", "running", "pending"}


def _service(path, watching: bool = False) -> Service:  # type: ignore[no-untyped-def]
    workload = Workload.of(pl.DataFrame({"job_id": ["a"], "submit_s": [0.0], "duration_s": [5.0]}))
    cluster = SimulatedCluster(workload, Cluster.of(pl.DataFrame({"gpus": [1]})))
    controller = Controller(cluster, parse_policy("sjf"), Memory(":memory:"), watching=watching)
    service = Service(controller, Log(path), Metrics("sjf", "simulated", True), poll_s=0.1)
    service.report = lambda cycle: service.ending.ask()
    return service


def _events(path) -> list[str]:  # type: ignore[no-untyped-def]
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def test_a_service_warms_up_before_its_first_cycle(tmp_path) -> None:  # type: ignore[no-untyped-def]
    _service(tmp_path / "log").run()
    assert _events(tmp_path / "log")[:2] == ["began", "warm"]


def test_who_only_watches_or_runs_some_cycles_does_not(tmp_path) -> None:  # type: ignore[no-untyped-def]
    _service(tmp_path / "some").run(cycles=1)
    _service(tmp_path / "watching", watching=True).run()
    assert "warm" not in _events(tmp_path / "some") + _events(tmp_path / "watching")


def test_a_policy_that_cannot_do_with_it_goes_on_cold(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def refuses(policy: str, backfill: int) -> None:
        raise UsageError("needs more than that")

    monkeypatch.setattr(run, "warm_up", refuses)
    assert _service(tmp_path / "log").run() == 1
    assert "needs more than that" in (tmp_path / "log").read_text()
