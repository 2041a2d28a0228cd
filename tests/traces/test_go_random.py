"""Go's generator against the numbers that Go programs print."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apportion.model.errors import InputError
from apportion.traces.go_random import LENGTH, TAP, GoRandom, _jumped, _ring, _table

WORDS = 2**63
SEEDS = st.integers(-(2**63), 2**63 - 1)


def scripted(*words: int) -> GoRandom:
    """A generator that draws the words given, then no more."""
    random = GoRandom(1)
    random._words = iter(words)
    return random


def drawn_by_hand(seed: int, number: int) -> list[int]:
    """The 63-bit words of a seed as Go draws them: one by one, walking backwards round the ring."""
    ring, x = [], seed % (2**31 - 1) or 89482311
    for i in range(-20, LENGTH):
        x = x * 48271 % (2**31 - 1)
        if i >= 0:
            word = x << 40
            x = x * 48271 % (2**31 - 1)
            word ^= x << 20
            x = x * 48271 % (2**31 - 1)
            ring.append((word ^ x ^ int(_table()[i])) % 2**64)
    tap, feed, words = 0, LENGTH - TAP, []
    for _ in range(number):
        tap, feed = (tap - 1) % LENGTH, (feed - 1) % LENGTH
        ring[feed] = (ring[feed] + ring[tap]) % 2**64
        words.append(ring[feed] % WORDS)
    return words


def test_numbers_that_go_prints() -> None:
    random = GoRandom(1)
    assert [random.int63() for _ in range(3)] == [5577006791947779410, 8674665223082153551, 6129484611666145821]
    random = GoRandom(1)
    assert [random.intn(100) for _ in range(10)] == [81, 87, 47, 59, 81, 18, 25, 40, 56, 0]
    random = GoRandom(42)
    assert [random.intn(100) for _ in range(3)] == [5, 87, 68]
    random = GoRandom(1)
    assert [random.float64() for _ in range(3)] == [0.6046602879796196, 0.9405090880450124, 0.6645600532184904]


def test_numbers_a_word_is_cut_to() -> None:
    assert GoRandom(1).uint32() == 5577006791947779410 >> 31
    assert GoRandom(1).int31() == 5577006791947779410 >> 32


@given(SEEDS)
def test_the_words_are_those_drawn_one_by_one(seed: int) -> None:
    random = GoRandom(seed)
    assert [random.int63() for _ in range(3000)] == drawn_by_hand(seed, 3000)


@given(st.integers(0, 2000), st.integers(0, 2**64 - 1))
def test_a_jump_is_so_many_steps(steps: int, seed: int) -> None:
    state = np.random.default_rng(seed).integers(0, 2**64, LENGTH, dtype=np.uint64)
    words = [int(word) for word in state]
    for _ in range(steps):
        words.append((words[-LENGTH] + words[-TAP]) % 2**64)
    assert _jumped(state, steps).tolist() == words[-LENGTH:]
    assert sorted(_ring(steps)) == list(range(LENGTH))


def test_jumps_add_up() -> None:
    state = np.random.default_rng(0).integers(0, 2**64, LENGTH, dtype=np.uint64)
    far = 7_800_000_000_000
    assert np.array_equal(_jumped(_jumped(state, far), 12345), _jumped(state, far + 12345))


def test_seeds_that_go_takes_for_the_same() -> None:
    first = [GoRandom(seed).int63() for seed in (5, 5 + 2**31 - 1, 5 - (2**31 - 1))]
    assert len(set(first)) == 1
    assert GoRandom(0).int63() == GoRandom(89482311).int63() == GoRandom(2**31 - 1).int63()


def test_uneven_numbers_are_drawn_again() -> None:
    top = 2**31
    assert scripted((top - 1) << 32, (top - 2) << 32, (top - 3) << 32).intn(3) == (top - 3) % 3
    assert scripted((top - 1) << 32).intn(8) == 7
    large = 3 * 2**40
    uneven = WORDS % large
    assert scripted(WORDS - 1, WORDS - uneven, WORDS - uneven - 1).intn(large) == large - 1
    assert scripted(WORDS - 1).intn(2**31) == 2**31 - 1
    assert scripted(WORDS - 1, 1 << 62).float64() == 0.5


def test_a_shuffle_draws_uneven_numbers_again() -> None:
    items = ["a", "b", "c"]
    scripted(0, 2**31 << 31, 0).shuffle(items)
    assert items == ["c", "a", "b"]


@given(SEEDS, st.integers(1, 2**63 - 1))
def test_numbers_are_in_range(seed: int, n: int) -> None:
    random = GoRandom(seed)
    assert all(0 <= random.intn(n) < n for _ in range(10))
    assert all(0 <= random.float64() < 1 for _ in range(10))


@given(SEEDS, st.integers(0, 50))
def test_shuffles_and_permutations_lose_nothing(seed: int, n: int) -> None:
    random = GoRandom(seed)
    items = list(range(n))
    random.shuffle(items)
    assert sorted(items) == sorted(random.perm(n)) == list(range(n))
    again = GoRandom(seed)
    for _ in range(max(n - 1, 0) + n):  # one number for each step
        again.int63()
    assert again.int63() == random.int63()


@pytest.mark.parametrize("n", [0, -1, 2**63])
def test_a_range_that_cannot_be_is_refused(n: int) -> None:
    with pytest.raises(InputError, match=rf"found n={n}, expected 1 to 2\^63 - 1"):
        GoRandom(1).intn(n)
