"""The arrays that compiled code works on, reached through one record: a cluster, the tasks, and a placement."""

from __future__ import annotations

from typing import Any

import numpy as np

from apportion.engine.encode import Encoded
from apportion.engine.index import sync
from apportion.engine.layout import BUCKETS, NODE, TERM, TIES_SECOND, Records
from apportion.engine.place import place, room_for
from apportion.engine.plan import PlacementPlan
from apportion.engine.target import POPULARITY, levels, typical_tasks
from apportion.engine.world import ARRAYS, ROOT, SLOT


class State:
    """A cluster with a placement, on which pieces can be placed.

    Parameters
    ----------
    encoded: what may run where. placement: how. seed: of ties that are drawn.

    Attributes
    ----------
    root: one `ROOT` record, the numbers and the addresses of the arrays. arrays: the arrays by name.
    """

    def __init__(self, encoded: Encoded, placement: PlacementPlan, seed: int = 0) -> None:
        self.root: Records = np.zeros(1, ROOT)
        self.arrays: dict[str, Any] = {}
        self._kernels: list[Any] = []  # kept: the record only knows their addresses
        for name in ("sync", "place", "room"):
            self.call(f"{name}_kernel", {"sync": sync, "place": place, "room": room_for}[name])
        self.root["random"] = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
        for name, array in index_arrays(encoded.nodes, encoded.tasks, placement.ties == TIES_SECOND).items():
            self.attach(name, array)
        self.root["leaves"] = _leaves(encoded.nodes.size)
        self.root["widest_w"] = (encoded.nodes["max_w"] - encoded.nodes["idle_w"]).max(initial=0.0)
        self.attach("kinds", encoded.kinds.copy())
        self._set_placement(encoded, placement)

    def call(self, field: str, kernel: Any) -> None:
        """Let the number `field` be the address of a kernel."""
        self._kernels.append(kernel)
        self.root[field] = kernel.address

    def attach(self, name: str, array: Records) -> None:
        """Make `array` the array called `name`."""
        array = np.ascontiguousarray(array, ARRAYS[name])
        self.arrays[name] = array
        self.root[name] = array.ctypes.data
        self.root[f"{name}_n"] = array.size

    def number(self, name: str) -> float:
        """Return a number of the record, such as `now` or `running_count`."""
        return float(self.root[name][0])

    def _set_placement(self, encoded: Encoded, placement: PlacementPlan) -> None:
        scores = ((placement.weight, placement.score), *placement.others)
        terms = np.zeros(len(scores), TERM)
        for term, (weight, kernel) in zip(terms, scores, strict=True):
            self._kernels.append(kernel)
            term["kernel"], term["wide"], term["weight"] = kernel.address, kernel.arguments == 3, weight
        self.attach("terms", terms)
        self.call("device_kernel", placement.device)
        self.root["device_wide"] = placement.device.arguments == 3
        self.root["ties"] = placement.ties
        if placement.second is not None:
            self.call("second_kernel", placement.second)
            self.root["second_wide"] = placement.second.arguments == 3
        if placement.popularity is not None or placement.tables is not None:
            self.attach_targets(typical_tasks(encoded, placement.popularity or POPULARITY))
        if placement.tables is not None:
            self.attach("tables", placement.tables(encoded.nodes, self.arrays["targets"]))

    def attach_targets(self, targets: Records) -> None:
        """Make `targets` the typical tasks that fragmentation is measured against."""
        self.attach("targets", targets)
        self.attach("thresholds", levels(targets))
        self.attach("buckets", np.zeros(len(BUCKETS)))
        self.attach("probe", np.zeros(1, NODE))


def _leaves(nodes: int) -> int:
    return 1 << max(nodes - 1, 0).bit_length()


def index_arrays(
    nodes: Records, tasks: Records, with_seconds: bool, memory_bytes: int = 256 << 20
) -> dict[str, Records]:
    """Return the arrays of `engine.index`: a slot for every shape, or as many as fit in `memory_bytes`."""
    leaves = _leaves(nodes.size)
    count = max(1, min(tasks.size, memory_bytes // (16 * leaves)))
    slots = np.zeros(count, SLOT)
    slots["shape"] = -1
    return {
        "nodes": nodes.copy(),
        "tasks": tasks,
        "slot_of": np.full(tasks.size, -1, np.int32),
        "slots": slots,
        "changed": np.zeros(max(64, 2 * nodes.size), np.int32),
        "changed_at": np.full(nodes.size, -1, np.int64),
        "rooms": np.zeros(count * nodes.size, np.int32),
        "scores": np.full(count * leaves, np.inf),
        "seconds": np.zeros(count * leaves if with_seconds else 0),
        "winner": np.zeros(count * leaves, np.int32),
    }
