"""Invariants of a finished run, verified from its log alone: nothing here shares code with the moves that wrote it."""

from __future__ import annotations

from typing import Any

import numpy as np

from apportion.engine.encode import Encoded
from apportion.engine.jit import entry
from apportion.engine.layout import ENDED, REJECTED, RUNNING, Records
from apportion.engine.run import Log
from apportion.model.errors import ApportionError


class InvariantError(ApportionError):
    """The engine did what no cluster can do: a bug of ours, never of the input."""


def check_log(encoded: Encoded, log: Log, gpus: list[float] | None = None, timed: bool = True) -> None:
    """Verify that no device, CPU or memory was given twice, gangs were whole, and work was conserved.

    gpus: that each run was to get, in the order of their starts; default: what its job asked for.
    timed: whether jobs run for as long as their run times say; not so where work is counted in steps.

    Raises
    ------
    InvariantError: what was violated, by which run.
    """
    runs, puts, jobs = log.runs, log.puts, log.jobs
    if np.any(np.diff(runs["start"]) < 0):
        raise InvariantError("runs are not in the order of their starts")
    if np.any(runs["start"] < jobs["submit"][runs["job"]]):
        raise InvariantError("a job started before it was submitted")
    if np.any(runs["end"] < runs["start"]):
        raise InvariantError("a run ended before it started")
    milli = log.tasks["gpus"] * log.tasks["milli"]
    placed = np.add.reduceat(milli[puts["shape"]], runs["put"]) if runs.size else np.zeros(0)
    expected = encoded.milli[runs["job"]] if gpus is None else np.array(gpus) * 1000
    if placed.size != expected.size or np.any(np.abs(placed - expected) > 1e-6 * expected):
        raise InvariantError("a gang was placed in part")
    _check_overlaps(runs)
    _check_work(log, timed)
    time, sign, put = _events(runs)
    bad = _replay(encoded.nodes.copy(), log.tasks, puts, time, sign, put)
    if bad >= 0:
        raise InvariantError(f"node {puts['node'][bad]} gave more than it has (piece {bad})")


def _check_overlaps(runs: Records) -> None:
    order = np.lexsort((runs["start"], runs["job"]))
    job, start, end = runs["job"][order], runs["start"][order], runs["end"][order]
    if np.any((job[1:] == job[:-1]) & (start[1:] < end[:-1])):
        raise InvariantError("a job ran twice at once")


def _check_work(log: Log, timed: bool) -> None:
    runs, jobs = log.runs, log.jobs
    state = jobs["state"]
    if np.any(np.isin(runs["job"], np.flatnonzero(state == REJECTED))):
        raise InvariantError("a rejected job ran")
    open_runs = np.isinf(runs["end"])
    if not np.array_equal(np.sort(runs["job"][open_runs]), np.flatnonzero(state == RUNNING)):
        raise InvariantError("a job that does not run holds devices")
    if not timed:
        return
    length = ((runs["end"] - runs["start"]) * runs["rate"])[~open_runs]
    done = np.bincount(runs["job"][~open_runs], length, minlength=jobs.size)
    ended = state == ENDED
    slack = 1e-6 * np.maximum(jobs["work"], 1)
    plain = ended & (jobs["preemptions"] == 0) & (jobs["restarts"] == 0)
    if np.any(np.abs(done - jobs["work"])[plain] > slack[plain]):
        raise InvariantError("a job ended before or after its work was done")
    # checkpoint costs and lost work only ever add
    if np.any(done[ended] < (jobs["work"] - slack)[ended]):
        raise InvariantError("a job ended before its work was done")


def _events(runs: Records) -> tuple[Any, Any, Any]:
    """Return (time, +1 or -1, piece) of everything taken and given back, what is given back at a moment first."""
    run = np.repeat(np.arange(runs.size), runs["pieces"])
    put = np.arange(run.size)
    closed = np.isfinite(runs["end"][run])
    time = np.concatenate([runs["end"][run][closed], runs["start"][run]])
    sign = np.concatenate([np.full(int(closed.sum()), -1), np.ones(run.size, np.int64)])
    piece = np.concatenate([put[closed], put])
    # a run of no length takes after it gives back: leave it out, it holds nothing
    length = (runs["end"] - runs["start"])[run]
    keep = length[piece] > 0
    order = np.lexsort((sign[keep], time[keep]))
    return time[keep][order], sign[keep][order], piece[keep][order]


@entry
def _replay(nodes, tasks, puts, time, sign, put):
    for i in range(time.size):
        p = puts[put[i]]
        node = nodes[p.node]
        task = tasks[p.shape]
        s = sign[i]
        node.free_cpu -= s * task.cpu
        node.free_memory -= s * task.memory
        node.free_milli -= s * task.gpus * task.milli
        if node.free_cpu < 0 or node.free_memory < 0 or node.free_milli < 0:
            return put[i]
        if node.pooled == 0 and task.gpus * task.milli > 0:
            count = 0
            for d in range(node.gpus):
                if (p.mask >> d) & 1:
                    count += 1
                    node.free[d] -= s * task.milli
                    if node.free[d] < 0 or node.free[d] > 1000:
                        return put[i]
            if count != task.gpus or (p.mask >> node.gpus) != 0:
                return put[i]
    return -1
