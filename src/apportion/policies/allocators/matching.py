"""Give every row a column of its own at the least total cost.

Shortest augmenting paths with potentials: Jonker and Volgenant, Computing 38, 1987; in the rectangular form of Crouse,
IEEE Transactions on Aerospace and Electronic Systems 52, 2016. O(rows^2 x columns).
"""

from __future__ import annotations

import numpy as np

from apportion.engine.jit import entry
from apportion.engine.layout import F8, I8


def match(cost: F8) -> I8:
    """Return the column of each row, i8[rows].

    Parameters
    ----------
    cost: f8[rows, columns], finite, at least as many columns as rows.
    """
    return np.asarray(_match(np.ascontiguousarray(cost, np.float64)))


@entry
def _match(cost: F8) -> I8:
    rows, columns = cost.shape
    of_row, of_column = np.full(rows, -1), np.full(columns, -1)
    u, v = np.zeros(rows), np.zeros(columns)
    shortest, came_from = np.empty(columns), np.empty(columns, np.int64)
    for row in range(rows):
        shortest[:] = np.inf
        seen_row, seen_column = np.zeros(rows, np.bool_), np.zeros(columns, np.bool_)
        length, i, sink = 0.0, row, -1
        while sink < 0:
            seen_row[i] = True
            best, at = np.inf, -1
            for j in range(columns):
                if seen_column[j]:
                    continue
                through = length + cost[i, j] - u[i] - v[j]
                if through < shortest[j]:
                    shortest[j] = through
                    came_from[j] = i
                if shortest[j] < best or (shortest[j] == best and of_column[j] < 0):
                    best, at = shortest[j], j
            length = best
            seen_column[at] = True
            if of_column[at] < 0:
                sink = at
            else:
                i = of_column[at]
        u[row] += length
        for i in range(rows):
            if seen_row[i] and i != row:
                u[i] += length - shortest[of_row[i]]
        for j in range(columns):
            if seen_column[j]:
                v[j] -= length - shortest[j]
        while True:
            i = came_from[sink]
            of_column[sink] = i
            before = of_row[i]
            of_row[i] = sink
            sink = before
            if i == row:
                break
    return of_row
