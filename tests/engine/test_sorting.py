"""The small sort, against Python's."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.engine.jit import entry
from apportion.engine.sorting import sorted_by


@entry
def order_of(keys, ties):
    """Call the compiled sort."""
    return sorted_by(keys, ties)


keys = st.sampled_from([-np.inf, -1.5, 0.0, 1.0, np.inf]) | st.floats(allow_nan=False)


@given(st.lists(st.tuples(keys, st.integers(-3, 3)), max_size=80))
@settings(max_examples=200, deadline=None)
def test_positions_are_in_the_order_of_keys_and_ties(pairs: list[tuple[float, int]]) -> None:
    order = order_of(np.array([k for k, _ in pairs], float), np.array([t for _, t in pairs], np.int64))
    assert sorted(order.tolist()) == list(range(len(pairs)))
    assert [pairs[i] for i in order] == sorted(pairs)


@given(st.permutations(range(40)))
@settings(max_examples=50, deadline=None)
def test_ties_decide_between_equal_keys(ties: list[int]) -> None:
    order = order_of(np.zeros(len(ties)), np.array(ties, np.int64))
    assert [ties[i] for i in order] == sorted(ties)
