"""Tasks arrive, nothing departs: place one after the other and note how full and how fragmented the cluster is."""

from __future__ import annotations

from apportion.engine.fragment import fragment
from apportion.engine.jit import entry
from apportion.engine.world import call_kind, kinds, nodes, puts


@entry
def fill(root, arrivals, first, last, fragments, used, fragmented, placed):
    """Place `arrivals[first:last]`, numbers of classes; what finds no place is dropped.

    Parameters
    ----------
    fragments: f8[nodes], F_n of each node, kept up to date. used, fragmented: f8[arrivals], milli-GPU allocated and in
    fragments after each arrival. placed: i8[arrivals], the first entry of `puts` of what was placed, else -1.
    """
    w = root[0]
    total = 0.0
    taken = used[first - 1] if first > 0 else 0.0
    for n in range(fragments.size):
        total += fragments[n]
    for e in range(first, last):
        kind = kinds(w)[arrivals[e]]
        placed[e] = -1
        if call_kind(w.place_kernel, w, kind) != 0:
            placed[e] = w.put_count
            for p in range(w.put_count, w.put_count + kind.pieces):
                node = puts(w)[p].node
                now = fragment(w, nodes(w)[node])
                total += now - fragments[node]
                fragments[node] = now
            w.put_count += kind.pieces
            taken += kind.milli
        used[e] = taken
        fragmented[e] = total


@entry
def measure(root, fragments):
    """Set `fragments`, f8[nodes], to F_n(M) of every node."""
    w = root[0]
    for n in range(w.nodes_n):
        fragments[n] = fragment(w, nodes(w)[n])
