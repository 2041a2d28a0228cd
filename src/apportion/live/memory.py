"""What the controller has to remember, in SQLite: the history of jobs, what was decided, and what came of it.

What is so now is never read from here: it is observed. The file survives a crash at any point (write-ahead log); one
controller at a time writes it, which a lock on a file beside it sees to. Others read it (`Memory.reading`).
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

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
HISTORY = 2000
"""Ended jobs that the controller looks back on."""
KEEP_DAYS = 90.0
"""How long decisions and ended jobs are kept."""
BUSY_MS = 5000
"""How long a reader's lock is waited for."""
_TOGETHER = 1000
"""Rows written by one statement: a first look at a cluster has ten thousand."""
_LAST = 1 << 62
"""Number of a job that is not known."""

Entry = tuple[float, int, str, str, tuple[str, ...], str, str]
"""A decision: time, cycle, action, job, nodes, outcome, message."""

_SHAPE = (
    "user", "group", "name", "submit_s", "tasks", "gpus", "gpu_milli", "cpu_milli", "memory_mib", "gpu_models", "apart",
    "preemptible",
)  # fmt: skip
_IN_SQL = "user, grp, name, submit_s, tasks, gpus, gpu_milli, cpu_milli, memory_mib, gpu_models, apart, preemptible"
_KINDS: tuple[Any, ...] = (
    pl.String, pl.String, pl.String, pl.Float64, pl.Int32, pl.Int32, pl.Int32, pl.Int64, pl.Int64, pl.List(pl.String),
    pl.Boolean, pl.Boolean,
)  # fmt: skip
_HISTORY_SCHEMA = dict(
    zip(("job_id", "number", *_SHAPE, "duration_s"), (pl.String, pl.Int64, *_KINDS, pl.Float64), strict=True)
)


REMEMBERED: dict[str, Any] = {
    "number": pl.Int64, "attained_s": pl.Float64, "preemptions": pl.Int32, "sequence": pl.Int64,
}  # fmt: skip
"""Columns of `Memory.remembered`, each a field of `Known`."""


@dataclass(slots=True)
class Known:
    """What is remembered of a job that has not ended.

    Parameters
    ----------
    number: lasting, in the order in which jobs became known. attained_s: run time of earlier runs. started_s: of the
    current run. sequence: in the order in which jobs came to be as they are (waiting or running). shape: the columns
    that do not change.
    """

    number: int
    attained_s: float = 0.0
    preemptions: int = 0
    started_s: float | None = None
    sequence: int = 0
    shape: tuple[Any, ...] = field(default=("", "", "", 0.0, 1, 0, 1000, 0, 0, (), False, True), repr=False)

    @property
    def milli(self) -> float:
        """Return the milli-GPU of all its tasks."""
        tasks, gpus, each = self.shape[4:7]
        return float((tasks or 1) * (gpus or 0) * (1000 if each is None else each))


