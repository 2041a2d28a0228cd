"""An ordered set of small integers: a bitmap with a summary bitmap above it, and so on (64 children a word).

Insert, remove and "first member not below i" take one word per level: four steps for ten million members.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from apportion.engine.jit import inner
from apportion.engine.layout import I8, U8


class BitSet(NamedTuple):
    """words: u64, all levels one after the other, the members first. start: where each level begins."""

    words: U8
    start: I8


def empty(size: int) -> BitSet:
    """Return an empty set of integers below `size`."""
    start, total, width = [], 0, max(size, 1)
    while True:
        width = (width + 63) // 64
        start.append(total)
        total += width
        if width == 1:
            break
    return BitSet(np.zeros(total, np.uint64), np.array(start, np.int64))


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Return the index of the lowest set bit of a non-zero u64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@inner
def insert(s, i):
    one = np.uint64(1)
    for level in range(s.start.size):
        word = s.start[level] + (i >> 6)
        before = s.words[word]
        s.words[word] = before | (one << np.uint64(i & 63))
        if before != 0:
            return
        i >>= 6


@inner
def remove(s, i):
    one = np.uint64(1)
    for level in range(s.start.size):
        word = s.start[level] + (i >> 6)
        after = s.words[word] & ~(one << np.uint64(i & 63))
        s.words[word] = after
        if after != 0:
            return
        i >>= 6


@inner
def first_from(s, i, limit):
    """Return the smallest member in [i, limit), or -1."""
    if i >= limit:
        return -1
    levels = s.start.size
    level = 0
    at = i
    while True:
        word = s.start[level] + (at >> 6)
        end = s.start[level + 1] if level + 1 < levels else s.words.size
        if word >= end:
            return -1
        left = s.words[word] >> np.uint64(at & 63)
        if left != 0:
            at += np.int64(trailing_zeros(left))
            break
        at = (at >> 6) + 1
        level += 1
        if level == levels:
            return -1
    while level > 0:
        level -= 1
        at = (at << 6) + np.int64(trailing_zeros(s.words[s.start[level] + at]))
    return at if at < limit else -1
