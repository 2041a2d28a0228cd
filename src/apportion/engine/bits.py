"""An ordered set of small integers: a bitmap with a summary bitmap above it, and so on (64 children a word).

Insert, remove and "first member not below i" take one word per level: four steps for ten million members.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.jit import inner, trailing_zeros
from apportion.engine.layout import I8, U8


def empty(size: int) -> tuple[U8, I8]:
    """Return an empty set of integers below `size`: (words of all levels, members first; where each level begins)."""
    start, total, width = [], 0, max(size, 1)
    while True:
        width = (width + 63) // 64
        start.append(total)
        total += width
        if width == 1:
            break
    return np.zeros(total, np.uint64), np.array(start, np.int64)


@inner
def insert(words, levels, i):
    one = np.uint64(1)
    for level in range(levels.size):
        word = levels[level] + (i >> 6)
        before = words[word]
        words[word] = before | (one << np.uint64(i & 63))
        if before != 0:
            return
        i >>= 6


@inner
def remove(words, levels, i):
    one = np.uint64(1)
    for level in range(levels.size):
        word = levels[level] + (i >> 6)
        after = words[word] & ~(one << np.uint64(i & 63))
        words[word] = after
        if after != 0:
            return
        i >>= 6


@inner
def first_from(words, start, i, limit):
    """Return the smallest member in [i, limit), or -1."""
    if i >= limit:
        return -1
    levels = start.size
    level = 0
    at = i
    while True:
        word = start[level] + (at >> 6)
        end = start[level + 1] if level + 1 < levels else words.size
        if word >= end:
            return -1
        left = words[word] >> np.uint64(at & 63)
        if left != 0:
            at += np.int64(trailing_zeros(left))
            break
        at = (at >> 6) + 1
        level += 1
        if level == levels:
            return -1
    while level > 0:
        level -= 1
        at = (at << 6) + np.int64(trailing_zeros(words[start[level] + at]))
    return at if at < limit else -1