class Memory:
    """The controller's file.

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
        rows = self.base.execute(
            f"select job_id, number, attained_s, preemptions, started_s, sequence, {_IN_SQL} from jobs"
            " where ended_s is null"
        )
        self.open: dict[str, Known] = {
            job: Known(number, attained, preemptions, started, sequence, _shape(shape))
            for job, number, attained, preemptions, started, sequence, *shape in rows
        }
        top = self.base.execute("select coalesce(max(number), -1) + 1, coalesce(max(sequence), -1) + 1 from jobs")
        self._next, self._sequence = (int(value) for value in top.fetchone())
        self._remembered: pl.DataFrame | None = None
        self._changed: set[str] = set()  # jobs that `_remembered` says wrong things of
        self._history: pl.DataFrame | None = None
        self._ended: list[tuple[Any, ...]] = []
        self._served: dict[str, dict[str, float]] = {"user": {}, "group": {}}
        for kind, name, gpu_s in self.base.execute("select kind, name, gpu_s from served"):
            self._served[kind][name] = gpu_s

    @classmethod
    def reading(cls, path: str | Path) -> Memory:
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

    def beat(self, now_s: float) -> None:
        """Note who is in charge, and that it still is (`now_s`: seconds since the epoch)."""
        self.set_fact("leader", json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "time_s": now_s}))

    def leader(self) -> dict[str, Any] | None:
        """Return `host`, `pid` and `time_s` of the controller that was last in charge, or None."""
        text = self.fact("leader")
        return dict(json.loads(text)) if text else None

    def admit(self, rows: Iterable[dict[str, Any]]) -> None:
        """Remember jobs that were not known, or were thought to be over; `rows` have the columns of observed jobs."""
        values: list[tuple[Any, ...]] = []
        for row in rows:
            job = row["job_id"]
            if self._revive(job, row["submit_s"]):
                continue
            known = Known(self._next, sequence=self._sequence, shape=tuple(row[name] for name in _SHAPE))
            self.open[job] = known
            self._changed.add(job)
            values.append((job, known.number, known.sequence, *_in_sql(known.shape)))
            self._next += 1
            self._sequence += 1
            if len(values) == _TOGETHER:
                self._insert(values)
                values.clear()
        self._insert(values)

    def _insert(self, values: list[tuple[Any, ...]]) -> None:
        self.base.executemany(
            f"insert or replace into jobs (job_id, number, sequence, {_IN_SQL}) values ({','.join('?' * 15)})", values
        )

    def _revive(self, job: str, submit_s: float) -> bool:
        # the same number submitted at another time is another job: a Slurm that lost its state counts anew
        row = self.base.execute(
            f"select number, attained_s, preemptions, {_IN_SQL} from jobs where job_id = ? and ended_s is not null"
            " and abs(submit_s - ?) < 1",
            (job, submit_s),
        ).fetchone()
        if row is None:
            return False
        number, attained, preemptions, *shape = row
        self.open[job] = Known(number, attained, preemptions, None, self._sequence, _shape(shape))
        self._changed.add(job)
        self.base.execute(
            "update jobs set ended_s = null, started_s = null, sequence = ? where job_id = ?", (self._sequence, job)
        )
        self._sequence += 1
        self._history = None
        return True

    def begin(self, job: str, started_s: float, nodes: Sequence[str] = ()) -> None:
        """Note that a job was seen running since `started_s`."""
        known = self.open[job]
        self._changed.add(job)
        known.started_s, known.sequence = started_s, self._sequence
        self._sequence += 1
        self.base.execute(
            "update jobs set started_s = ?, first_started_s = coalesce(first_started_s, ?), sequence = ?, nodes = ?"
            " where job_id = ?",
            (started_s, started_s, known.sequence, ",".join(nodes), job),
        )

    def suspend(self, job: str, at_s: float) -> None:
        """Note that the current run of a job was cut short."""
        known = self.open[job]
        self._changed.add(job)
        if known.started_s is not None:
            self._serve(known, at_s)
            known.preemptions += 1
        known.started_s, known.sequence = None, self._sequence
        self._sequence += 1
        self.base.execute(
            "update jobs set attained_s = ?, preemptions = ?, started_s = null, sequence = ? where job_id = ?",
            (known.attained_s, known.preemptions, known.sequence, job),
        )

    def end(self, job: str, at_s: float) -> None:
        """Note that a job is over."""
        known = self.open.pop(job)
        self._changed.add(job)
        if known.started_s is not None:
            self._serve(known, at_s)
        self.base.execute("update jobs set attained_s = ?, ended_s = ? where job_id = ?", (known.attained_s, at_s, job))
        if known.attained_s > 0:
            self._ended.append((job, known.number, *known.shape, known.attained_s))

    def _serve(self, known: Known, until_s: float) -> None:
        """Add the current run to what the job, its user and its group have received."""
        ran = max(until_s - (known.started_s if known.started_s is not None else until_s), 0.0)
        known.attained_s += ran
        received = ran * known.milli / 1000.0
        for kind, name in (("user", known.shape[0]), ("group", known.shape[1])):
            total = self._served[kind].get(name or "", 0.0) + received
            self._served[kind][name or ""] = total
            self.base.execute("insert or replace into served values (?, ?, ?)", (kind, name or "", total))

    def remembered(self, jobs: pl.Series) -> list[pl.Series]:
        """Return the columns of `REMEMBERED` of these jobs; one that is not known (yet) comes after all others."""
        table = self._remember() if self._remembered is None or self._changed else self._remembered
        found = jobs.to_frame("job_id").join(table, on="job_id", how="left", maintain_order="left")
        unknown = Known(_LAST, sequence=_LAST)
        if found["number"].null_count():
            found = found.with_columns(pl.col(name).fill_null(getattr(unknown, name)) for name in REMEMBERED)
        return found.select(*REMEMBERED).get_columns()

    def _remember(self) -> pl.DataFrame:
        """Bring the table of what is remembered up to date; between two cycles few jobs change."""
        stale = set(self.open) if self._remembered is None else self._changed
        known = [(job, self.open[job]) for job in stale if job in self.open]
        fresh = pl.DataFrame(
            {"job_id": [job for job, _ in known]}
            | {name: [getattr(one, name) for _, one in known] for name in REMEMBERED},
            schema={"job_id": pl.String, **REMEMBERED},
        )
        if self._remembered is not None:
            kept = self._remembered.filter(~pl.col("job_id").is_in(list(stale)))
            fresh = pl.concat([kept, fresh], rechunk=True)
        self._remembered = fresh
        self._changed.clear()
        return fresh

    def history(self) -> pl.DataFrame:
        """Return the last jobs that ended after having run, oldest first, as rows of a workload with `number`."""
        if self._history is None:
            rows = self.base.execute(
                f"select job_id, number, {_IN_SQL}, attained_s from jobs where ended_s is not null and attained_s > 0"
                " order by ended_s desc, number desc limit ?",
                (HISTORY,),
            ).fetchall()
            found = [(job, number, *_shape(rest[:-1]), rest[-1]) for job, number, *rest in rows[::-1]]
            self._history = pl.DataFrame(found, schema=_HISTORY_SCHEMA, orient="row")
        elif self._ended:
            fresh = pl.DataFrame(self._ended, schema=_HISTORY_SCHEMA, orient="row")
            self._history = pl.concat([self._history, fresh]).tail(HISTORY)
        self._ended.clear()
        return self._history

    def served(self) -> dict[str, dict[str, float]]:
        """Return, by user and by group, the GPU-seconds of all runs that are over."""
        return self._served

    def observed(self, last: int = -1) -> pl.DataFrame:
        """Return all jobs that ended, or the last ones, as a workload by submission: `duration_s` is how long they ran;
        with `start_s` and `end_s`."""
        rows = self.base.execute(
            f"select job_id, number, {_IN_SQL}, attained_s, first_started_s, ended_s from (select * from jobs"
            " where ended_s is not null and attained_s > 0 order by ended_s desc, number desc limit ?)"
            " order by submit_s, number",
            (last,),
        ).fetchall()
        found = [(job, number, *_shape(rest[:12]), *rest[12:]) for job, number, *rest in rows]
        schema = _HISTORY_SCHEMA | {"start_s": pl.Float64, "end_s": pl.Float64}
        return pl.DataFrame(found, schema=schema, orient="row")

    def first_starts(self) -> pl.DataFrame:
        """Return `job_id, start_s`: when each job that has not ended was started first."""
        rows = self.base.execute(
            "select job_id, first_started_s from jobs where ended_s is null and first_started_s is not null"
        ).fetchall()
        return pl.DataFrame(rows, schema={"job_id": pl.String, "start_s": pl.Float64}, orient="row")

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

    def prune(self, now_s: float, keep_days: float = KEEP_DAYS) -> int:
        """Forget decisions, predictions and ended jobs older than `keep_days`, but for the last `HISTORY` jobs; return
        how many.

        What their users and groups received is kept.
        """
        before = now_s - keep_days * 86400
        with self.together():
            gone = self.base.execute("delete from decisions where time_s < ?", (before,)).rowcount
            gone += self.base.execute("delete from predictions where time_s < ?", (before,)).rowcount
            last = "select job_id from jobs where ended_s is not null order by ended_s desc, number desc limit ?"
            gone += self.base.execute(
                f"delete from jobs where ended_s < ? and job_id not in ({last})", (before, HISTORY)
            ).rowcount
        return gone


def _shape(stored: Sequence[Any]) -> tuple[Any, ...]:
    values = list(stored)
    values[9] = json.loads(values[9] or "[]")
    values[10], values[11] = bool(values[10]), bool(values[11])
    return tuple(values)


def _in_sql(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*shape[:9], json.dumps(list(shape[9] or ())), *shape[10:])


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
