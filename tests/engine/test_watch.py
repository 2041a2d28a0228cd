"""Watchers: they look when they want, after what happened up to then, and can open and close nodes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.engine.encode import encode
from apportion.engine.layout import ENDED
from apportion.engine.plan import OrderPlan, PlacementPlan, Settings
from apportion.engine.run import Engine
from apportion.study.simulate import _times


class Clock:
    """Looks at given times; opens and closes node 0."""

    def __init__(self, looks: dict[float, bool | None]) -> None:
        self.looks, self.seen = looks, []
        self._move()

    def _move(self) -> None:
        self.next_s = min(self.looks, default=np.inf)
        self.hopeful = True in self.looks.values()

    def look(self, engine: Engine) -> None:
        table = engine.arrays["jobs"]
        self.seen.append((engine.number("now"), int(np.sum(table["state"] == ENDED)), int(engine.number("arrived"))))
        up = self.looks.pop(self.next_s)
        self._move()
        if up is not None:
            engine.switch(0, up)


def run(watcher: Clock, until: float = np.inf) -> dict[str, list[float]]:
    table = pl.DataFrame({"job_id": ["a", "b"], "submit_s": [10.0, 100.0], "duration_s": [10.0, 10.0], "gpus": [4, 4]})
    workload = ap.Workload.of(table)
    encoded = encode(workload, ap.parse_cluster("1x4"))
    engine = Engine(encoded, _times(workload), OrderPlan(0, np.zeros(2)), PlacementPlan(), Settings(until_s=until))
    log = engine.run(watchers=[watcher])
    return {"start": log.runs["start"].tolist(), "end": log.runs["end"].tolist()}


def test_looks_come_after_what_happened_up_to_them() -> None:
    watcher = Clock(dict.fromkeys([5.0, 10.0, 20.0, 50.0, 105.0, 500.0]))
    assert run(watcher) == {"start": [10.0, 100.0], "end": [20.0, 110.0]}
    assert watcher.seen == [(5.0, 0, 0), (10.0, 0, 1), (20.0, 1, 1), (50.0, 1, 1), (105.0, 1, 2)]


def test_a_closed_node_takes_nothing_until_it_opens() -> None:
    assert run(Clock({5.0: False, 50.0: True})) == {"start": [50.0, 100.0], "end": [60.0, 110.0]}
    assert run(Clock({30.0: False, 500.0: True})) == {"start": [10.0, 500.0], "end": [20.0, 510.0]}


def test_a_run_ends_when_no_watcher_can_help() -> None:
    watcher = Clock({30.0: False, 500.0: None, 900.0: None})
    assert run(watcher) == {"start": [10.0], "end": [20.0]}
    assert len(watcher.seen) <= 2


def test_nobody_looks_after_the_end_that_was_asked_for() -> None:
    watcher = Clock(dict.fromkeys([5.0, 40.0, 60.0]))
    run(watcher, until=50.0)
    assert [at for at, *_ in watcher.seen] == [5.0, 40.0]


@pytest.mark.parametrize("policy", ["fifo", "srtf", "las[quantum=5m]", "fair", "round-robin"])
def test_looking_changes_nothing(policy: str) -> None:
    trace = ap.load("synthetic:philly?jobs=300&seed=2&load=1.2")
    plain = ap.simulate(trace.workload, trace.cluster, policy)
    assert plain.jobs.equals(_looked_at(trace, policy).jobs)


def _looked_at(trace: ap.Trace, policy: str) -> ap.Result:
    from unittest import mock

    original = Engine.run

    def watched(self, decide=None, progress=None, watchers=()):  # type: ignore[no-untyped-def]
        return original(self, decide, progress, [*watchers, Clock(dict.fromkeys(np.arange(0, 1e6, 997.0).tolist()))])

    with mock.patch.object(Engine, "run", watched):
        return ap.simulate(trace.workload, trace.cluster, policy)
