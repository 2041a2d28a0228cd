"""Which node is best for a task shape: scores kept per (shape, node), recomputed only where a node changed.

Each shape in use has a slot: for every node how many tasks still fit and the placement's score, and above them a
tournament tree whose root is the best node. A slot catches up lazily with the list of changed nodes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from apportion.engine.fit import fits
from apportion.engine.jit import inner
from apportion.engine.layout import F8, I4, I8, TIES_RANDOM, U8, Records


class Index(NamedTuple):
    """nodes, tasks: records. changed: ring of node numbers; seen[0]: how many were ever written.

    slot: i4[shapes], -1 = none. shape: i4[slots], -1 = free. synced: i8[slots]. room: i4[slots, nodes].
    total: i8[slots], the sum of room. score: f8[slots, leaves]. winner: i4[slots, leaves]. random: u8[1].
    """

    nodes: Records
    tasks: Records
    changed: I4
    seen: I8
    slot: I4
    shape: I4
    synced: I8
    room: I4
    total: I8
    score: F8
    winner: I4
    random: U8


def build(nodes: Records, tasks: Records, seed: int, memory_bytes: int = 256 << 20) -> Index:
    """Return an index with as many slots as shapes, or as many as fit in `memory_bytes`."""
    n = nodes.size
    leaves = 1
    while leaves < n:
        leaves *= 2
    slots = max(1, min(tasks.size, memory_bytes // (16 * leaves + 8)))
    return Index(
        nodes,
        tasks,
        np.zeros(max(64, 2 * n), np.int32),
        np.zeros(1, np.int64),
        np.full(tasks.size, -1, np.int32),
        np.full(slots, -1, np.int32),
        np.zeros(slots, np.int64),
        np.zeros((slots, n), np.int32),
        np.zeros(slots, np.int64),
        np.full((slots, leaves), np.inf),
        np.zeros((slots, leaves), np.int32),
        np.array([(seed * 0x9E3779B97F4A7C15 + 0x1234567) % (1 << 64)], np.uint64),
    )


@inner
def touch(ix, node):
    """Note that a node changed."""
    ix.changed[ix.seen[0] % ix.changed.size] = node
    ix.seen[0] += 1


@inner
def draw(ix, n):
    """Return a uniform integer in [0, n) (splitmix64)."""
    ix.random[0] += np.uint64(0x9E3779B97F4A7C15)
    z = ix.random[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.int64((z >> np.uint64(32)) * np.uint64(n) >> np.uint64(32))


@inner
def current(ix, shape, score):
    """Return the slot of a shape, up to date with every node."""
    k = ix.slot[shape]
    if k < 0:
        k = _claim(ix, shape)
        _rebuild(ix, k, shape, score)
        return k
    behind = ix.seen[0] - ix.synced[k]
    if behind == 0:
        return k
    if behind > ix.nodes.size or behind > ix.changed.size:
        _rebuild(ix, k, shape, score)
        return k
    ring = ix.changed.size
    for v in range(ix.synced[k], ix.seen[0]):
        _refresh(ix, k, shape, ix.changed[v % ring], score)
    ix.synced[k] = ix.seen[0]
    return k


@inner
def _claim(ix, shape):
    # a free slot, else the one longest without an update
    k = 0
    for i in range(ix.shape.size):
        if ix.shape[i] < 0:
            k = i
            break
        if ix.synced[i] < ix.synced[k]:
            k = i
    if ix.shape[k] >= 0:
        ix.slot[ix.shape[k]] = -1
    ix.shape[k] = shape
    ix.slot[shape] = k
    return k


@inner
def _rebuild(ix, k, shape, score):
    leaves = ix.score.shape[1]
    task = ix.tasks[shape]
    total = 0
    for n in range(ix.nodes.size):
        room = fits(ix.nodes[n], task)
        ix.room[k, n] = room
        total += room
        ix.score[k, n] = score(ix.nodes[n], task) if room > 0 else np.inf
    ix.total[k] = total
    scores = ix.score[k]
    winner = ix.winner[k]
    for v in range(leaves - 1, 0, -1):
        left, right = 2 * v, 2 * v + 1
        a = left - leaves if left >= leaves else winner[left]
        b = right - leaves if right >= leaves else winner[right]
        winner[v] = a if scores[a] <= scores[b] else b
    ix.synced[k] = ix.seen[0]


@inner
def _refresh(ix, k, shape, n, score):
    task = ix.tasks[shape]
    room = fits(ix.nodes[n], task)
    old = ix.room[k, n]
    if room != old:
        ix.total[k] += room - old
        ix.room[k, n] = room
    elif room == 0:
        return
    scores = ix.score[k]
    s = score(ix.nodes[n], task) if room > 0 else np.inf
    if s == scores[n]:
        return
    scores[n] = s
    leaves = scores.size
    winner = ix.winner[k]
    v = (leaves + n) >> 1
    while v >= 1:
        left, right = 2 * v, 2 * v + 1
        a = left - leaves if left >= leaves else winner[left]
        b = right - leaves if right >= leaves else winner[right]
        best = a if scores[a] <= scores[b] else b
        if winner[v] == best and best != n:
            return
        winner[v] = best
        v >>= 1


@inner
def best_node(ix, k, ties):
    """Return the node with the smallest score in slot k (ties: the first, or any), or -1."""
    if ix.total[k] == 0:
        return -1
    leaves = ix.score.shape[1]
    best = ix.winner[k, 1] if leaves > 1 else 0
    if ties != TIES_RANDOM:
        return best
    low = ix.score[k, best]
    equal = 0
    for n in range(ix.nodes.size):
        equal += ix.score[k, n] == low
    pick = draw(ix, equal)
    for n in range(ix.nodes.size):
        if ix.score[k, n] == low:
            if pick == 0:
                return n
            pick -= 1
    return best
