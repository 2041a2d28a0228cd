"""Names and parameters of policies, as users write them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from apportion.model.errors import PolicyError
from apportion.policies.allocators.round_robin import RoundRobin
from apportion.policies.orders.fifo import Fifo
from apportion.policies.orders.las import LeastAttainedService
from apportion.policies.orders.sjf import ShortestJobFirst
from apportion.policies.parameters import at_least, build, one_of
from apportion.policies.placements.best_fit import BestFit
from apportion.policies.placements.random import RandomPlacement
from apportion.policies.placements.spread import Spread
from apportion.policies.protocol import Allocator, Order, Placement
from apportion.policies.registry import ALLOCATORS, ORDERS, PLACEMENTS, entries, parse_policy


@dataclass(frozen=True)
class Knobs:
    """One field of every type."""

    wait_s: float = 1.0
    share: float = 0.5
    count: int = 3
    on: bool = True
    word: str = "a"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, Knobs()),
        ({"wait": "2m"}, Knobs(wait_s=120.0)),
        ({"wait": "1.5h", "share": "1e-3"}, Knobs(wait_s=5400.0, share=0.001)),
        ({"count": "-7", "on": "No"}, Knobs(count=-7, on=False)),
        ({"on": "1", "word": "b c"}, Knobs(on=True, word="b c")),
    ],
)
def test_values_are_read_by_the_type_of_their_field(given: dict[str, str], made: Knobs) -> None:
    assert build(Knobs, "knobs", given) == made


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"wait": "soon"}, "found wait=soon, expected a duration such as 60, 5m or 1h"),
        ({"share": "half"}, "found share=half, expected a number"),
        ({"count": "1.5"}, "found count=1.5, expected a whole number"),
        ({"on": "maybe"}, "found on=maybe, expected yes or no"),
        ({"wait_s": "1"}, "unknown parameter 'wait_s'; did you mean 'wait'?"),
        ({"zzz": "1"}, r"unknown parameter 'zzz' \(known: wait, share, count, on, word\)"),
    ],
)
def test_wrong_values_are_shown(given: dict[str, str], said: str) -> None:
    with pytest.raises(PolicyError, match=f"^knobs: {said}"):
        build(Knobs, "knobs", given)


def test_bounds_and_choices() -> None:
    at_least("p", "k", 1, 1)
    one_of("p", "k", "a", ("a", "b"))
    for value in (0.5, float("nan")):
        with pytest.raises(PolicyError, match=f"p: found k={value:g}, expected at least 1"):
            at_least("p", "k", value, 1)
    with pytest.raises(PolicyError, match="p: found k=first, expected firs or b; did you mean 'firs'"):
        one_of("p", "k", "first", ("firs", "b"))


def test_halves_that_are_left_out_have_defaults() -> None:
    assert parse_policy("sjf").placement == parse_policy("sjf+best-fit").placement == BestFit()
    assert parse_policy("spread").order == Fifo()
    assert parse_policy("spread").placement == Spread()
    assert isinstance(parse_policy("round-robin").order, RoundRobin)


def test_a_name_that_is_an_order_and_a_placement_is_the_order() -> None:
    assert parse_policy("random").placement == BestFit()
    assert parse_policy("fifo+random").placement == RandomPlacement()


def test_parameters_in_brackets() -> None:
    policy = parse_policy(" las[quantum=10m, conserve=no] + spread ")
    assert policy.name == "las[quantum=10m, conserve=no] + spread"
    assert policy.order == LeastAttainedService(600.0, conserve=False)
    assert policy.placement == Spread()
    assert parse_policy("sjf[]").order == ShortestJobFirst()


@pytest.mark.parametrize("text", ["sjf[on]", "sjf[on=x+y", "sjf]", "a b", "sjf++spread", "spread+sjf", "sjf+fifo"])
def test_text_that_names_no_policy(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    assert "\n" not in str(caught.value)


def test_every_entry_can_be_had_and_is_what_it_says() -> None:
    kinds = {"order": Order, "placement": Placement, "allocator": Allocator}
    own = [(e.kind, e.name) for e in entries() if e.target != "entry point"]
    assert own == [("order", n) for n in ORDERS] + [("allocator", n) for n in ALLOCATORS] + [
        ("placement", n) for n in PLACEMENTS
    ]
    for entry in entries():
        assert isinstance(build(entry.load(), entry.name, {}), kinds[entry.kind])


def test_an_allocator_starts_afresh_every_time() -> None:
    first, second = parse_policy("round-robin").order, parse_policy("round-robin").order
    assert first is not second
