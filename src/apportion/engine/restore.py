"""Begin a run in the middle: some jobs already hold their places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.fit import take, take_again
from apportion.engine.index import touch
from apportion.engine.jit import entry, inner
from apportion.engine.layout import ENDED, F8, I8
from apportion.engine.moves import commit
from apportion.engine.run import Engine
from apportion.engine.world import jobs, kinds, nodes, puts, tasks


@dataclass(frozen=True)
class Held:
    """What is so when a run begins at `now_s`.

    Parameters
    ----------
    ended: how many jobs, the first of the workload, are over. started: f8[k], when each of the next k jobs began to
        run; not descending.
    earlier: f8[jobs], seconds of work done in earlier runs. preemptions: i8[jobs].
    nodes, devices: i8[pieces], of the pieces of those k jobs, one job after the other: the node's row, and the bit set
        of its devices, -1 = not known (they are then chosen by best fit).
    closed: bool[nodes], nodes that take nothing new. served: f8[shares], GPU-seconds received by the users or groups of
        a sharing order, without what the k jobs received in their current runs; None = nothing.
    """

    now_s: float
    ended: int
    started: F8
    earlier: F8
    preemptions: I8
    nodes: I8
    devices: I8
    closed: np.ndarray[tuple[int], np.dtype[np.bool_]]
    served: F8 | None = None


def restore(engine: Engine, held: Held) -> int:
    """Put a run that has not begun into this state; return the first job whose places are not free, or -1."""
    table = engine.arrays["jobs"]
    runs = slice(held.ended, held.ended + held.started.size)
    # a job that waits has work left, even if it ran longer than expected: without any it would end as it starts
    table["remaining"] = np.maximum(table["work"] - held.earlier, np.nextafter(held.now_s, np.inf) - held.now_s)
    table["ran"], table["preemptions"] = held.earlier, held.preemptions
    # what overran is expected to end at any moment, and not before now
    soonest = np.nextafter(held.now_s, np.inf) - held.started
    table["remaining"][runs] = np.maximum(table["remaining"][runs], soonest)
    table["state"][: held.ended] = ENDED
    engine.root["arrived"] = engine.root["ended"] = held.ended
    if held.served is not None:
        engine.arrays["shares"]["served"] = held.served
    engine.arrays["shares"]["since"] = held.started.min(initial=held.now_s)
    bad = int(_restore(engine.root, held.ended, held.started, held.nodes, held.devices))
    closed = np.flatnonzero(held.closed)
    quota = engine.arrays["nodes"]["gpus"] * 1000
    reach = engine.arrays["reach"].reshape(engine.arrays["parts"].size, -1)
    engine.arrays["parts"]["quota"] -= reach[:, closed].astype(np.int64) @ quota[closed]
    engine.arrays["nodes"]["up"][closed] = 0
    engine.root["now"] = held.now_s
    if np.isfinite(engine.number("round_at")):
        engine.root["round_at"] = held.now_s
    return bad


@entry
def _restore(root, ended, started, places, devices):
    w = root[0]
    at = 0
    for i in range(started.size):
        j = ended + i
        kind = kinds(w)[jobs(w)[j].kind]
        w.now = started[i]
        w.arrived += 1
        first = w.put_count
        for piece in range(kind.pieces):
            put = puts(w)[first + piece]
            put.shape = kind.shape if piece < kind.count else kind.rest
            put.node = places[at]
            node, task = nodes(w)[put.node], tasks(w)[put.shape]
            if not _free(node, task, devices[at]):
                return j
            if devices[at] < 0:
                put.mask = take(node, task, -1)
            else:
                put.mask = devices[at]
                take_again(node, task, put.mask)
            touch(w, put.node)
            at += 1
        commit(w, j, kind)
    return -1


@inner
def _free(node, task, mask):
    if node.free_cpu < task.cpu or node.free_memory < task.memory or node.free_milli < task.gpus * task.milli:
        return False
    if node.pooled or task.gpus * task.milli == 0:
        return True
    enough = held = 0
    for d in range(node.gpus):
        roomy = node.free[d] >= task.milli
        enough += roomy
        if mask >= 0 and (mask >> d) & 1:
            held += roomy
    return held == task.gpus if mask >= 0 else enough >= task.gpus
