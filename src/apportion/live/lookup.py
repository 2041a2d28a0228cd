"""Find a job of a situation by its id, or say which one was meant."""

from __future__ import annotations

from apportion.live.situation import ENDED, Situation
from apportion.model.errors import InputError, did_you_mean


def row_of(situation: Situation, job_id: str) -> int:
    """Return the row of a job that waits or runs.

    Raises
    ------
    InputError: no job has that id (the nearest that waits or runs is named), or it has ended.
    """
    jobs = situation.jobs
    ids: list[str] = jobs["job_id"].to_list()
    first = situation.count(ENDED)
    if job_id in ids[first:]:
        return ids.index(job_id, first)
    if job_id in ids:
        raise InputError(f"job {job_id} has ended")
    alive = ids[first:]
    hint = did_you_mean(job_id, alive) or (f"; there are {', '.join(alive[-3:])}" if alive else "")
    raise InputError(f"found no job {job_id!r} among {len(alive):,} that wait or run{hint}")
