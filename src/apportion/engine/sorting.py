"""Sort job numbers by a key, equal keys by a second number: one small heapsort instead of a general library sort."""

from __future__ import annotations

import numpy as np

from apportion.engine.jit import inner


@inner
def _after(keys, ties, a, b):
    return keys[a] > keys[b] or (keys[a] == keys[b] and ties[a] > ties[b])


@inner
def _sift(order, keys, ties, root, end):
    item = order[root]
    while True:
        child = 2 * root + 1
        if child >= end:
            break
        if child + 1 < end and _after(keys, ties, order[child + 1], order[child]):
            child += 1
        if not _after(keys, ties, order[child], item):
            break
        order[root] = order[child]
        root = child
    order[root] = item


@inner
def sorted_by(keys, ties):
    """Return the positions 0..n-1 in ascending order of (keys[i], ties[i]); keys f8[n], ties i8[n]."""
    n = keys.size
    order = np.arange(n)
    descents = 0
    for i in range(1, n):
        descents += _after(keys, ties, i - 1, i)
    if descents == 0:
        return order
    for root in range(n // 2 - 1, -1, -1):
        _sift(order, keys, ties, root, n)
    for end in range(n - 1, 0, -1):
        order[0], order[end] = order[end], order[0]
        _sift(order, keys, ties, 0, end)
    return order
