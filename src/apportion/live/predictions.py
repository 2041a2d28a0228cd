"""What was predicted of jobs, kept beside what came of them: who asks a live cluster teaches its next answer.

A controller's file holds both: those who ask add their predictions, the controller notes when jobs start. A prediction
whose job has started since is one more of which `Calibration` knows how good it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from apportion.live.forecast import Forecast
from apportion.live.forward import waiting_rows
from apportion.live.memory import Memory
from apportion.live.situation import PENDING, Situation
from apportion.live.store import BUSY_MS
from apportion.predict.calibration import Calibration

LAST = 100
"""Past predictions that count: those whose jobs started last. More are steadier, fewer know a new load sooner."""
LEAST_DRAWS = 10
"""A prediction of fewer draws says little about where among them the truth lies."""


def keep(path: str | Path, situation: Situation, forecasts: Iterable[Forecast]) -> int:
    """Add predictions to a controller's file, which it may be using; return how many were added.

    Of a job one an hour is kept: somebody who asks every minute is told as much as before. Left out are predictions
    that nothing can be learnt from: of requests, of jobs that run or have run, and those that left nothing to chance.
    Who may not write the file adds nothing.
    """
    known = {
        job: number
        for job, number, state, ran in situation.jobs.select("job_id", "number", "state", "attained_s").iter_rows()
        if state == PENDING and ran == 0
    }
    rows = [
        (f.job_id, known[f.job_id], int(f.now_s // 3600), f.now_s, f.policy, f.waits_s.astype("<f4").tobytes())
        for f in forecasts
        if f.job_id in known and not f.impossible and f.waits_s.size >= LEAST_DRAWS and f.waits_s[-1] > 0
    ]
    if not rows:
        return 0
    try:
        base = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    except sqlite3.OperationalError:
        return 0
    try:
        base.execute(f"pragma busy_timeout={BUSY_MS}")
        return base.executemany("insert or ignore into predictions values (?, ?, ?, ?, ?, ?)", rows).rowcount
    except sqlite3.OperationalError:
        return 0
    finally:
        base.close()


def some_waiting(situation: Situation, count: int, seed: int) -> list[str]:
    """Return the ids of waiting jobs, at most `count`, drawn at random."""
    ids = situation.jobs["job_id"].gather(waiting_rows(situation))
    # another moment, other jobs: the same ones would teach the same again
    random = np.random.default_rng((seed, int(situation.now_s)))
    return [str(ids[int(row)]) for row in random.permutation(len(ids))[:count]]


def learnt(memory: Memory, policy: str) -> Calibration:
    """Return what past predictions under a policy teach."""
    rows = memory.base.execute(
        "select p.waits, j.first_started_s - p.time_s from predictions p"
        " join jobs j on j.job_id = p.job_id and j.number = p.number"
        " where p.policy = ? and j.first_started_s >= p.time_s order by j.first_started_s desc limit ?",
        (policy, LAST),
    )
    return Calibration.fit((np.frombuffer(waits, "<f4"), wait) for waits, wait in rows)
