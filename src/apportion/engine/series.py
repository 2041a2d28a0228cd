"""Fragmentation over a finished run: the cluster is replayed change by change."""

from __future__ import annotations

import numpy as np

from apportion.engine.fragment import fragment
from apportion.engine.jit import entry
from apportion.engine.layout import F8, Records
from apportion.engine.replay import apply_change
from apportion.engine.state import State
from apportion.engine.world import nodes


def fragment_series(state: State, changes: Records) -> F8:
    """Apply `changes` one after the other to the idle cluster of `state`, which has typical tasks.

    Returns
    -------
    f8[changes + 1]: F(M) of the cluster in milli-GPU, before the first and after each change.
    """
    out = np.zeros(changes.size + 1)
    _series(state.root, changes, out)
    return out


@entry
def _series(root, changes, out):
    w = root[0]
    by_node = np.zeros(w.nodes_n)
    for n in range(w.nodes_n):
        by_node[n] = fragment(w, nodes(w)[n])
        out[0] += by_node[n]
    total = out[0]
    for i in range(changes.size):
        n = changes[i].node
        apply_change(nodes(w)[n], changes[i])
        now = fragment(w, nodes(w)[n])
        total += now - by_node[n]
        by_node[n] = now
        out[i + 1] = total
