"""The service around the controller: patience, a log, metrics, shadow mode, and `top`."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import polars as pl
import pytest
from worlds_live import KnownRunTimes, cluster, workload

from apportion.live import shadow
from apportion.live.aside import Aside
from apportion.live.backend import BackendError, Observation, Recorder, Refusal
from apportion.live.controller import Controller
from apportion.live.glance import glance
from apportion.live.log import Log
from apportion.live.memory import Memory
from apportion.live.metrics import Metrics, MetricsServer
from apportion.live.run import LONGEST_WAIT_S, Service
from apportion.live.simulated import SimulatedCluster, drive
from apportion.model.errors import UsageError
from apportion.policies.registry import parse_policy


class Moody(SimulatedCluster):
    """Does not answer the first times."""

    moods = 2

    def observe(self) -> Observation:
        if self.moods:
            self.moods -= 1
            raise BackendError("not today")
        return super().observe()


def service(folder: Path, backend: SimulatedCluster, policy: str = "fifo") -> Service:
    controller = Controller(backend, parse_policy(policy), Memory(folder / "m.sqlite"))
    metrics = Metrics(policy, 'a "quoted"\\name\n', clock=lambda: 1000.0)
    return Service(controller, Log(folder / "log"), metrics, poll_s=0.001, clock=lambda: 1000.0)


def test_it_is_patient_and_says_so(tmp_path: Path) -> None:
    backend = Moody(workload(1), cluster())
    backend.advance(100.0)
    run = service(tmp_path, backend)
    assert run.run(cycles=4) == 2
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    names = [event["event"] for event in events]
    assert names[:4] == ["began", "trouble", "trouble", "recovered"]
    assert names[-1] == "ended"
    assert events[1]["message"] == "not today"
    run._failures = 40
    assert run._pause(None) == min(0.001 * 2**16, LONGEST_WAIT_S)


def test_who_is_in_charge_is_written_down(tmp_path: Path) -> None:
    backend = SimulatedCluster(workload(1), cluster())
    backend.advance(100.0)
    service(tmp_path, backend).run(cycles=1)
    reader = Memory.reading(tmp_path / "m.sqlite")
    leader = reader.leader()
    assert leader is not None and leader["time_s"] == 1000.0
    assert reader.fact("policy") == "fifo"
    reader.close()


def test_a_users_text_forges_no_line(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.write("command", 1.0, message='x"}\n{"event": "forged"}\r\x1b[2J')
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert json.loads(line)["message"].endswith("\x1b[2J")
    assert "\x1b" not in line


def test_a_log_that_was_moved_away_begins_anew(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.write("one", 1.0)
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.write("two", 2.0)
    assert "two" in (tmp_path / "log").read_text() and "one" in (tmp_path / "log.1").read_text()


def test_metrics_are_served(tmp_path: Path) -> None:
    backend = SimulatedCluster(workload(1), cluster())
    backend.advance(300.0)
    run = service(tmp_path, backend)
    run.run(cycles=1)
    server = MetricsServer(run.metrics, 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
            text = answer.read().decode()
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz") as answer:
            assert answer.status == 200
        run.metrics.clock = lambda: 5000.0
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/secrets")
        with pytest.raises(UsageError, match="cannot serve metrics"):
            MetricsServer(run.metrics, server.port)
    finally:
        server.close()
    assert 'apportion_gpus{model="A",state="total"} 8' in text
    assert 'apportion_commands_total{action="start",outcome="told"}' in text
    assert 'cluster="a \\"quoted\\"\\\\name\\n"' in text
    assert "apportion_leader 1" in text
    for line in text.splitlines():
        assert line.startswith("#") or (len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0)


def test_what_is_refused_again_and_again_is_set_aside() -> None:
    aside = Aside()
    for time in (0.0, 1.0, 2.0):
        assert aside.until(time) == set()
        aside.note([Refusal("a", "no")], ["a", "b"], time)
    assert aside.until(3.0) == {"a"}
    assert aside.until(63.0) == set()
    aside.note([Refusal("a", "no")], ["a"], 63.0)
    assert aside.until(150.0) == {"a"}
    aside.forget({"a": "running"})
    assert aside.until(150.0) == set()


def watched(policy: str) -> tuple[Memory, SimulatedCluster]:
    """Let fifo run a cluster while another policy watches."""
    work = workload(5, gap_s=20.0)
    backend = SimulatedCluster(work, cluster(3))
    controller = Controller(backend, parse_policy("fifo"), Memory(":memory:"))
    memory = Memory(":memory:")
    watcher = Controller(Recorder(backend, theirs=True), parse_policy(policy), memory, watching=True)

    def cycle() -> float:
        seen = watcher.cycle().observation
        assert seen is not None
        if memory.picture(shadow.FIRST) is None:
            memory.draw(seen, shadow.FIRST)
        return controller.cycle().wake_s

    drive(backend, cycle)
    watcher.cycle()
    memory.draw(backend.observe())
    return memory, backend


def test_the_shadow_of_the_policy_in_charge_agrees_with_it() -> None:
    memory, backend = watched("fifo")
    found = shadow.compare(memory, parse_policy("fifo"))
    assert found.jobs.height == len(backend.starts)
    assert found.summary()["agree"] == found.jobs.height
    assert found.summary()["cluster_mean_wait_s"] == pytest.approx(found.summary()["policy_mean_wait_s"])


def test_another_policy_would_have_started_others_earlier() -> None:
    memory, backend = watched("sjf")
    known = shadow.compare(memory, parse_policy("sjf"), run_times=KnownRunTimes(backend.workload)).summary()
    assert known["earlier"] > 0 and known["later"] > 0
    assert known["policy_mean_wait_s"] < known["cluster_mean_wait_s"]
    decisions = memory.decisions(limit=1000)
    assert set(decisions["outcome"]) == {"would"}
    # what would be told is noted once, not in every cycle
    assert decisions.group_by("cycle", "action", "job_id").len()["len"].max() == 1
    for line in shadow.compare(memory, parse_policy("sjf")).sentences():
        assert "None" not in line and "nan" not in line


def test_top_shows_what_the_file_says(tmp_path: Path) -> None:
    pytest.importorskip("textual", reason="textual is not installed: `apportion top` has only --once")
    from textual.widgets import DataTable, Static

    from apportion.live.top import Top

    work = workload(1)
    named = work.table.with_columns(user=pl.lit("[bold]x\x1b"))
    backend = SimulatedCluster(type(work).of(named), cluster(2))
    backend.advance(400.0)
    service(tmp_path, backend, "sjf").run(cycles=1)

    async def look() -> None:
        app = Top(lambda: glance(tmp_path / "m.sqlite", 1001.0))
        async with app.run_test() as pilot:
            await pilot.pause()
            assert "sjf is in charge" in str(app.query_one("#headline", Static).render())
            queue: DataTable[str] = app.query_one("#table-queue", DataTable)
            assert queue.row_count > 3
            assert "\x1b" not in str(queue.get_row_at(0))
            await pilot.press("r")
            await pilot.press("q")

    asyncio.run(look())


def test_a_silent_controller_is_said_to_be_silent(tmp_path: Path) -> None:
    backend = SimulatedCluster(workload(1), cluster())
    backend.advance(10.0)
    service(tmp_path, backend).run(cycles=1)
    assert "has been silent for" in glance(tmp_path / "m.sqlite", 9000.0).headline
