"""Fragmentation: how much free GPU of a node the typical tasks cannot use.

Weng et al., "Beware of fragmentation", ATC 2023, sections 4.1 to 4.3. For a node n with R milli-GPU free and a typical
task m of share p_m, all of R is fragment if m asks for no GPU, may not use the model, or lacks devices or CPU here;
otherwise only what is free on devices with less than m asks of each. F_n(M) = sum over m of p_m F_n(m). Memory plays no
part. The order of the sums is that of the published program, whose figures depend on it.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.fit import allowed, take
from apportion.engine.jit import inner
from apportion.engine.world import buckets, probe, targets, thresholds

Q1, Q2, Q3, Q4, XL, XR, NO_ACCESS = range(7)
"""Positions of `BUCKETS`."""


@inner
def split(w, node):
    """Divide the free milli-GPU of a node among `buckets(w)`, in expectation over the typical tasks."""
    found = buckets(w)
    found[:] = 0.0
    free = np.float64(node.free_milli) if node.up else 0.0
    if free == 0.0:
        return
    steps = thresholds(w)
    for i in range(w.thresholds_n):
        level = steps[i]
        level.devices = level.rest = 0
        if node.pooled:
            level.devices = node.free_milli // max(level.milli, 1)
            continue
        for d in range(node.gpus):
            enough = node.free[d] >= level.milli
            level.devices += enough
            level.rest += 0 if enough else node.free[d]
    for i in range(w.targets_n):
        m = targets(w)[i]
        cpu_fits = node.free_cpu >= m.cpu
        if m.milli == 0:
            found[XL if cpu_fits else XR] += m.share * free
        elif not allowed(node, m):
            found[NO_ACCESS] += m.share * free
        elif steps[m.level].devices < m.gpus:
            found[Q2 if cpu_fits else Q1] += m.share * free
        elif not cpu_fits:
            found[Q4] += m.share * free
        else:
            rest = np.float64(steps[m.level].rest)
            found[Q2] += m.share * rest
            found[Q3] += m.share * (free - rest)


@inner
def fragment(w, node):
    """Return F_n(M), the milli-GPU of a node that are fragment."""
    split(w, node)
    found = buckets(w)
    total = found[Q1]
    for bucket in (Q2, Q4, XL, XR, NO_ACCESS):
        total += found[bucket]
    return total


@inner
def fragment_with(w, node, task, device):
    """Return what F_n(M) would be with the task on the node; `device` as in `take`."""
    probe(w)[0] = node
    copy = probe(w)[0]
    take(copy, task, device)
    return fragment(w, copy)
