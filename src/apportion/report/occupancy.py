"""Which nodes are busy when: GPU-seconds allocated over GPU-seconds there, nodes by time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from apportion.report.curves import Bins
from apportion.study.result import Result


@dataclass(frozen=True)
class Occupancy:
    """A share of capacity for each row of nodes and bin of time.

    Parameters
    ----------
    share: f64[rows, bins], 0 to 1. rows: name of each row, `node-0004` or `node-0004 … node-0007`.
    mean: f64[rows], over the whole time.
    """

    share: npt.NDArray[np.float64]
    rows: list[str]
    mean: npt.NDArray[np.float64]


def occupancy(result: Result, bins: Bins, max_rows: int = 200) -> Occupancy | None:
    """Return the occupancy of the nodes that have GPUs, consecutive nodes grouped to at most `max_rows` rows.

    None where the cluster has no GPUs.
    """
    devices = result.cluster.table["gpus"].to_numpy().astype(np.float64)
    nodes = np.flatnonzero(devices > 0)
    if not nodes.size:
        return None
    rows = min(max_rows, nodes.size)
    row_of_node = np.full(devices.size, -1, dtype=np.int64)
    row_of_node[nodes] = np.arange(nodes.size) * rows // nodes.size
    capacity = np.bincount(row_of_node[nodes], weights=devices[nodes], minlength=rows)

    pieces = result.placements
    gpus = pieces["gpus"].to_numpy().astype(np.float64)
    row = row_of_node[pieces["node"].to_numpy()]
    used = (gpus > 0) & (row >= 0)
    row, gpus = row[used], gpus[used]
    start = bins_since(pieces["start_s"].to_numpy()[used], bins)
    end = bins_since(pieces["end_s"].to_numpy()[used], bins)
    load = integrate(row, start, gpus, rows, bins.count) - integrate(row, end, gpus, rows, bins.count)
    share = np.clip(load / capacity[:, None], 0.0, 1.0)
    names = result.cluster.table["node"].to_list()
    first = np.searchsorted(row_of_node[nodes], np.arange(rows))
    last = np.append(first[1:], nodes.size) - 1
    labels = [
        names[nodes[a]] if a == b else f"{names[nodes[a]]} … {names[nodes[b]]}"
        for a, b in zip(first.tolist(), last.tolist())
    ]
    return Occupancy(share, labels, share.mean(axis=1))


def bins_since(times_s: npt.NDArray[np.float64], bins: Bins) -> npt.NDArray[np.float64]:
    """Return times as bins since the start; what has no end lasts until the end."""
    position = (np.nan_to_num(times_s, nan=np.inf, posinf=np.inf) - bins.start_s) / bins.width_s
    return np.clip(position, 0.0, bins.count)


def integrate(
    row: npt.NDArray[np.int64],
    position: npt.NDArray[np.float64],
    gpus: npt.NDArray[np.float64],
    rows: int,
    count: int,
) -> npt.NDArray[np.float64]:
    """Return, per row and bin, the GPU-bins held by pieces that start at `position` and never end.

    A piece fills the rest of the bin it starts in and every later bin: one weighted count for the first, a
    running sum over bins for the second.
    """
    bin_ = np.minimum(position.astype(np.int64), count - 1)
    flat = row * count + bin_
    rest = np.bincount(flat, weights=gpus * (bin_ + 1 - position), minlength=rows * count)
    step = np.bincount(flat, weights=gpus, minlength=rows * count).reshape(rows, count)
    later = np.cumsum(step, axis=1) - step
    held: npt.NDArray[np.float64] = rest.reshape(rows, count) + later
    return held
