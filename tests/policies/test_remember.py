"""What an allocator remembers goes into a text and comes back as it was."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from apportion.engine.view import Decision, View
from apportion.model.errors import PolicyError
from apportion.policies.registry import ALLOCATORS, Entry
from apportion.policies.remember import only, recall, remembered


@dataclass
class Inner:
    """Something inside."""

    at: float
    draws: random.Random = field(default_factory=lambda: random.Random(3), init=False)


@dataclass
class Remembering:
    """An allocator with everything that can be remembered."""

    round_s = 60.0
    remembers = ("values",)
    values: Any = None

    def decide(self, view: View) -> Decision:
        """Give nothing."""
        return Decision(np.zeros(view.jobs.size))


def again(value: Any) -> Any:
    fresh = Remembering()
    recall(fresh, json.loads(json.dumps(remembered(Remembering(value)), allow_nan=False)))
    return fresh.values


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 0.1, -np.inf, "a", b"\x00\xff", [1, "b"], (1, (2.5,)), {3: (1.0, np.inf), (1, 2): []}, np.int64(4)],
    ids=repr,
)
def test_values_come_back(value: Any) -> None:
    assert again(value) == value
    assert type(again(value)) is type(value) or isinstance(value, np.generic)


def test_arrays_come_back() -> None:
    for value in (np.array([[1.5, np.nan]]), np.zeros((0, 2), np.int64), np.array([True, False])):
        back = again(value)
        np.testing.assert_array_equal(back, value)
        assert back.dtype == value.dtype and back.shape == value.shape


def test_what_is_drawn_goes_on() -> None:
    inner = Inner(np.inf)
    inner.draws.random()
    back = again({7: inner})[7]
    assert isinstance(back, Inner) and back.at == np.inf
    assert back.draws.random() == inner.draws.random()


def test_a_kind_that_cannot_be_kept_is_named() -> None:
    with pytest.raises(PolicyError, match="found set in values, which cannot be remembered"):
        remembered(Remembering({1}))


def test_jobs_that_are_gone_are_forgotten() -> None:
    state = remembered(Remembering({3: 1.0, 5: 2.0}))
    assert only(state, {5}) == {"values": {"dict": [[5, 2.0]]}}
    kept = remembered(Remembering([3, 5]))
    assert only(kept, {5}) == kept


@pytest.mark.parametrize("name", sorted(ALLOCATORS))
def test_all_that_an_allocator_keeps_of_a_run_is_remembered(name: str) -> None:
    """An attribute that is set after the parameters is remembered, or is made anew before every decision."""
    kind = Entry(name, "allocator", ALLOCATORS[name]).load()
    made = {
        "shockwave": {"_regimes", "every_round"},
        "gavel": {"_price"},
        # it draws pairs only where speeds of pairs are known: of a simulated run
        "gandiva": {"_partner", "_random"},
    }
    own = {item.name for item in getattr(kind, "__dataclass_fields__", {}).values() if not item.init}
    assert own - made.get(name, set()) == set(getattr(kind, "remembers", ()))
    remembered(kind())
