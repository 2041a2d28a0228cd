"""Put the pieces of a job on nodes: all of them, or none."""

from __future__ import annotations

import numpy as np

from apportion.engine.fit import give_back, take
from apportion.engine.index import best_node, current, touch
from apportion.engine.jit import compiled, inner
from apportion.engine.scoring import device_of
from apportion.engine.world import KIND_SIGNATURE, nodes, puts, slots, tasks


@compiled(KIND_SIGNATURE)
def room_for(w, kind):
    """Say (1 or 0) whether the pieces of a class can fit now; for a job with a smaller last piece, whether they may."""
    k = current(w, kind.shape)
    if slots(w)[k].total < kind.count:
        return 0
    if kind.rest >= 0:
        k = current(w, kind.rest)
        return np.int64(slots(w)[k].total > 0)
    return 1


@compiled(KIND_SIGNATURE)
def place(w, kind):
    """Allocate every piece of a class, or nothing; the places go to the end of `puts`. Return 1 if it fitted or 0."""
    if slots(w)[current(w, kind.shape)].total < kind.count:
        return 0
    first = w.put_count
    for piece in range(kind.pieces):
        shape = kind.shape if piece < kind.count else kind.rest
        n = best_node(w, current(w, shape))
        if n < 0:
            _reopen(w, kind, first, piece)
            for p in range(first, first + piece):
                put = puts(w)[p]
                give_back(nodes(w)[put.node], tasks(w)[put.shape], put.mask)
                touch(w, put.node)
            return 0
        put = puts(w)[first + piece]
        node, task = nodes(w)[n], tasks(w)[shape]
        put.mask = take(node, task, device_of(w, node, task))
        put.node = n
        put.shape = shape
        if kind.apart:
            node.up = 0
        touch(w, n)
    _reopen(w, kind, first, kind.pieces)
    return 1


@inner
def _reopen(w, kind, first, pieces):
    """Open the nodes again that were closed to the other pieces of a class whose pieces run apart."""
    if kind.apart:
        for p in range(first, first + pieces):
            nodes(w)[puts(w)[p].node].up = 1
            touch(w, puts(w)[p].node)
