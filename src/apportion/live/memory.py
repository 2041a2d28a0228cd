"""What the controller has to remember: the history of jobs, what was decided, and what came of it.

What is so now is never read from here: it is observed. See `live.store` for the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from apportion.live.store import KEEP_DAYS, Store

HISTORY = 2000
"""Ended jobs that the controller looks back on."""
_TOGETHER = 1000
"""Rows written by one statement: a first look at a cluster has ten thousand."""
_LAST = 1 << 62
"""Number of a job that is not known."""

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


class Memory(Store):
    """The controller's file, with what is known of jobs.

    Parameters
    ----------
    path: of the SQLite file; `:memory:` forgets. read_only: look at it without being in charge.

    Raises
    ------
    UsageError: another controller uses the file. InputError: it is not such a file, or of a newer version.
    """

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
        self._state: dict[str, Any] = json.loads(self.fact("state") or "{}")
        self._served: dict[str, dict[str, float]] = {"user": {}, "group": {}}
        for kind, name, gpu_s in self.base.execute("select kind, name, gpu_s from served"):
            self._served[kind][name] = gpu_s

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
