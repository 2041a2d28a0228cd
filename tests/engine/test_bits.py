"""The set of small integers, against Python's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.engine.bits import empty, first_from, insert, remove
from apportion.engine.jit import entry

INSERT, REMOVE, FIRST = 0, 1, 2


@entry
def play(words, levels, what, values, limits):
    """Do one thing after another; return what was found, -2 where nothing was asked."""
    found = np.full(what.size, -2)
    for n in range(what.size):
        if what[n] == 0:
            insert(words, levels, values[n])
        elif what[n] == 1:
            remove(words, levels, values[n])
        else:
            found[n] = first_from(words, levels, values[n], limits[n])
    return found


@st.composite
def plays(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, int]]]:
    """Draw a size, and what to do; numbers around the ends of words are likely."""
    size = draw(st.sampled_from([1, 2, 63, 64, 65, 128, 4095, 4096, 4097, 300_000]))
    edges = sorted({n for k in (0, 1, 63, 64, 65, 127, 4095, 4096, 262_144, size - 1) for n in (k,) if 0 <= n < size})
    number = st.sampled_from(edges) | st.integers(0, size - 1)
    step = st.tuples(st.sampled_from([INSERT, INSERT, REMOVE, FIRST, FIRST]), number, st.integers(0, size))
    return size, draw(st.lists(step, max_size=60))


@given(plays())
@settings(max_examples=300, deadline=None)
def test_it_is_a_set(play_of: tuple[int, list[tuple[int, int, int]]]) -> None:
    size, steps = play_of
    words, levels = empty(size)
    table = np.array(steps, np.int64).reshape(-1, 3)
    found = play(words, levels, table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy())
    members: set[int] = set()
    for n, (what, value, limit) in enumerate(steps):
        if what == INSERT:
            members.add(value)
        elif what == REMOVE:
            members.discard(value)
        else:
            assert found[n] == min((m for m in members if value <= m < limit), default=-1)


@pytest.mark.parametrize("size", [0, 1, 64, 65, 10_000_000])
def test_a_level_is_a_word_per_sixty_four(size: int) -> None:
    words, levels = empty(size)
    assert words.dtype == np.uint64
    assert not words.any()
    assert levels.size == max(1, int(np.ceil(np.log(max(size, 2)) / np.log(64))))
    assert words.size - levels[-1] == 1
