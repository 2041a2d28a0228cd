"""The cluster as one job saw it: a finished run's takes and releases are replayed, and the job is tried at every step.

Only nodes of the GPU models the job allows are followed, and only what changed is counted again, so that a job that
waited over a million events is answered in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.fit import fits, give_back, take
from apportion.engine.jit import entry, inner
from apportion.engine.layout import I8, Records
from apportion.engine.scoring import best_of, device_of
from apportion.engine.state import State

FITS, CAPACITY, FRAGMENTATION, CPU, MEMORY, CPU_AND_MEMORY, GROUP, DOWN = range(8)
"""What a step says of the job: it would fit, or the first thing it lacks."""

FULL, WITH_CPU, WITH_MEMORY, GPUS_ONLY, ANY_GROUP, REPAIRED = range(6)
"""The demand as it is, and with one condition lifted after another: what makes it fit is what was lacking."""

CLOSED, OTHERS, OPEN = range(3)
"""A node is of a GPU model the job does not allow, of another group, or open to it."""

CHANGE = np.dtype(
    [
        ("node", "i8"),
        ("sign", "i8"),  # 1 = taken, -1 = given back, 0 = the node failed or was repaired
        ("up", "i8"),
        ("mask", "i8"),  # devices
        ("milli", "i8"),  # of each device
        ("gpu", "i8"),  # milli-GPU in all
        ("cpu", "i8"),
        ("memory", "i8"),
    ],
    align=True,
)


@dataclass(frozen=True)
class Demand:
    """What a job asks for, as the replay tries it.

    Parameters
    ----------
    variants: `TASK` records, one for each of `FULL` ... `REPAIRED`. rests: the same for its smaller last piece, or
    none.
    count: pieces without the last. milli: milli-GPU of all. tried: whether counting the pieces that fit each node is
        not enough and they have to be placed one by one. state: of a run under the same placement.
    """

    variants: Records
    rests: Records
    count: int
    milli: int
    tried: bool
    state: State

    @classmethod
    def of(cls, nodes: Records, tasks: Records, kind: Records, state: State) -> Demand:
        """Return the demand of a class of jobs."""
        task = tasks[kind["shape"]]
        rest = tasks[kind["rest"] : kind["rest"] + 1] if kind["rest"] >= 0 else tasks[:0]
        shared = task["gpus"] > 1 and 0 < task["milli"] < 1000
        tried = shared or (rest.size > 0 and (task["milli"] != 1000 or bool(nodes["pooled"].any())))
        return cls(
            _variants(task), _variants(rest[0]) if rest.size else rest, int(kind["count"]), int(kind["milli"]),
            bool(tried), state,
        )  # fmt: skip


def _variants(task: Records) -> Records:
    out = np.repeat(task, REPAIRED + 1)
    out["memory"][[WITH_CPU, GPUS_ONLY]] = 0
    out["cpu"][[WITH_MEMORY, GPUS_ONLY]] = 0
    out["group"][ANY_GROUP] = -1
    return out


@dataclass(frozen=True)
class Steps:
    """What the replay found, an entry a step.

    Parameters
    ----------
    code: `FITS` ... `DOWN`. free: milli-GPU free on the nodes the job may use. places: pieces that would fit.
    best: by code: the most GPUs of a node (milli-GPU of a device for a task that shares one), milli-cores or MiB beside
        enough free GPUs, milli-GPU free on nodes of other groups, or nodes that are down.
    """

    code: I8
    free: I8
    places: I8
    best: I8


def replay(nodes: Records, access: I8, demand: Demand, changes: Records, upto: I8, wanted: Records) -> Steps:
    """Apply `changes[upto[i - 1]:upto[i]]` at step i and, where `wanted[i]`, say why the job does not start.

    Parameters
    ----------
    nodes: the idle cluster. access: i8[nodes], `OPEN`, `OTHERS` or `CLOSED` to the job.
    """
    out = np.zeros((4, wanted.size), np.int64)
    _replay(
        demand.state.root, nodes.copy(), access, demand.variants, demand.rests, demand.count, demand.milli,
        demand.tried, changes, upto, wanted, out,
    )  # fmt: skip
    return Steps(*out)


@inner
def apply_change(node, change):
    """Take, give back, fail or repair."""
    if change.sign == 0:
        node.up = change.up
        return
    sign = change.sign
    node.free_cpu -= sign * change.cpu
    node.free_memory -= sign * change.memory
    node.free_milli -= sign * change.gpu
    node.tasks += sign
    for d in range(node.gpus):
        if (change.mask >> d) & 1:
            node.idle -= node.free[d] == 1000
            node.free[d] -= sign * change.milli
            node.idle += node.free[d] == 1000


@inner
def _count(nodes, n, variants, rests, room, last, totals, last_totals):
    """Count again what fits node n; a last piece counts where no other piece fits, for the others leave it no room."""
    node = nodes[n]
    up = node.up
    for v in range(variants.size):
        if v == REPAIRED:
            node.up = 1
        now = fits(node, variants[v])
        totals[v] += now - room[v, n]
        room[v, n] = now
        if rests.size:
            alone = 1 if now == 0 and fits(node, rests[v]) > 0 else 0
            last_totals[v] += alone - last[v, n]
            last[v, n] = alone
    node.up = up


@inner
def _place_all(w, nodes, task, rests, v, count):
    """Place the pieces one by one as the engine does, take them off again, and say whether all found a node."""
    pieces = count + (1 if rests.size else 0)
    masks = np.empty(pieces, np.int64)
    chosen = np.empty(pieces, np.int64)
    placed = 0
    while placed < pieces:
        piece = task if placed < count else rests[v]
        best = best_of(w, nodes, piece)
        if best < 0:
            break
        chosen[placed] = best
        masks[placed] = take(nodes[best], piece, device_of(w, nodes[best], piece))
        placed += 1
    for p in range(placed):
        give_back(nodes[chosen[p]], task if p < count else rests[v], masks[p])
    return placed == pieces


@inner
def _fits_with(w, nodes, v, variants, rests, count, tried, totals, last_totals):
    if totals[v] < count:
        return False
    if tried and v != REPAIRED:
        return _place_all(w, nodes, variants[v], rests, v, count)
    return rests.size == 0 or totals[v] > count or last_totals[v] > 0


@inner
def _most(nodes, room, access, task, code):
    """Return the best that one node offers of what is lacking."""
    most = 0
    for n in range(nodes.size):
        node = nodes[n]
        if access[n] != OPEN:
            continue
        offer = 0
        if code == DOWN:
            most += 1 - node.up
            continue
        if node.up == 0:
            continue
        if code in (CPU, CPU_AND_MEMORY):
            offer = node.free_cpu if room[GPUS_ONLY, n] > 0 else 0
        elif code == MEMORY:
            offer = node.free_memory if room[GPUS_ONLY, n] > 0 else 0
        elif node.pooled:
            offer = node.free_milli // max(task.milli, 1)
        elif task.milli == 1000:
            offer = node.idle
        else:
            for d in range(node.gpus):
                offer = max(offer, node.free[d]) if task.gpus == 1 else offer + (node.free[d] >= task.milli)
        most = max(most, offer)
    return most


@entry
def _replay(root, nodes, access, variants, rests, count, milli, tried, changes, upto, wanted, out):
    w = root[0]
    room = np.zeros((variants.size, nodes.size), np.int64)
    last = np.zeros((variants.size, nodes.size), np.int64)
    totals = np.zeros(variants.size, np.int64)
    last_totals = np.zeros(variants.size, np.int64)
    free = elsewhere = down = 0
    for n in range(nodes.size):
        if access[n] != CLOSED:
            _count(nodes, n, variants, rests, room, last, totals, last_totals)
        if access[n] == OPEN:
            free += nodes[n].free_milli
        elif access[n] == OTHERS:
            elsewhere += nodes[n].free_milli
    at = 0
    for step in range(wanted.size):
        while at < upto[step]:
            n = changes[at].node
            node = nodes[n]
            before = node.free_milli * node.up
            was_up = node.up
            apply_change(node, changes[at])
            _count(nodes, n, variants, rests, room, last, totals, last_totals)
            if access[n] == OPEN:
                free += node.free_milli * node.up - before
                down += was_up - node.up
            elif access[n] == OTHERS:
                elsewhere += node.free_milli * node.up - before
            at += 1
        if not wanted[step]:
            continue
        found = np.zeros(variants.size, np.bool_)
        for v in range(variants.size):
            if v == FULL or (not found[FULL] and (v != REPAIRED or down > 0)):
                found[v] = _fits_with(w, nodes, v, variants, rests, count, tried, totals, last_totals)
        if found[FULL]:
            code = FITS
        elif found[REPAIRED]:
            code = DOWN
        elif found[GPUS_ONLY] and not found[WITH_CPU] and found[WITH_MEMORY]:
            code = CPU
        elif found[GPUS_ONLY] and not found[WITH_MEMORY] and found[WITH_CPU]:
            code = MEMORY
        elif found[GPUS_ONLY]:
            code = CPU_AND_MEMORY
        elif found[ANY_GROUP]:
            code = GROUP
        elif free < milli or milli == 0:
            code = CAPACITY
        else:
            code = FRAGMENTATION
        out[0, step] = code
        out[1, step] = free
        out[2, step] = totals[GPUS_ONLY] if code == FRAGMENTATION else totals[FULL]
        if code == GROUP:
            out[3, step] = elsewhere
        elif code > CAPACITY:
            out[3, step] = _most(nodes, room, access, variants[FULL], code)


@entry
def paint(first, last, steps):
    """Return for every step the position of the first interval `[first[i], last[i])` that covers it, or -1."""
    owner = np.full(steps, -1, np.int64)
    free = np.arange(steps + 1)  # the next step nobody covers, reached by following it
    for i in range(first.size):
        s = first[i]
        while s < last[i]:
            while free[s] != s:
                free[s] = free[free[s]]
                s = free[s]
            if s < last[i]:
                owner[s] = i
                free[s] = s + 1
                s += 1
    return owner
