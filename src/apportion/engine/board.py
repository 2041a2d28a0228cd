"""A cluster at one moment, measured: what runs is put on the nodes, free GPU is split by who cannot use it.

What the search for moves asks of a node again and again (does a task fit, what is F) is called by its address, so that
it is compiled once and not with every function that asks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from apportion.engine.fit import fits, shares_one, take, take_again
from apportion.engine.fragment import fragment, split
from apportion.engine.jit import caller, compiled, entry, inner
from apportion.engine.layout import BUCKETS, DEVICE_SIGNATURE, F8, NODE, NODE_T, Records
from apportion.engine.target import levels
from apportion.engine.world import ARRAYS, ROOT, ROOT_T, buckets, call_device, probe

KERNELS = np.dtype([("room", "i8"), ("fragment", "i8")], align=True)
"""Addresses of the kernels below."""
FRAGMENT_SIGNATURE = types.float64(ROOT_T, NODE_T)

call_fragment = caller(FRAGMENT_SIGNATURE)


@compiled(DEVICE_SIGNATURE)
def room_kernel(node, task):
    """Return how many such tasks the node could still take."""
    return fits(node, task)


@compiled(FRAGMENT_SIGNATURE)
def fragment_kernel(w, node):
    """Return F_n(M) of the node, milli-GPU."""
    return fragment(w, node)


@inner
def arrival(w, kernels, node, task):
    """Return by how much F_n(M) shrinks when the task starts on the node, and on which device (as in `take`).

    -inf where it does not fit. A task that shares one device gets the best one, others get those that `take` chooses.
    """
    best = -np.inf
    device = -1
    if call_device(kernels.room, node, task) == 0:
        return best, device
    before = call_fragment(kernels.fragment, w, node)
    alone = not shares_one(node, task)
    for d in range(1 if alone else node.gpus):
        if alone or (node.free[d] >= task.milli and not same_before(node, d, 0)):
            with_it = probe(w)
            with_it[0] = node
            take(with_it[0], task, -1 if alone else d)
            gain = before - call_fragment(kernels.fragment, w, with_it[0])
            if gain > best:
                best, device = gain, -1 if alone else d
    return best, device


@inner
def same_before(node, d, without):
    """Say whether a device before d that is not in the bit set `without` has just as much free."""
    same = False
    for earlier in range(d):
        same = same or ((without >> earlier) & 1 == 0 and node.free[earlier] == node.free[d])
    return same


class Board:
    """Typical tasks, and the scratch that `fragment` needs to measure nodes against them.

    Parameters
    ----------
    targets: `TARGET` records.

    Attributes
    ----------
    root: one `ROOT` record, kernels: one `KERNELS` record, for compiled code.
    """

    def __init__(self, targets: Records) -> None:
        self.targets = targets
        self.root: Records = np.zeros(1, ROOT)
        self._kept: list[Any] = []  # the record only knows their addresses
        for name, array in {
            "targets": targets,
            "thresholds": levels(targets),
            "buckets": np.zeros(len(BUCKETS)),
            "probe": np.zeros(1, NODE),
        }.items():
            self._kept.append(np.ascontiguousarray(array, ARRAYS[name]))
            self.root[name] = self._kept[-1].ctypes.data
            self.root[f"{name}_n"] = array.size
        self.kernels: Records = np.zeros(1, KERNELS)
        self.kernels["room"], self.kernels["fragment"] = room_kernel.address, fragment_kernel.address

    def fragments(self, nodes: Records) -> F8:
        """Return F_n(M) of each node, f8[nodes], milli-GPU."""
        out = np.zeros(nodes.size)
        _fragments(self.root, self.kernels, nodes, out)
        return out

    def split(self, nodes: Records) -> F8:
        """Return the free milli-GPU of each node by `BUCKETS`, f8[nodes, 7], in expectation over the typical tasks."""
        out = np.zeros((nodes.size, len(BUCKETS)))
        _split(self.root, nodes, out)
        return out

    def room(self, nodes: Records, tasks: Records) -> list[int]:
        """Return how many more the nodes could take of each of `tasks`, `TASK` records, if nothing else came."""
        return [int(_room(self.kernels, nodes, task)) for task in tasks]

    def alone(self, target: int) -> Board:
        """Return the board of one of the typical tasks, as if all tasks were like it."""
        one = self.targets[target : target + 1].copy()
        one["share"], one["level"] = 1.0, 0
        return Board(one)


@entry
def _fragments(root, kernels, nodes, out):
    w = root[0]
    for n in range(nodes.size):
        out[n] = call_fragment(kernels[0].fragment, w, nodes[n])


@entry
def _split(root, nodes, out):
    w = root[0]
    for n in range(nodes.size):
        split(w, nodes[n])
        for b in range(out.shape[1]):
            out[n, b] = buckets(w)[b]


@entry
def _room(kernels, nodes, task):
    total = 0
    for n in range(nodes.size):
        total += call_device(kernels[0].room, nodes[n], task)
    return total


@entry
def occupy(nodes, tasks, shape, node, mask, order):
    """Put running tasks on their nodes; return how many had room before the first that has none.

    Parameters
    ----------
    nodes: `NODE` records, changed. tasks: `TASK` records. shape, node, mask: i8[running], numbers of shape and node,
        devices as bit sets; 0 = not known: those with the least free that have enough, and `mask` is set.
    order: i8[running], which goes first.
    """
    for i in range(order.size):
        r = order[i]
        at = nodes[node[r]]
        task = tasks[shape[r]]
        need = task.gpus * task.milli
        if at.free_cpu < task.cpu or at.free_memory < task.memory or at.free_milli < need:
            return i
        if need == 0 or at.pooled:
            mask[r] = 0
            take_again(at, task, 0)
            continue
        enough = 0
        for d in range(at.gpus):
            if at.free[d] >= task.milli and (mask[r] == 0 or (mask[r] >> d) & 1):
                enough += 1
        if enough < task.gpus:
            return i
        if mask[r] == 0:
            mask[r] = take(at, task, -1)
        else:
            take_again(at, task, mask[r])
    return order.size
