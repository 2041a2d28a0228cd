"""Go's `math/rand`, number for number: the generator behind the published orders of a Go simulator.

The source is an additive lagged Fibonacci generator: word n is word n - 607 plus word n - 273, modulo 2^64.
Here a state is its 607 words, oldest first; Go keeps them in a ring that it walks backwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from apportion.model.errors import InputError

LENGTH, TAP = 607, 273
SEED_MODULUS, SEED_FACTOR, SEED_WARM_UP = 2**31 - 1, 48271, 20
SEED_FOR_ZERO = 89482311
TABLE_STEPS = 7_800_000_000_000
"""How far Go's authors ran the generator from seed 1 for the table that every seed is mixed with."""
BLOCK = 8 * TAP

Words = npt.NDArray[np.uint64]


class GoRandom:
    """The numbers of `rand.New(rand.NewSource(seed))`, and so of `rand.Seed(seed)`, on a 64-bit machine.

    Go 1 promises that a seed gives the same numbers for ever. Methods have Go's names; `Int` is `int63`.

    Source: the Go programming language, package math/rand (rng.go, gen_cooked.go, rand.go).

    Examples
    --------
    >>> random = GoRandom(1)
    >>> [random.intn(100) for _ in range(10)]
    [81, 87, 47, 59, 81, 18, 25, 40, 56, 0]
    """

    def __init__(self, seed: int) -> None:
        self._words = _words(_seeded(seed, _table()))

    def int63(self) -> int:
        """Return a whole number in [0, 2^63)."""
        return next(self._words)

    def uint32(self) -> int:
        """Return a whole number in [0, 2^32)."""
        return next(self._words) >> 31

    def int31(self) -> int:
        """Return a whole number in [0, 2^31)."""
        return next(self._words) >> 32

    def intn(self, n: int) -> int:
        """Return a whole number in [0, n).

        Raises
        ------
        InputError: n is below 1 or above 2^63 - 1.
        """
        if not 1 <= n < 2**63:
            raise InputError(f"found n={n}, expected 1 to 2^63 - 1")
        shift = 32 if n < 2**31 else 0
        numbers = 2**63 >> shift
        limit = numbers - numbers % n
        while True:
            drawn = next(self._words) >> shift
            if drawn < limit:
                return drawn % n

    def float64(self) -> float:
        """Return a number in [0, 1)."""
        while True:
            drawn = next(self._words) / 2**63
            if drawn < 1.0:
                return drawn

    def shuffle(self, items: list[Any]) -> None:
        """Shuffle a list of fewer than 2^31 items in place, as Go does when its `swap` swaps two of them."""
        words = self._words
        for last in range(len(items) - 1, 0, -1):
            # Lemire, Fast Random Integer Generation in an Interval (2019): the high half of a product.
            product = (next(words) >> 31) * (last + 1)
            if product & 0xFFFFFFFF <= last:
                uneven = 2**32 % (last + 1)
                while product & 0xFFFFFFFF < uneven:
                    product = (next(words) >> 31) * (last + 1)
            other = product >> 32
            items[last], items[other] = items[other], items[last]

    def perm(self, n: int) -> list[int]:
        """Return the numbers 0 to n - 1 in random order."""
        order = [0] * n
        for i in range(n):
            j = self.intn(i + 1)
            order[i] = order[j]
            order[j] = i
        return order


def _words(state: Words) -> Iterator[int]:
    """Yield the low 63 bits of the words that follow a state, for ever."""
    while True:
        words = _extended(state, BLOCK)
        yield from (words[LENGTH:] & np.uint64(2**63 - 1)).tolist()
        state = words[-LENGTH:]


def _extended(state: Words, number: int) -> Words:
    """Return a state and the `number` words that follow it, u64[607 + number]."""
    words = np.empty(LENGTH + number, dtype=np.uint64)
    words[:LENGTH] = state
    for start in range(LENGTH, len(words), TAP):
        end = min(start + TAP, len(words))
        words[start:end] = words[start - LENGTH : end - LENGTH] + words[start - TAP : end - TAP]
    return words


def _ring(steps: int) -> npt.NDArray[np.int64]:
    """Return where Go keeps the words of a state after so many draws, oldest first, i64[607]."""
    return (LENGTH - TAP - 1 - steps - np.arange(LENGTH)) % LENGTH


@cache
def _table() -> Words:
    """Return the words that Go mixes with a seed, at their places in the ring, u64[607]."""
    table = np.empty(LENGTH, dtype=np.uint64)
    table[_ring(TABLE_STEPS)] = _jumped(_scattered(1, (20, 10, 0))[_ring(0)], TABLE_STEPS)
    return table


def _seeded(seed: int, table: Words) -> Words:
    """Return the state, u64[607], that a seed begins with."""
    start = seed % SEED_MODULUS or SEED_FOR_ZERO
    return (_scattered(start, (40, 20, 0)) ^ table)[_ring(0)]


def _scattered(start: int, shifts: tuple[int, int, int]) -> Words:
    """Return the words that a number spreads to, at their places in the ring, u64[607]."""
    three: Words = _powers() * np.uint64(start) % np.uint64(SEED_MODULUS) << np.array(shifts, dtype=np.uint64)
    return three[:, 0] ^ three[:, 1] ^ three[:, 2]


@cache
def _powers() -> Words:
    """Return the powers of the factor that a seed is multiplied by for each word, u64[607, 3]."""
    first = SEED_WARM_UP + 1
    powers = [pow(SEED_FACTOR, k, SEED_MODULUS) for k in range(first, first + 3 * LENGTH)]
    return np.array(powers, dtype=np.uint64).reshape(LENGTH, 3)


def _jumped(state: Words, steps: int) -> Words:
    """Return the state after so many draws, in time that grows with the digits of `steps`.

    The words obey x^607 = x^334 + 1, so the remainder of x^steps by that polynomial has for coefficients the
    weights with which 607 words in a row sum to the word `steps` later.
    """
    weights = np.zeros(LENGTH, dtype=np.uint64)
    weights[0] = 1
    for digit in bin(steps)[2:]:
        weights = _remainder(np.convolve(weights, weights))
        if digit == "1":
            weights = _remainder(np.concatenate([np.zeros(1, dtype=np.uint64), weights]))
    return np.correlate(_extended(state, LENGTH - 1), weights, mode="valid")


def _remainder(polynomial: Words) -> Words:
    """Return the remainder by x^607 - x^334 - 1; coefficients lowest first, u64[607]."""
    rest, end = polynomial.copy(), len(polynomial)
    while end > LENGTH:
        start = max(LENGTH, end - TAP)
        rest[start - TAP : end - TAP] += rest[start:end]
        rest[start - LENGTH : end - LENGTH] += rest[start:end]
        end = start
    return rest[:LENGTH]
