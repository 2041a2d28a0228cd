"""What the controller remembers, across crashes, versions and readers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import polars as pl
import pytest
from worlds_live import cluster

from apportion.live import store as module
from apportion.live.backend import JOB_COLUMNS, RUNNING, WAITING, Observation, conform
from apportion.live.learn import learn
from apportion.live.memory import HISTORY, Memory
from apportion.live.store import MIGRATIONS
from apportion.model.errors import InputError, UsageError

NODES = pl.DataFrame({"node": ["n0"], "gpus": [4], "gpu_model": ["A"]})


def seen(now: float, **jobs: tuple[str, float | None]) -> Observation:
    """Return an observation of jobs: name -> state, start."""
    rows = [
        {"job_id": job, "user": "ann", "group": "g", "name": "train", "submit_s": 0.0, "gpus": 2, "state": state,
         "started_s": started, "nodes": ["n0"] if started is not None else []}
        for job, (state, started) in jobs.items()
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema_overrides={"started_s": pl.Float64, "nodes": pl.List(pl.String)})
    return Observation(now, cluster(1).table, conform(frame, JOB_COLUMNS)) if rows else Observation(
        now, cluster(1).table, conform(pl.DataFrame({"job_id": []}), JOB_COLUMNS)
    )  # fmt: skip


def test_a_life(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    memory = Memory(path)
    for look in (
        seen(0, a=(WAITING, None)),
        seen(10, a=(RUNNING, 10.0)),
        seen(40, a=(WAITING, None)),  # suspended after 30 s
        seen(50, a=(RUNNING, 50.0)),
        seen(70),  # gone: it ended
    ):
        learn(memory, look, {})
    assert memory.open == {}
    assert memory.history().select("job_id", "duration_s", "gpus").rows() == [("a", 50.0, 2)]
    assert memory.served() == {"user": {"ann": 100.0}, "group": {"g": 100.0}}
    memory.close()
    again = Memory(path)
    assert again.history().select("job_id", "duration_s").rows() == [("a", 50.0)]
    assert again.served()["user"] == {"ann": 100.0}
    again.close()


def test_a_restart_knows_who_runs(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m")
    learn(memory, seen(0, a=(WAITING, None), b=(RUNNING, 0.0)), {})
    known = dict(memory.open)
    memory.close()
    again = Memory(tmp_path / "m")
    assert again.open == known
    assert again.open["b"].started_s == 0.0
    again.close()


def test_a_job_that_comes_back_goes_on(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m")
    learn(memory, seen(0, a=(RUNNING, 0.0)), {})
    number = memory.open["a"].number
    learn(memory, seen(20), {})
    assert memory.history().height == 1
    learn(memory, seen(30, a=(WAITING, None)), {})
    assert (memory.open["a"].number, memory.open["a"].attained_s) == (number, 20.0)
    assert memory.history().height == 0
    memory.close()


def test_the_order_of_commands_is_the_order_of_waiting(tmp_path: Path) -> None:
    memory = Memory(":memory:")
    learn(memory, seen(0, a=(RUNNING, 0.0), b=(RUNNING, 0.0)), {})
    learn(memory, seen(5, a=(WAITING, None), b=(WAITING, None)), {"b": 0, "a": 1})
    assert memory.open["b"].sequence < memory.open["a"].sequence


def test_what_is_half_learnt_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(":memory:")
    learn(memory, seen(0, a=(RUNNING, 0.0)), {})

    def broken(rows: object) -> None:
        raise RuntimeError("pulled out")

    monkeypatch.setattr(memory, "admit", broken)
    with pytest.raises(RuntimeError):
        learn(memory, seen(9, a=(WAITING, None), b=(WAITING, None)), {})
    assert memory.open["a"].started_s == 0.0
    assert memory.served() == {"user": {}, "group": {}}


def test_one_controller_at_a_time(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m")
    with pytest.raises(UsageError, match=r"another controller is in charge \(.*pid \d+.*is locked"):
        Memory(tmp_path / "m")
    memory.beat(5.0)
    reader = Memory.reading(tmp_path / "m")
    leader = reader.leader()
    assert leader is not None and leader["time_s"] == 5.0
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.set_fact("a", "b")
    reader.close()
    memory.close()
    Memory(tmp_path / "m").close()


def test_a_reader_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Memory.reading(tmp_path / "m")


def test_what_is_no_memory_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("This is a letter, not a database, and it is long enough to be read as one.\n" * 20)
    with pytest.raises(InputError, match="cannot be used as the controller's memory"):
        Memory(tmp_path / "m")


def test_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    Memory(tmp_path / "m").close()
    base = sqlite3.connect(tmp_path / "m")
    base.execute(f"pragma user_version={len(MIGRATIONS) + 1}")
    base.close()
    with pytest.raises(InputError, match="newer apportion"):
        Memory(tmp_path / "m")


def test_an_older_version_is_brought_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(tmp_path / "m")
    learn(memory, seen(0, a=(WAITING, None)), {})
    memory.close()
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, "create table more (a integer);"))
    with pytest.raises(InputError, match="start its controller"):
        Memory.reading(tmp_path / "m")
    memory = Memory(tmp_path / "m")
    assert set(memory.open) == {"a"}
    assert memory.base.execute("select count(*) from more").fetchone() == (0,)
    memory.close()


def test_pruning_keeps_what_is_needed(tmp_path: Path) -> None:
    memory = Memory(":memory:")
    learn(memory, seen(0, a=(RUNNING, 0.0), b=(WAITING, None)), {})
    learn(memory, seen(10, b=(WAITING, None)), {})
    memory.log([(5.0, 0, "start", "a", ("n0", "n1"), "told", "")])
    memory.log([(99 * 86400.0, 1, "start", "b", (), "refused", "no\nway")])
    assert memory.prune(100 * 86400.0) == 1
    assert memory.decisions()["message"].to_list() == ["no\nway"]
    assert memory.history().height == 1  # among the last ones
    assert set(memory.open) == {"b"}
    assert HISTORY > 1


def test_the_picture_is_what_was_seen() -> None:
    memory = Memory(":memory:")
    assert memory.picture() is None
    look = seen(3, a=(RUNNING, 1.0))
    memory.draw(look)
    kept = memory.picture()
    assert kept is not None
    assert kept.time_s == 3 and kept.jobs.equals(look.jobs) and kept.nodes.equals(look.nodes)
