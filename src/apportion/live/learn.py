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
    news = observation.jobs if before is None else observation.jobs.filter(pl.Series(~_among(marks, before)))
    known = memory.open
    changed: list[dict[str, Any]] = []
    fresh: list[dict[str, Any]] = []
    for row in news.iter_rows(named=True):
        one, state = known.get(row["job_id"]), row["state"]
        if one is None:
            if state != seen.ENDED:
                fresh.append(row)
        elif state == seen.ENDED or one.started_s != (row["started_s"] if state in _HOLDS else None):
            changed.append(row)
    changed.sort(key=lambda row: told.get(row["job_id"], _LAST))
    fresh.sort(key=lambda row: row["submit_s"])
    gone = _gone(known, observation, len(fresh), sum(row["state"] == seen.ENDED for row in changed))
    if changed or fresh or gone:
        with memory.together():
            for row in changed:
                _note(memory, row, observation.time_s)
            memory.admit(fresh)
            for row in fresh:
                if row["state"] in _HOLDS and row["started_s"] is not None:
                    memory.begin(row["job_id"], row["started_s"], row["nodes"] or ())
            for job in gone:
                memory.end(job, observation.time_s)
    return np.sort(marks)


def _among(marks: Marks, before: Marks) -> npt.NDArray[np.bool_]:
    if not before.size:
        return np.zeros(marks.size, np.bool_)
    at = np.minimum(np.searchsorted(before, marks), before.size - 1)
    return np.asarray(before[at] == marks)


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
