"""The controller's file: its form, its lock, and what is kept of decisions and of what was so.

An SQLite file with a write-ahead log, which survives a crash at any point. One controller at a time writes it, which a
lock on a file beside it sees to; others read it.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

import polars as pl

from apportion.live.backend import Observation
from apportion.model.errors import InputError, UsageError

MIGRATIONS = (
    """
    create table jobs (
        job_id text primary key, number integer not null, user text, grp text, name text, submit_s real,
        tasks integer, gpus integer, gpu_milli integer, cpu_milli integer, memory_mib integer, gpu_models text,
        apart integer, preemptible integer, attained_s real not null default 0, preemptions integer not null default 0,
        started_s real, ended_s real, first_started_s real, sequence integer not null default 0, nodes text
    );
    create index jobs_ended on jobs (ended_s);
    create table decisions (
        id integer primary key, time_s real not null, cycle integer not null, action text not null,
        job_id text not null, nodes text, outcome text, message text
    );
    create index decisions_job on decisions (job_id);
    create index decisions_time on decisions (time_s);
    create table served (kind text not null, name text not null, gpu_s real not null, primary key (kind, name));
    create table facts (key text primary key, value text);
    create table pictures (name text primary key, time_s real not null, nodes blob, jobs blob);
    """,
    """
    create table predictions (
        job_id text not null, number integer not null, hour integer not null, time_s real not null,
        policy text not null, waits blob not null, primary key (number, hour)
    );
    """,
)
"""The n-th takes a file from version n to version n + 1 (`pragma user_version`)."""
KEEP_DAYS = 90.0
"""How long decisions and ended jobs are kept."""
BUSY_MS = 5000
"""How long a reader's lock is waited for."""
Entry = tuple[float, int, str, str, tuple[str, ...], str, str]
"""A decision: time, cycle, action, job, nodes, outcome, message."""


class Store:
    """The file.

    Parameters
    ----------
    path: of the SQLite file; `:memory:` forgets. read_only: look at it without being in charge.

    Raises
    ------
    UsageError: another controller uses the file. InputError: it is not such a file, or of a newer version.
    """

    def __init__(self, path: str | Path, read_only: bool = False) -> None:
        self._lock: IO[str] | None = None
        self.path = str(path)
        self.read_only = read_only
        self.base = self._opened()
        try:
            self._upgrade()
            self._load()
        except sqlite3.DatabaseError as error:
            self.close()
            raise InputError(f"cannot be used as the controller's memory: {error}", file=Path(self.path)) from None
        except BaseException:
            self.close()
            raise

    def _opened(self) -> sqlite3.Connection:
        file = Path(self.path)
        if self.read_only:
            if not file.is_file():
                raise InputError("no such file; a controller writes it (--memory FILE)", file=file)
            return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        if self.path != ":memory:":
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"cannot make the folder: {error.strerror}", file=file.parent) from None
            self._lock = _locked(Path(f"{self.path}.lock"))
        try:
            return sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise InputError(f"cannot be opened: {error}", file=file) from None

    def _upgrade(self) -> None:
        self.base.execute(f"pragma busy_timeout={BUSY_MS}")
        version = int(self.base.execute("pragma user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise InputError(
                f"found version {version} of the memory, expected at most {len(MIGRATIONS)}: "
                "it was written by a newer apportion",
                file=Path(self.path),
            )
        if self.read_only:
            if version < len(MIGRATIONS):
                raise InputError(f"found version {version} of the memory; start its controller", file=Path(self.path))
            return
        self.base.execute("pragma journal_mode=wal")
        self.base.execute("pragma synchronous=normal")
        for number in range(version, len(MIGRATIONS)):
            self.base.executescript(f"begin; {MIGRATIONS[number]} pragma user_version={number + 1}; commit;")

    def _load(self) -> None:
        """Read what is kept at hand; again when a block of changes was taken back."""

    @classmethod
    def reading(cls, path: str | Path) -> Self:
        """Open the file of a controller, which may be running, to look at it."""
        return cls(path, read_only=True)

    def close(self) -> None:
        """Close the file and let go of the lock."""
        if hasattr(self, "base"):
            self.base.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write all of the block or nothing; what this object says is as in the file afterwards, either way."""
        self.base.execute("begin immediate")
        try:
            yield
            self.base.execute("commit")
        except BaseException:
            if self.base.in_transaction:
                self.base.execute("rollback")
            self._load()
            raise

    def fact(self, key: str, default: str = "") -> str:
        """Return a fact."""
        row = self.base.execute("select value from facts where key = ?", (key,)).fetchone()
        return str(row[0]) if row else default

    def set_fact(self, key: str, value: str) -> None:
        """Set a fact."""
        self.base.execute("insert or replace into facts values (?, ?)", (key, value))

    def state(self) -> dict[str, Any]:
        """Return what the policy in charge remembers (`live.recall`), {} = nothing."""
        return self._state

    def keep(self, state: dict[str, Any]) -> None:
        """Remember this for the policy in charge."""
        self.set_fact("state", json.dumps(state, separators=(",", ":")))
        self._state = state

    def beat(self, now_s: float) -> None:
        """Note who is in charge, and that it still is (`now_s`: seconds since the epoch)."""
        self.set_fact("leader", json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "time_s": now_s}))

    def leader(self) -> dict[str, Any] | None:
        """Return `host`, `pid` and `time_s` of the controller that was last in charge, or None."""
        text = self.fact("leader")
        return dict(json.loads(text)) if text else None

    def log(self, entries: Sequence[Entry]) -> None:
        """Add decisions: (time, cycle, action, job, nodes, outcome, message)."""
        if not entries:
            return
        with self.together():
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

    def draw(self, observation: Observation, name: str = "now") -> None:
        """Keep what is so, for those who look at the file (`apportion top`, `apportion why`)."""
        self.base.execute(
            "insert or replace into pictures values (?, ?, ?, ?)",
            (name, observation.time_s, _packed(observation.nodes), _packed(observation.jobs)),
        )

    def picture(self, name: str = "now") -> Observation | None:
        """Return what was so when the controller last drew it, or None."""
        row = self.base.execute("select time_s, nodes, jobs from pictures where name = ?", (name,)).fetchone()
        if row is None:
            return None
        return Observation(float(row[0]), *(pl.read_ipc(io.BytesIO(blob)) for blob in row[1:]))


def _packed(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_ipc(out, compression="lz4")
    return out.getvalue()


def _locked(path: Path) -> IO[str]:
    try:
        handle = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", file=path) from None
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
