"""Means of earlier jobs, against looking at every earlier job."""

from __future__ import annotations

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from apportion.predict.history import back_off, mean_of_earlier

jobs = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 50)), max_size=25)
KEYS = st.sampled_from([(), ("user",), ("group",), ("group", "user")])


def frame_of(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    """Return the rows as a table."""
    return pl.DataFrame(rows, schema={"user": pl.String, "group": pl.String, "duration_s": pl.Float64}, orient="row")


def look_back(rows: list[tuple[str, str, int]], keys: tuple[str, ...], i: int) -> float | None:
    """Return the mean of the rows before `i` with the same keys."""
    at = [("user", "group").index(key) for key in keys]
    earlier = [row[2] for row in rows[:i] if all(row[k] == rows[i][k] for k in at)]
    return sum(earlier) / len(earlier) if earlier else None


def same(found: float | None, expected: float | None) -> bool:
    """Say whether two means are the same."""
    if found is None or expected is None:
        return found is expected
    return math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-9)


@given(jobs, KEYS)
def test_the_mean_of_earlier_jobs(rows: list[tuple[str, str, int]], keys: tuple[str, ...]) -> None:
    found = mean_of_earlier(frame_of(rows), keys).to_list()
    assert len(found) == len(rows)
    assert all(same(mean, look_back(rows, keys, i)) for i, mean in enumerate(found))


@given(jobs, st.lists(KEYS, min_size=1, max_size=3))
def test_the_first_level_that_has_any(rows: list[tuple[str, str, int]], levels: list[tuple[str, ...]]) -> None:
    found = back_off(frame_of(rows), levels).to_list()
    for i, mean in enumerate(found):
        means = (look_back(rows, keys, i) for keys in levels)
        assert same(mean, next((m for m in means if m is not None), 0.0))
