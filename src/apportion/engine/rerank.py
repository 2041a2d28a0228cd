"""Order jobs anew in the middle of a run: static keys that become known, or better known, only then.

A static order gives every job a place before the run begins, and the passes only look at heads of queues. Here some
jobs exchange the places they have, so a run with changing keys is as fast as one with fixed keys.
"""

from __future__ import annotations

import numpy as np

from apportion.engine import bits
from apportion.engine.jit import entry
from apportion.engine.layout import F8, I8, PENDING
from apportion.engine.run import Engine
from apportion.engine.world import active, jobs, levels, queues, words


def rerank(engine: Engine, rows: I8, keys: F8) -> None:
    """Let the jobs `rows` stand by ascending `keys`, ties by row; the others stay where they are.

    What is compared with each other later must be in one call: all jobs that wait, or may wait again, and those that
    arrive before the next call. The order of the run is a static one (`KEY_STATIC`).
    """
    table = engine.arrays["jobs"]
    ordered = rows[np.lexsort((rows, keys))]
    table["rank"][ordered] = np.sort(table["rank"][rows])
    # the slots of a queue lie side by side: sorted, they are those of one queue after the other
    slots = np.sort(table["slot"][rows])
    first = engine.arrays["queues"]["offset"][table["queue"][ordered]]
    _exchange(engine.root, ordered[np.argsort(first, kind="stable")], slots, engine.arrays["job_at"])


@entry
def _exchange(root, rows, slots, job_at):
    w = root[0]
    for j in rows:
        if jobs(w)[j].state == PENDING:
            bits.remove(words(w), levels(w), jobs(w)[j].slot)
    for i in range(rows.size):
        j = rows[i]
        jobs(w)[j].slot = slots[i]
        job_at[slots[i]] = j
        if jobs(w)[j].state == PENDING:
            bits.insert(words(w), levels(w), slots[i])
    for i in range(w.active_count):
        q = active(w)[i]
        queues(w)[q].head = bits.first_from(words(w), levels(w), queues(w)[q].offset, queues(w)[q].end)
