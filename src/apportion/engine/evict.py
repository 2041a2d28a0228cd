"""Which tasks of one node would have to go to make room there for a task that fits nowhere.

Up to `EXACT` tasks every set is looked at that could be enough. Larger sets are built: for every choice of devices, the
tasks on them with the largest shares go until enough is free, then those that hold most of the CPU and memory that
still lack, and whoever turns out not to be needed stays. Such a set is small, but need not be the smallest.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.board import Board
from apportion.engine.fit import allowed, give_back, take_again
from apportion.engine.jit import entry, inner
from apportion.engine.layout import I8, NODE, U1, Records
from apportion.engine.world import call_device

EXACT = 3
"""Largest number of tasks for which every set is looked at."""
KEPT, OF_NODE = 512, 8
"""Sets that are remembered, and of one node: those that hold the fewest milli-GPU."""
CHOICES = 13_000
"""Choices of devices tried on one node: all of them up to 16 devices."""
TRIES = 200_000
"""Tasks given back and taken again on one node, by size of set, before the rest of its sets is left out."""
LARGEST = 64
"""Tasks of a set at most."""

EVICTION = np.dtype(
    [("node", "i8"), ("count", "i8"), ("milli", "i8"), ("cpu", "i8"), ("tasks", "i8", (LARGEST,))], align=True
)
"""Tasks (rows of the snapshot) that would have to go, and what they hold: milli-GPU and milli-cores."""


class Tenants:
    """Who could go from which node.

    Parameters
    ----------
    board: measures. nodes: `NODE` records. tasks: `TASK` records. shape, node, mask: i8[running]. may: bool[running],
    may go. demand: one `TASK` record, what room is to be made for.

    Attributes
    ----------
    open: u1[nodes], 1 = there would be room without all that may go.
    """

    def __init__(
        self, board: Board, nodes: Records, tasks: Records, shape: I8, node: I8, mask: I8, may: U1, demand: Records
    ) -> None:
        self.nodes = nodes
        task = tasks[shape]
        rows = np.flatnonzero(may)
        # of each node those that hold most first; the same tasks on the same devices side by side
        need = task["gpus"] * task["milli"]
        order = np.lexsort((mask[rows], shape[rows], -task["cpu"][rows], -need[rows], node[rows]))
        self.members = rows[order].astype(np.int64)
        self.first = np.searchsorted(node[self.members], np.arange(nodes.size + 1)).astype(np.int64)
        self.open = np.zeros(nodes.size, np.uint8)
        scratch = np.zeros(1, NODE)
        self._state = (
            board.kernels, nodes, tasks, shape, mask, self.members, self.first, demand, scratch, self.open,
        )  # fmt: skip
        _open(*self._state)

    def exactly(self, size: int) -> Records:
        """Return sets of `size` tasks that would make room, those that hold the fewest milli-GPU first."""
        out = np.zeros(KEPT, EVICTION)
        count = _exactly(*self._state, size, out)
        return np.sort(out[:count], order=["milli", "cpu"])

    def built(self, most: int) -> Records:
        """Return the smallest set that was built for each node, of up to `most` tasks; the smallest of all first."""
        out = np.zeros(self.nodes.size, EVICTION)
        # devices with most free first, so that what is tried first is likely good
        ranked = np.argsort(-self.nodes["free"].astype(np.int64), axis=1, kind="stable")
        _built(*self._state, min(most, LARGEST), ranked, out)
        return np.sort(out[out["count"] > 0], order=["count", "milli", "cpu"])


@entry
def _open(kernels, nodes, tasks, shape, mask, members, first, demand, scratch, out):
    for n in range(nodes.size):
        if nodes[n].up == 0 or not allowed(nodes[n], demand[0]):
            continue
        scratch[0] = nodes[n]
        for i in range(first[n], first[n + 1]):
            r = members[i]
            give_back(scratch[0], tasks[shape[r]], mask[r])
        out[n] = call_device(kernels[0].room, scratch[0], demand[0]) > 0


@inner
def _slot(out, kept, n, milli):
    """Return where to remember a set of node n that holds `milli`: `kept` = a new place, -1 = nowhere.

    There is room for `OF_NODE` sets of one node and for as many as `out` in all; those that hold least stay.
    """
    beside = 0
    worst = last = -1
    for k in range(kept):
        if worst < 0 or out[k].milli > out[worst].milli:
            worst = k
        if out[k].node == n:
            beside += 1
            if last < 0 or out[k].milli > out[last].milli:
                last = k
    if beside < OF_NODE and kept < out.size:
        return kept
    instead = last if beside == OF_NODE else worst
    return instead if milli < out[instead].milli else -1


@entry
def _exactly(kernels, nodes, tasks, shape, mask, members, first, demand, scratch, usable, size, out):
    room = kernels[0].room
    kept = 0
    at = np.zeros(size + 1, np.int64)
    task = demand[0]
    for n in range(nodes.size):
        low, high = first[n], first[n + 1]
        if usable[n] == 0 or high - low < size:
            continue
        # most milli-GPU, CPU and memory that one of members i, i + 1, ... holds
        most = np.zeros((high - low + 1, 3), np.int64)
        for i in range(high - 1, low - 1, -1):
            member = tasks[shape[members[i]]]
            most[i - low, 0] = max(most[i - low + 1, 0], member.gpus * member.milli)
            most[i - low, 1] = max(most[i - low + 1, 1], member.cpu)
            most[i - low, 2] = max(most[i - low + 1, 2], member.memory)
        scratch[0] = nodes[n]
        node = scratch[0]
        tries = 0
        depth = 0
        at[0] = low
        while depth >= 0:
            left = size - depth
            i = at[depth]
            if left == 0 and call_device(room, node, task) > 0:
                milli = 0
                cpu = 0
                for j in range(size):
                    member = tasks[shape[members[at[j]]]]
                    milli += member.gpus * member.milli
                    cpu += member.cpu
                k = _slot(out, kept, n, milli)
                if k >= 0:
                    kept = max(kept, k + 1)
                    out[k].node, out[k].count, out[k].milli, out[k].cpu = n, size, milli, cpu
                    for j in range(size):
                        out[k].tasks[j] = members[at[j]]
            if left > 0 and i + left <= high and tries < TRIES and _may_do(node, task, most[i - low], left):
                give_back(node, tasks[shape[members[i]]], mask[members[i]])
                tries += 1
                depth += 1
                at[depth] = i + 1
                continue
            depth -= 1
            if depth < 0:
                break
            r = members[at[depth]]
            take_again(node, tasks[shape[r]], mask[r])
            at[depth] += 1
            # a set with another of the same kind in its place is the same set
            while at[depth] < high:
                other = members[at[depth]]
                if shape[other] != shape[r] or mask[other] != mask[r]:
                    break
                at[depth] += 1
    return kept


@inner
def _may_do(node, task, most, left):
    """Say whether `left` more tasks, each holding at most `most`, could be enough."""
    return (
        node.free_milli + left * most[0] >= task.gpus * task.milli
        and node.free_cpu + left * most[1] >= task.cpu
        and node.free_memory + left * most[2] >= task.memory
    )


@entry
def _built(kernels, nodes, tasks, shape, mask, members, first, demand, scratch, usable, limit, ranked, out):
    room = kernels[0].room
    task = demand[0]
    chosen = np.zeros(members.size, np.uint8)
    for n in range(nodes.size):
        if usable[n] == 0:
            continue
        low, high = first[n], first[n + 1]
        gpus = 0 if nodes[n].pooled else nodes[n].gpus
        picks = min(task.gpus, gpus) if task.milli > 0 else 0
        pick = np.arange(picks)
        for _ in range(CHOICES):
            scratch[0] = nodes[n]
            for i in range(low, high):
                chosen[i] = 0
            if _go(room, scratch[0], tasks, shape, mask, members, low, high, task, ranked[n], pick, chosen):
                _keep_smaller(out, n, tasks, shape, members, low, high, chosen, limit)
            if not _next_pick(pick, gpus):
                break


@inner
def _next_pick(pick, gpus):
    """Go on to the next choice of positions below `gpus`; say whether there is one."""
    k = pick.size - 1
    while k >= 0 and pick[k] == gpus - pick.size + k:
        k -= 1
    if k < 0:
        return False
    pick[k] += 1
    for j in range(k + 1, pick.size):
        pick[j] = pick[j - 1] + 1
    return True


@inner
def _go(room, node, tasks, shape, mask, members, low, high, task, ranked, pick, chosen):
    """Let tasks go from the picked devices until the task fits; say whether it does."""
    for k in range(pick.size):
        d = ranked[pick[k]]
        while node.free[d] < task.milli:
            best = -1
            for i in range(low, high):
                here = chosen[i] == 0 and (mask[members[i]] >> d) & 1
                if here and (best < 0 or tasks[shape[members[i]]].milli > tasks[shape[members[best]]].milli):
                    best = i
            if best < 0:
                return False
            chosen[best] = 1
            give_back(node, tasks[shape[members[best]]], mask[members[best]])
    while call_device(room, node, task) == 0:
        best = -1
        most = 0.0
        for i in range(low, high):
            if chosen[i] == 0:
                helps = _helps(node, task, tasks[shape[members[i]]])
                if helps > most:
                    best, most = i, helps
        if best < 0:
            return False
        chosen[best] = 1
        give_back(node, tasks[shape[members[best]]], mask[members[best]])
    # the last that was needed may have made an earlier one unnecessary
    for i in range(high - 1, low - 1, -1):
        if chosen[i]:
            member = tasks[shape[members[i]]]
            take_again(node, member, mask[members[i]])
            if call_device(room, node, task) > 0:
                chosen[i] = 0
            else:
                give_back(node, member, mask[members[i]])
    return True


@inner
def _helps(node, task, member):
    """Return how much of what still lacks a member holds, as a sum of shares."""
    out = 0.0
    lacks = task.cpu - node.free_cpu
    if lacks > 0:
        out += min(member.cpu, lacks) / lacks
    lacks = task.memory - node.free_memory
    if lacks > 0:
        out += min(member.memory, lacks) / lacks
    lacks = task.gpus * task.milli - node.free_milli
    if node.pooled and lacks > 0:
        out += min(member.gpus * member.milli, lacks) / lacks
    return out


@inner
def _keep_smaller(out, n, tasks, shape, members, low, high, chosen, limit):
    count = 0
    milli = 0
    cpu = 0
    for i in range(low, high):
        if chosen[i]:
            task = tasks[shape[members[i]]]
            count += 1
            milli += task.gpus * task.milli
            cpu += task.cpu
    best = out[n]
    if count > limit or (best.count > 0 and (count > best.count or (count == best.count and milli >= best.milli))):
        return
    best.node, best.count, best.milli, best.cpu = n, count, milli, cpu
    k = 0
    for i in range(low, high):
        if chosen[i]:
            best.tasks[k] = members[i]
            k += 1
