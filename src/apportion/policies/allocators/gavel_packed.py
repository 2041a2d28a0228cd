"""Gavel with space sharing: jobs of equal width may run in pairs on the same GPUs.

Narayanan et al., OSDI 2020, sections 3.1 and 4.5 (aggregation by job type). Instead of a variable for every pair of
jobs there is one for every job and *kind* of job (type and width) beside it, and equations that say that the time kind
a is beside kind b is the time that b is beside a. The answer is then dealt out to pairs of jobs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.policies.allocators.gavel_case import Ways

LEAST = 1e-6
"""A part of the time below this is none."""


def partners(kind: I8, count: F8, width: F8, beside: F8, speed: F8) -> tuple[F8, Ways, I8]:
    """Return the ways to run in pairs.

    Parameters
    ----------
    kind: i8[rows], count: f8[rows], jobs a row stands for; width: f8[rows]. beside: f8[kinds, kinds, models, 2], as in
    `View`. speed: f8[rows, models], alone.

    Returns
    -------
    (f8[rows, ways], speeds; the ways; i8[rows, ways], the kind beside a job of each row, -1 = no such way).

    Ways on which two are together no faster than in turns are left out: who takes turns is as well off.
    """
    models = speed.shape[1]
    numbers = np.bincount(kind, count)
    blocks: list[I8] = []
    for size in np.unique(width):
        here = np.unique(kind[width == size])
        blocks.append(here)
    most = max(here.size for here in blocks)
    block_of = {int(k): here for here in blocks for k in here}
    other = np.full((kind.size, most), -1)
    for r, k in enumerate(kind.tolist()):
        other[r, : block_of[k].size] = block_of[k]
    own = beside[kind[:, None], other, :, 0]
    others = beside[kind[:, None], other, :, 1]
    alone = np.zeros((int(kind.max()) + 1, models))
    alone[kind] = speed
    with np.errstate(divide="ignore", invalid="ignore"):
        together = own / speed[:, None, :] + others / alone[other]
    single = (other == kind[:, None]) & (numbers[other] < 2)
    usable = (own > 0) & (others > 0) & (together > 1) & ((other >= 0) & ~single)[:, :, None]
    # both sides of a pair must agree, though a table may measure them apart
    place = {int(k): (b, n) for b, here in enumerate(blocks) for n, k in enumerate(here)}
    first = {int(k): int(r) for r, k in reversed(list(enumerate(kind.tolist())))}
    for r in range(kind.size):
        for b in np.flatnonzero(other[r] >= 0):
            usable[r, b] &= usable[first[int(other[r, b])], place[int(kind[r])][1]]
    found = np.where(usable, own, 0.0).reshape(kind.size, -1)
    ways = Ways(np.tile(np.arange(models), most), *_equations(kind, count, other, usable, place))
    return found, ways, np.repeat(other, models, axis=1)


def _equations(
    kind: I8, count: F8, other: I8, usable: np.ndarray, place: dict[int, tuple[int, int]]
) -> tuple[tuple[I8, I8, I8, F8], int]:
    models = usable.shape[2]
    rows_of = {int(k): np.flatnonzero(kind == k) for k in np.unique(kind)}
    entries: list[tuple[int, int, int, float]] = []
    equation = 0
    for a, rows in rows_of.items():
        for b in other[rows[0]][other[rows[0]] >= 0].tolist():
            at = place[b][1]
            if b < a or not usable[rows[0], at].any():
                continue
            for model in np.flatnonzero(usable[rows[0], at]).tolist():
                way, back = at * models + model, place[a][1] * models + model
                if a != b:
                    entries += [(equation, int(r), way, float(count[r])) for r in rows]
                    entries += [(equation, int(r), back, -float(count[r])) for r in rows_of[b]]
                    equation += 1
                    continue
                # among jobs of one kind: all the same, which can always be dealt out
                for r in rows[1:]:
                    entries += [(equation, int(rows[0]), way, 1.0), (equation, int(r), way, -1.0)]
                    equation += 1
    table = np.array(entries, np.float64).reshape(-1, 4)
    index = table[:, :3].astype(np.int64)
    # a way that cannot be used needs no equation: it has no speed, and costs GPUs
    return (index[:, 0], index[:, 1], index[:, 2], table[:, 3]), equation


def deal(x: F8, kind: I8, partner: I8, models: int) -> tuple[I8, F8]:
    """Deal time beside kinds out to pairs of jobs.

    Parameters
    ----------
    x: f8[jobs, ways], time of each job on each way. kind: i8[jobs]. partner: i8[jobs, ways].

    Returns
    -------
    (i8[pairs, 2], the lower first; f8[pairs, models], time together).
    """
    found: dict[tuple[int, int], F8] = {}
    for a in np.unique(kind):
        mine = np.flatnonzero(kind == a)
        for way in np.flatnonzero(x[mine].max(axis=0) > LEAST).tolist():
            b, model = int(partner[mine[0], way]), way % models
            if b < a:
                continue
            theirs = np.flatnonzero(kind == b)
            if a == b:
                dealt = _among(mine, float(x[mine, way].mean()))
            else:
                back = np.flatnonzero((partner[theirs[0]] == a) & (np.arange(partner.shape[1]) % models == model))[0]
                dealt = _between(mine, x[mine, way], theirs, x[theirs, back])
            for i, k, time in dealt:
                found.setdefault((min(i, k), max(i, k)), np.zeros(models))[model] += time
    pairs = np.array(sorted(found), np.int64).reshape(-1, 2)
    times = np.array([found[i, k] for i, k in pairs.tolist()], np.float64).reshape(-1, models)
    return pairs, np.minimum(times, 1.0)


def _between(mine: I8, my_time: F8, theirs: I8, their_time: F8) -> Iterator[tuple[int, int, float]]:
    """Deal out in order until either side is used up: at most one pair more than there are jobs."""
    left, right = my_time.tolist(), their_time.tolist()
    i = k = 0
    while i < len(left) and k < len(right):
        time = min(left[i], right[k])
        if time > LEAST:
            yield int(mine[i]), int(theirs[k]), time
        left[i] -= time
        right[k] -= time
        if left[i] <= LEAST:
            i += 1
        else:
            k += 1


def _among(jobs: I8, time: float) -> Iterator[tuple[int, int, float]]:
    """Pair jobs of one kind so that each has the same time: two and two, three in a ring where the number is odd."""
    ring = jobs[-3:].tolist() if jobs.size % 2 else []
    even = jobs[: jobs.size - len(ring)].tolist()
    for i, k in zip(even[::2], even[1::2], strict=True):
        yield i, k, time
    for i, k in zip(ring, ring[1:] + ring[:1], strict=True):
        yield i, k, time / 2
