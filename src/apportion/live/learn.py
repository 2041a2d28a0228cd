"""Bring the memory up to what is so: who came, began, was suspended, ended or vanished."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.live import backend as seen
from apportion.live.backend import Observation
from apportion.live.memory import Memory

Marks = npt.NDArray[np.uint64]
"""A number for every row of an observation, sorted: rows that are alike have the same."""

_HOLDS = (seen.RUNNING, seen.STOPPING)
_LAST = 1 << 62


def learn(memory: Memory, observation: Observation, told: Mapping[str, int], before: Marks | None = None) -> Marks:
    """Note all changes since the last look, all of them or none.

    A job that is no longer shown is over. One that comes back after that goes on where it was.

    Parameters
    ----------
    told: the order in which jobs were told to stop and start lately; what happened at one moment happened so.
    before: what this function returned for the last observation that was learnt: rows that are as they were then are
    passed over.
    """
    marks = observation.jobs.select("job_id", "state", "started_s").hash_rows(seed=7).to_numpy()
    ordered = np.sort(marks)
    news = observation.jobs if before is None else observation.jobs.filter(pl.Series(_new(marks, ordered, before)))
    known = memory.open
    changed_at: list[int] = []
    fresh_at: list[int] = []
    for i, (job, state, started) in enumerate(news.select("job_id", "state", "started_s").iter_rows()):
        one = known.get(job)
        if one is None:
            if state != seen.ENDED:
                fresh_at.append(i)
        elif state == seen.ENDED or one.started_s != (started if state in _HOLDS else None):
            changed_at.append(i)
    changed = sorted(news[_rows(changed_at)].iter_rows(named=True), key=lambda row: told.get(row["job_id"], _LAST))
    fresh = news[_rows(fresh_at)].sort("submit_s", maintain_order=True)
    gone = _gone(known, observation, len(fresh_at), sum(row["state"] == seen.ENDED for row in changed))
    if changed or fresh_at or gone:
        with memory.together():
            for row in changed:
                _note(memory, row, observation.time_s)
            memory.admit(fresh.iter_rows(named=True))
            running = fresh.filter(pl.col("state").is_in(_HOLDS) & pl.col("started_s").is_not_null())
            for job, started, nodes in running.select("job_id", "started_s", "nodes").iter_rows():
                memory.begin(job, started, nodes or ())
            for job in gone:
                memory.end(job, observation.time_s)
    return ordered


def _rows(numbers: list[int]) -> pl.Series:
    return pl.Series(numbers, dtype=pl.UInt32)


def _new(marks: Marks, ordered: Marks, before: Marks) -> npt.NDArray[np.bool_]:
    """Return which of the marks (`ordered`: the same, ascending) are not in `before`."""
    if not before.size:
        return np.ones(marks.size, np.bool_)
    at = np.minimum(np.searchsorted(before, ordered), before.size - 1)
    return np.isin(marks, ordered[before[at] != ordered])


def _gone(known: Mapping[str, object], observation: Observation, fresh: int, ended: int) -> list[str]:
    """Return the jobs that are known and not shown; who is known, and who is alive, need not be compared if they are
    as many."""
    alive = int((observation.jobs["state"] != seen.ENDED).sum())
    if len(known) + fresh - ended == alive:
        return []
    there = set(observation.jobs["job_id"])
    return [job for job in known if job not in there]


def _note(memory: Memory, row: Mapping[str, Any], now: float) -> None:
    """Note what became of a job that was known."""
    job, started, ended = row["job_id"], row["started_s"], row["ended_s"]
    before = memory.open[job].started_s
    if row["state"] not in (*_HOLDS, seen.ENDED):
        memory.suspend(job, now if ended is None else ended)
        return
    if started is not None and before != started:
        if before is not None:
            memory.suspend(job, max(started, before))
        memory.begin(job, started, row["nodes"] or ())
    if row["state"] == seen.ENDED:
        memory.end(job, now if ended is None else ended)
