"""Which node is best for a task shape: scores kept per (shape, node), recomputed only where a node changed.

Each shape in use has a slot: for every node how many tasks still fit and the placement's score, and above them a
tournament tree whose root is the best node. A slot catches up lazily with the list of changed nodes.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.fit import fits
from apportion.engine.jit import compiled, inner
from apportion.engine.layout import TIES_RANDOM, TIES_SECOND
from apportion.engine.scoring import score_of, second_of
from apportion.engine.world import (
    SHAPE_SIGNATURE,
    call_shape,
    changed,
    changed_at,
    nodes,
    rooms,
    scores,
    seconds,
    slot_of,
    slots,
    tasks,
    winner,
)


@inner
def touch(w, node):
    """Note that a node changed."""
    changed(w)[w.seen % w.changed_n] = node
    changed_at(w)[node] = w.seen
    w.seen += 1


@inner
def draw(w, n):
    """Return a uniform integer in [0, n) (splitmix64)."""
    w.random += np.uint64(0x9E3779B97F4A7C15)
    z = w.random
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.int64((z >> np.uint64(32)) * np.uint64(n) >> np.uint64(32))


@inner
def current(w, shape):
    """Return the slot of a shape, up to date with every node."""
    k = slot_of(w)[shape]
    if k >= 0 and slots(w)[k].synced == w.seen:
        return np.int64(k)
    return call_shape(w.sync_kernel, w, np.int64(shape))


@compiled(SHAPE_SIGNATURE)
def sync(w, shape):
    """Bring the slot of a shape up to date and return it; a kernel of its own, so that it is compiled only once."""
    k = np.int64(slot_of(w)[shape])
    if k < 0:
        k = _claim(w, shape)
        _rebuild(w, k, shape)
        return k
    behind = w.seen - slots(w)[k].synced
    if behind > w.nodes_n or behind > w.changed_n:
        _rebuild(w, k, shape)
        return k
    ring = w.changed_n
    for v in range(slots(w)[k].synced, w.seen):
        n = changed(w)[v % ring]
        if changed_at(w)[n] == v:  # else it changed again, and its turn comes then
            _refresh(w, k, shape, n)
    slots(w)[k].synced = w.seen
    return k


@inner
def _claim(w, shape):
    # a free slot, else the one longest without an update
    k = 0
    for i in range(w.slots_n):
        if slots(w)[i].shape < 0:
            k = i
            break
        if slots(w)[i].synced < slots(w)[k].synced:
            k = i
    if slots(w)[k].shape >= 0:
        slot_of(w)[slots(w)[k].shape] = -1
    slots(w)[k].shape = shape
    slot_of(w)[shape] = k
    return k


@inner
def _rebuild(w, k, shape):
    task = tasks(w)[shape]
    room = rooms(w)[k * w.nodes_n : (k + 1) * w.nodes_n]
    at = k * w.leaves
    total = 0
    for n in range(w.nodes_n):
        node = nodes(w)[n]
        room[n] = fits(node, task)
        total += room[n]
        scores(w)[at + n] = score_of(w, node, task) if room[n] > 0 else np.inf
        if w.ties == TIES_SECOND and room[n] > 0:
            seconds(w)[at + n] = second_of(w, node, task)
    slots(w)[k].total = total
    for v in range(w.leaves - 1, 0, -1):
        winner(w)[at + v] = _better(w, at, v)
    slots(w)[k].synced = w.seen


@inner
def _better(w, at, v):
    """Return the winner of position v of the tree that begins at `at`; the leaves stand below position `leaves`."""
    leaves = w.leaves
    left, right = 2 * v, 2 * v + 1
    a = left - leaves if left >= leaves else np.int64(winner(w)[at + left])
    b = right - leaves if right >= leaves else np.int64(winner(w)[at + right])
    low, high = scores(w)[at + a], scores(w)[at + b]
    if low == high and w.ties == TIES_SECOND:
        low, high = seconds(w)[at + a], seconds(w)[at + b]
    return a if low <= high else b


@inner
def _refresh(w, k, shape, n):
    task = tasks(w)[shape]
    node = nodes(w)[n]
    at = k * w.nodes_n + n
    room = fits(node, task)
    old = rooms(w)[at]
    if room != old:
        slots(w)[k].total += room - old
        rooms(w)[at] = room
    elif room == 0:
        return
    s = score_of(w, node, task) if room > 0 else np.inf
    at = k * w.leaves
    same = s == scores(w)[at + n]
    if w.ties == TIES_SECOND and room > 0:
        second = second_of(w, node, task)
        same = same and second == seconds(w)[at + n]
        seconds(w)[at + n] = second
    if same:
        return
    scores(w)[at + n] = s
    v = (w.leaves + n) >> 1
    while v >= 1:
        top = _better(w, at, v)
        if winner(w)[at + v] == top and top != n:
            return
        winner(w)[at + v] = top
        v >>= 1


@inner
def best_node(w, k):
    """Return the node with the smallest score in slot k, or -1; see `TIES_FIRST` and the like for equal ones."""
    if slots(w)[k].total == 0:
        return -1
    best = np.int64(winner(w)[k * w.leaves + 1]) if w.leaves > 1 else np.int64(0)
    if w.ties != TIES_RANDOM:
        return best
    by_node = scores(w)[k * w.leaves : k * w.leaves + w.nodes_n]
    low = by_node[best]
    equal = 0
    for n in range(w.nodes_n):
        equal += by_node[n] == low
    pick = draw(w, equal)
    for n in range(w.nodes_n):
        if by_node[n] == low:
            if pick == 0:
                return n
            pick -= 1
    return best
