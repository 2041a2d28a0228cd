"""Rows for intervals: those that overlap in time get different lanes."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def lanes(track: Ints, start: Ints, end: Ints) -> Ints:
    """Return a lane, from 0, for each interval, so that intervals of one track and lane do not overlap.

    The lowest free lane is taken: a track that never holds two at once uses lane 0 only.

    Parameters
    ----------
    track, start, end: i64[n]; an interval may start when another ends.
    """
    out = np.zeros(track.size, dtype=np.int64)
    order = np.lexsort((end, start, track))
    current, used = -1, 0
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    columns = (order.tolist(), track[order].tolist(), start[order].tolist(), end[order].tolist())
    for i, key, begin, finish in zip(*columns):
        if key != current:
            current, used, free, busy = key, 0, [], []
        while busy and busy[0][0] <= begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, used = used, used + 1
        heapq.heappush(busy, (finish, lane))
        out[i] = lane
    return out
