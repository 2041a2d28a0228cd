"""What the controller has to remember, in SQLite: the history of jobs, what was decided, and what came of it.

What is so now is never read from here: it is observed. The file survives a crash at any point (write-ahead log); one
controller at a time writes it, which a lock on a file beside it sees to.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from apportion.model.errors import UsageError

SCHEMA = """
create table if not exists jobs (
    job_id text primary key, number integer not null, user text, grp text, name text, submit_s real,
    tasks integer, gpus integer, gpu_milli integer, cpu_milli integer, memory_mib integer, gpu_models text,
    attained_s real not null default 0, preemptions integer not null default 0,
    started_s real, ended_s real, first_started_s real
);
create index if not exists jobs_ended on jobs (ended_s);
create table if not exists decisions (
    id integer primary key, time_s real not null, cycle integer not null, action text not null,
    job_id text not null, nodes text, outcome text, message text
);
create index if not exists decisions_job on decisions (job_id);
create table if not exists facts (key text primary key, value text);
"""
HISTORY = 2000
"""Ended jobs that the controller looks back on."""


@dataclass
class Known:
    """What is remembered of a job that has not ended."""

    number: int
    attained_s: float = 0.0
    preemptions: int = 0
    started_s: float | None = None


class Memory:
    """The controller's file.

    Parameters
    ----------
    path: of the SQLite file; `:memory:` forgets.

    Raises
    ------
    UsageError: another controller uses the file.
    """

    def __init__(self, path: str | Path) -> None:
        self._lock: IO[str] | None = None
        self.path = str(path)
        if self.path != ":memory:":
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(Path(f"{self.path}.lock"))
        self.base = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self.base.execute("pragma journal_mode=wal")
        self.base.execute("pragma synchronous=normal")
        self.base.executescript(SCHEMA)
        self.open: dict[str, Known] = {
            job: Known(number, attained, preemptions, started)
            for job, number, attained, preemptions, started in self.base.execute(
                "select job_id, number, attained_s, preemptions, started_s from jobs where ended_s is null"
            )
        }
        self._next = int(self.base.execute("select coalesce(max(number), -1) + 1 from jobs").fetchone()[0])
        self._history: pl.DataFrame | None = None
        self._served: dict[str, dict[str, float]] | None = None

    def close(self) -> None:
        """Close the file and let go of the lock."""
        self.base.close()
        if self._lock is not None:
            self._lock.close()

    def fact(self, key: str, default: str = "") -> str:
        """Return a fact."""
        row = self.base.execute("select value from facts where key = ?", (key,)).fetchone()
        return str(row[0]) if row else default

    def set_fact(self, key: str, value: str) -> None:
        """Set a fact."""
        self.base.execute("insert or replace into facts values (?, ?)", (key, value))

    def admit(self, rows: Iterable[dict[str, Any]]) -> None:
        """Remember jobs that were not known; `rows` have the columns of observed jobs."""
        values = []
        for row in rows:
            self.open[row["job_id"]] = Known(self._next)
            values.append(
                (
                    row["job_id"], self._next, row["user"], row["group"], row["name"], row["submit_s"], row["tasks"],
                    row["gpus"], row["gpu_milli"], row["cpu_milli"], row["memory_mib"], json.dumps(row["gpu_models"]),
                )
            )  # fmt: skip
            self._next += 1
        self.base.executemany(
            "insert or replace into jobs (job_id, number, user, grp, name, submit_s, tasks, gpus, gpu_milli, cpu_milli,"
            " memory_mib, gpu_models) values (?,?,?,?,?,?,?,?,?,?,?,?)",
            values,
        )

    def begin(self, job: str, started_s: float) -> None:
        """Note that a job was seen running since `started_s`."""
        self.open[job].started_s = started_s
        self.base.execute(
            "update jobs set started_s = ?, first_started_s = coalesce(first_started_s, ?) where job_id = ?",
            (started_s, started_s, job),
        )

    def suspend(self, job: str, at_s: float) -> None:
        """Note that the current run of a job was cut short."""
        known = self.open[job]
        if known.started_s is not None:
            known.attained_s += max(at_s - known.started_s, 0.0)
            known.preemptions += 1
        known.started_s = None
        self.base.execute(
            "update jobs set attained_s = ?, preemptions = ?, started_s = null where job_id = ?",
            (known.attained_s, known.preemptions, job),
        )

    def end(self, job: str, at_s: float) -> None:
        """Note that a job is over."""
        known = self.open.pop(job)
        attained = known.attained_s + (max(at_s - known.started_s, 0.0) if known.started_s is not None else 0.0)
        self.base.execute("update jobs set attained_s = ?, ended_s = ? where job_id = ?", (attained, at_s, job))
        self._history = self._served = None

    def history(self) -> pl.DataFrame:
        """Return the last jobs that ended after having run, oldest first, as rows of a workload with `number`."""
        if self._history is None:
            names = (
                "job_id", "number", "user", "group", "name", "submit_s", "tasks", "gpus", "gpu_milli", "cpu_milli",
                "memory_mib", "gpu_models", "duration_s",
            )  # fmt: skip
            rows = self.base.execute(
                "select job_id, number, user, grp, name, submit_s, tasks, gpus, gpu_milli, cpu_milli, memory_mib,"
                " gpu_models, attained_s from jobs where ended_s is not null and attained_s > 0"
                " order by ended_s desc, number desc limit ?",
                (HISTORY,),
            ).fetchall()
            kinds = [pl.String, pl.Int64, *[pl.String] * 3, pl.Float64, *[pl.Int32] * 3, *[pl.Int64] * 2, pl.String]
            schema = dict(zip(names, [*kinds, pl.Float64], strict=True))
            frame = pl.DataFrame(rows[::-1], schema=schema, orient="row")
            models = [json.loads(text) for text in frame["gpu_models"]]
            self._history = frame.with_columns(gpu_models=pl.Series(models, dtype=pl.List(pl.String)))
        return self._history

    def served(self) -> dict[str, dict[str, float]]:
        """Return, by user and by group, the GPU-seconds of all runs that are over."""
        if self._served is None:
            total = "sum(attained_s * coalesce(tasks, 1) * coalesce(gpus, 0) * coalesce(gpu_milli, 1000) / 1000.0)"
            self._served = {
                name: {str(key): float(value) for key, value in self.base.execute(query)}
                for name, query in (
                    ("user", f"select user, {total} from jobs group by user"),
                    ("group", f"select grp, {total} from jobs group by grp"),
                )
            }
        return self._served

    def log(self, entries: Sequence[tuple[float, int, str, str, tuple[str, ...], str, str]]) -> None:
        """Add decisions: (time, cycle, action, job, nodes, outcome, message)."""
        self.base.executemany(
            "insert into decisions (time_s, cycle, action, job_id, nodes, outcome, message) values (?,?,?,?,?,?,?)",
            [
                (t, c, action, job, ",".join(nodes), outcome, message)
                for t, c, action, job, nodes, outcome, message in entries
            ],
        )

    def decisions(self, job: str | None = None, limit: int = 100) -> pl.DataFrame:
        """Return the last decisions, newest first."""
        where, given = ("where job_id = ?", (job, limit)) if job else ("", (limit,))
        cursor = self.base.execute(
            f"select time_s, cycle, action, job_id, nodes, outcome, message from decisions {where}"
            " order by id desc limit ?",
            given,
        )
        kinds = [pl.Float64, pl.Int64, *[pl.String] * 5]
        names = [column[0] for column in cursor.description]
        return pl.DataFrame(cursor.fetchall(), schema=dict(zip(names, kinds, strict=True)), orient="row")


def _locked(path: Path) -> IO[str]:
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        holder = handle.read().strip() or "another process"
        handle.close()
        raise UsageError(f"another controller is in charge ({holder}); {path} is locked") from None
    handle.truncate(0)
    handle.write(f"{socket.gethostname()} pid {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
    handle.flush()
    return handle
