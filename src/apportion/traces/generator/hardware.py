"""The cluster that goes with a synthetic workload: equal nodes, for everyone or by group, or several kinds."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.traces.generator.people import apportioned
from apportion.traces.generator.preset import Preset


def attached_cluster(preset: Preset, gpus: int | None, divided: bool) -> tuple[Cluster, tuple[int, ...]]:
    """Return the cluster and, for each group of the preset, the most GPUs that one of its jobs can get.

    Parameters
    ----------
    gpus: capacity; by default the preset's own. The last node holds what is left over.
    divided: each group has nodes of its own, in proportion to those of the preset.

    Raises
    ------
    InputError: a cluster whose nodes are not alike is to be divided.
    """
    capacity = gpus or preset.capacity
    if preset.kinds:
        if divided:
            raise InputError(f"synthetic:{preset.name}: found vcs=yes, but its groups have no nodes of their own")
        cluster = _several_kinds(preset, capacity)
        return cluster, (cluster.gpus,) * len(preset.groups)
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


def _several_kinds(preset: Preset, capacity: int) -> Cluster:
    """Return nodes of each kind in proportion to the preset's; of a capacity that they do not make up, the largest
    number below it, but at least one node.
    """
    kinds = preset.kinds
    held = np.array([kind.nodes * kind.gpus for kind in kinds], dtype=np.float64)
    if capacity == preset.capacity:
        nodes = [kind.nodes for kind in kinds]
    else:
        share = apportioned(held, capacity)
        nodes = [int(part) // kind.gpus for part, kind in zip(share, kinds, strict=True)]
        if not any(nodes):
            nodes[int(np.argmin([kind.gpus for kind in kinds]))] = 1
    rows = [(kind, count) for kind, count in zip(kinds, nodes, strict=True) if count]
    columns: dict[str, pl.Series] = {
        name: pl.Series([getattr(kind, name) for kind, count in rows for _ in range(count)], dtype=dtype)
        for name, dtype in (
            ("gpus", pl.Int32),
            ("gpu_model", pl.String),
            ("cpu_milli", pl.Int64),
            ("memory_mib", pl.Int64),
        )
    }
    frame = pl.DataFrame({name: column for name, column in columns.items() if column.null_count() < len(column)})
    return Cluster.of(frame, name=preset.name)
