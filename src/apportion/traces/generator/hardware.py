"""The cluster that goes with a synthetic workload: equal nodes, for everyone or by group."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model.cluster import Cluster
from apportion.traces.generator.people import apportioned
from apportion.traces.generator.preset import Preset


def attached_cluster(preset: Preset, gpus: int | None, divided: bool) -> tuple[Cluster, tuple[int, ...]]:
    """Return the cluster and, for each group of the preset, the most GPUs that one of its jobs can get.

    Parameters
    ----------
    gpus: capacity; by default the preset's own. The last node holds what is left over.
    divided: each group has nodes of its own, in proportion to those of the preset.
    """
    capacity = gpus or preset.capacity
    sizes = [preset.gpus_per_node] * (capacity // preset.gpus_per_node)
    if capacity % preset.gpus_per_node:
        sizes.append(capacity % preset.gpus_per_node)
    columns: dict[str, object] = {"gpus": sizes}
    rooms = (capacity,) * len(preset.groups)
    if divided:
        own = np.array([group.nodes for group in preset.groups], dtype=np.float64)
        nodes = apportioned(own, len(sizes))
        owner = np.repeat(np.arange(len(nodes)), nodes)
        columns["group"] = [preset.groups[i].name for i in owner]
        rooms = tuple(int(r) for r in np.bincount(owner, weights=sizes, minlength=len(nodes)))
    frame = pl.DataFrame(columns).with_columns(gpu_model=pl.lit(preset.gpu_model, dtype=pl.String))
    return Cluster.of(frame, name=preset.name), rooms
