"""Orders that learn during the run."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.engine.layout import F8, I8
from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.engine.rerank import rerank
from apportion.engine.run import Engine
from apportion.model.errors import PolicyError
from apportion.policies.protocol import Jobs, Policy
from apportion.policies.registry import parse_policy
from apportion.study.load import at_load


@pytest.fixture(scope="module")
def world() -> tuple[ap.Workload, ap.Cluster]:
    cluster = ap.parse_cluster("4x8")
    return at_load(ap.load("synthetic:philly?jobs=900&seed=2").workload, cluster, 1.1), cluster


class Late:
    """Tells the true run times only just before the jobs come."""

    hopeful = False

    def __init__(self, submit_s: F8, keys: F8, step_s: float) -> None:
        self.next_s, self._submit_s, self._keys, self._step_s = -np.inf, submit_s, keys, step_s

    def look(self, engine: Engine) -> None:
        now = engine.number("now")
        rows: I8 = np.flatnonzero(self._submit_s <= now + self._step_s)
        rerank(engine, rows, self._keys[rows])
        self.next_s = now + self._step_s if rows.size < self._keys.size else np.inf


class LateShortestFirst:
    """Shortest job first with keys that come late."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s

    def plan(self, jobs: Jobs) -> OrderPlan:
        table = jobs.workload.table
        times = table["submit_s"].to_numpy(), table["duration_s"].to_numpy()
        return OrderPlan(KEY_STATIC, np.zeros(len(table)), watcher=Late(*times, self._step_s))


@pytest.mark.parametrize("backfill", ["skip", "strict", "easy"])
@pytest.mark.parametrize("step_s", [600.0, 86_400.0])
def test_keys_that_come_late_order_like_keys_known_before(
    world: tuple[ap.Workload, ap.Cluster], backfill: str, step_s: float
) -> None:
    policy = Policy("late", LateShortestFirst(step_s), parse_policy("sjf").placement)
    late = ap.simulate(*world, policy, backfill=backfill, check=True)
    early = ap.simulate(*world, "sjf", backfill=backfill)
    assert late.jobs["start_s"].equals(early.jobs["start_s"])


@pytest.mark.parametrize("policy", ["qssf[predict=mean]", "sjf[predict=median,update=10m]", "qssf[retrain=1d]"])
def test_nobody_looks_ahead(world: tuple[ap.Workload, ap.Cluster], policy: str) -> None:
    """Jobs that end late can take any time: until the first of them would have ended all goes as before."""
    workload, cluster = world
    first = ap.simulate(workload, cluster, policy, check=True)
    moment = float(np.median(first.jobs["submit_s"]))
    late = first.jobs["end_s"] > moment
    table = workload.table.with_columns(
        duration_s=pl.when(late).then(pl.col("duration_s") * 3 + 100).otherwise("duration_s")
    )
    second = ap.simulate(ap.Workload(table), cluster, policy)
    begun = first.jobs["start_s"] <= moment
    assert first.jobs.filter(begun)["start_s"].equals(second.jobs.filter(begun)["start_s"])
    assert not first.jobs["start_s"].equals(second.jobs["start_s"])


def test_learning_beats_not_knowing() -> None:
    """One user's jobs are long, the other's short, and there is always a queue."""
    n = 400
    long = np.random.default_rng(1).random(n) < 0.3
    table = pl.DataFrame({
        "job_id": [str(i) for i in range(n)],
        "user": np.where(long, "long", "short"),
        "submit_s": 60.0 * np.arange(n),
        "duration_s": np.where(long, 3000.0, 300.0),
        "gpus": 1,
    })  # fmt: skip
    world = ap.Workload.of(table), ap.parse_cluster("pool:16")
    mean = {p: ap.simulate(*world, p).jobs["jct_s"].mean() for p in ("fifo", "sjf[predict=sju,update=5m]", "sjf")}
    assert mean["sjf"] <= mean["sjf[predict=sju,update=5m]"] < 0.9 * mean["fifo"]


def test_the_same_run_twice(world: tuple[ap.Workload, ap.Cluster]) -> None:
    runs = [ap.simulate(*world, "qssf[predict=qssf]").jobs for _ in range(2)]
    assert runs[0].equals(runs[1])


def test_retrain_alone_is_the_papers_blend() -> None:
    assert parse_policy("qssf[retrain=7d]").order == parse_policy("qssf[predict=qssf,retrain=7d]").order


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("qssf[predict=gbtd]", "qssf: found predict=gbtd, expected .*did you mean"),
        ("sjf[predict=mean,on=estimate]", "sjf: found predict=mean and on="),
        ("sjf[retrain=1d]", "sjf: found retrain= or update= without predict="),
        ("qssf[predict=mean,update=0.5]", "qssf: found update=0.5, expected at least 1"),
    ],
)
def test_mistakes(policy: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse_policy(policy)
