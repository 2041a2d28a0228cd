"""What every waiting job lacked, over a whole run: the cluster is replayed change by change, and classes are counted.

Jobs of one class that wait at one moment wait for the same reason. So not jobs but the few classes that wait are looked
at, each keeps the seconds of every reason so far, and a job's share is what was added while it waited.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.encode import Encoded
from apportion.engine.fit import fits
from apportion.engine.jit import entry, inner
from apportion.engine.layout import F8, I8, U1, Records
from apportion.engine.replay import CLOSED, OPEN, OTHERS, apply_change

ORDER, QUOTA, FRAGMENTATION, CPU_OR_MEMORY, CAPACITY = range(5)
"""It would have fitted; its group's nodes were used up while others had enough GPUs free; enough were free on its nodes
but not where it could use them; GPUs were there but no CPU or memory beside them; too few were free anywhere.

Quota and fragmentation are the fair-share and the fragmentation delay of Jeon et al., ATC 2019, section 3.1: a job of a
group that has not used up its share waits for locality.
"""

NEVER = 1 << 20
"""Devices that no node has."""

CAUSES = ("order", "quota", "fragmentation", "cpu_or_memory", "capacity")


def seconds_by_cause(encoded: Encoded, time: F8, changes: Records, job: I8, start: F8, end: F8) -> F8:
    """Return f8[waits, causes]: seconds that each wait lasted for each reason; a row adds up to `end - start`.

    Whether a gang fits is counted node by node; for shares of several devices that is an upper bound.

    Parameters
    ----------
    time, changes: what was taken and given back, in the order in which it happened (`CHANGE` records).
    job, start, end: of each wait, seconds.
    """
    out = np.zeros((job.size, len(CAUSES)))
    kinds = encoded.kinds
    task = encoded.tasks[kinds["shape"]]
    bare = task.copy()
    bare["cpu"] = bare["memory"] = 0
    # the last, smaller piece; where there is none, what fits nowhere
    rest = encoded.tasks[np.maximum(kinds["rest"], 0)].copy()
    rest["gpus"][kinds["rest"] < 0] = NEVER
    asked = np.stack([task, bare, rest], axis=1)
    access, row = _access(encoded.nodes, task)
    begins, ends = np.argsort(start, kind="stable"), np.argsort(end, kind="stable")
    kind = encoded.kind[job].astype(np.int64)
    _causes(
        encoded.nodes.copy(), asked, kinds, access, row, kind, time, changes, start, begins, end, ends, out
    )  # fmt: skip
    return out


def _access(nodes: Records, task: Records) -> tuple[U1, I8]:
    """Return rows of `OPEN`, `OTHERS` or `CLOSED` for each node, and the row of each task."""
    sets, row = np.unique(np.stack([task["models"], task["group"]], axis=1), axis=0, return_inverse=True)
    model, owner = nodes["model"][None, :], nodes["group"][None, :]
    models, group = sets[:, :1], sets[:, 1:]
    fitting = (models == 0) | ((model >= 0) & ((models >> np.maximum(model, 0)) & 1 == 1))
    own = (group == -1) | (owner == -1) | (group == owner)
    out = np.where(fitting, np.where(own, OPEN, OTHERS), CLOSED).astype(np.uint8)
    return out, row.ravel().astype(np.int64)


@inner
def _room(node, access, asked, apart, count, sign):
    """Add (or take off) what the node offers a class: pieces that fit, the same but for CPU and memory, last pieces
    that fit where no other does, milli-GPU free on its own nodes, and on all of its GPU models."""
    if access == CLOSED or node.up == 0:
        return
    count[4] += sign * node.free_milli
    if access != OPEN:
        return
    count[3] += sign * node.free_milli
    whole = 0
    for v in range(3):
        here = fits(node, asked[v])
        if v == 0:
            whole = here
        if v == 2:
            here = 1 if here > 0 and whole == 0 else 0
        count[v] += sign * (min(here, 1) if apart else here)


@inner
def _cause(kind, count):
    if count[0] >= kind.count and (kind.rest < 0 or count[0] > kind.count or count[2] > 0):
        return ORDER
    if count[3] < kind.milli:
        return QUOTA if count[4] >= kind.milli else CAPACITY
    if kind.milli == 0 or (count[1] >= kind.count and count[1] > count[0]):
        return CPU_OR_MEMORY
    return FRAGMENTATION


@entry
def _causes(nodes, asked, kinds, access, row, kind_of, time, changes, start, begins, end, ends, out):
    size = kinds.size
    counts = np.zeros((size, 5), np.int64)
    passed = np.zeros((size, 5))  # seconds of each reason while some job of the class waited
    cause = np.zeros(size, np.int64)
    waiting = np.zeros(size, np.int64)
    idle_since = np.zeros(size, np.int64)
    followed = np.zeros(size, np.bool_)
    live = np.empty(size, np.int64)
    lives = 0
    c = b = e = 0
    now = 0.0
    while e < ends.size:
        then = end[ends[e]]
        if b < begins.size:
            then = min(then, start[begins[b]])
        if c < changes.size:
            then = min(then, time[c])
        for i in range(lives):
            k = live[i]
            if waiting[k] > 0:
                passed[k, cause[k]] += then - now
        now = then
        while e < ends.size and end[ends[e]] == now:
            j = ends[e]
            k = kind_of[j]
            for q in range(5):
                out[j, q] += passed[k, q]
            waiting[k] -= 1
            idle_since[k] = c
            e += 1
        while c < changes.size and time[c] == now:
            n = changes[c].node
            for sign in (-1, 1):
                if sign > 0:
                    apply_change(nodes[n], changes[c])
                for i in range(lives):
                    k = live[i]
                    _room(nodes[n], access[row[k], n], asked[k], kinds[k].apart, counts[k], sign)
            c += 1
        while b < begins.size and start[begins[b]] == now:
            j = begins[b]
            k = kind_of[j]
            for q in range(5):
                out[j, q] -= passed[k, q]
            waiting[k] += 1
            b += 1
            if not followed[k]:
                followed[k] = True
                live[lives] = k
                lives += 1
                for q in range(5):
                    counts[k, q] = 0
                for n in range(nodes.size):
                    _room(nodes[n], access[row[k], n], asked[k], kinds[k].apart, counts[k], 1)
        i = 0
        while i < lives:
            k = live[i]
            # to follow a class costs a step a change, to count it anew one a node: it is dropped when that is less
            if waiting[k] == 0 and c - idle_since[k] > nodes.size:
                followed[k] = False
                lives -= 1
                live[i] = live[lives]
                continue
            cause[k] = _cause(kinds[k], counts[k])
            i += 1
