"""Which single move of a running task shrinks the cluster's fragmentation F(M) most.

A move changes F at two nodes only: where the task leaves and where it arrives. What the best arrival of a shape is
worth depends on the shape and the nodes, not on the task, so the two best nodes of each shape are kept (two, for one
may be the node the task leaves).

A task of the same devices that asks for less CPU and memory, and takes any model, is worth no less on any node: what is
left over is more. So what the least of a family of shapes is worth at best bounds them all, and tasks are tried in the
descending order of what their leaving shrinks plus that bound, until it is not better than the best move found: nothing
is left out, and few shapes are looked at.
"""

from __future__ import annotations

import numpy as np

from apportion.engine.board import Board, arrival, call_fragment, same_before
from apportion.engine.fit import give_back, shares_one, take, take_again
from apportion.engine.jit import entry, inner
from apportion.engine.layout import F8, I8, TASK, U1, Records
from apportion.engine.world import call_device, probe

LEAST = 1.0
"""Milli-GPU by which a move must shrink F to be one."""
SLACK = 1e-6
"""Milli-GPU below which two amounts are the same, for sums of floats depend on their order."""

MOVE = np.dtype(
    [
        ("task", "i8"),  # row of the snapshot
        ("source", "i8"),
        ("target", "i8"),
        ("device", "i8"),  # of a task that shares one, else -1
        ("old", "i8"),  # devices it leaves, a bit set
        ("new", "i8"),  # devices it gets
        ("gain", "f8"),  # milli-GPU by which F shrinks
        ("stop", "i8"),  # 1 = there is no room for the new task while the old one still runs
    ],
    align=True,
)

INSIDE = np.dtype([("device", "i8"), ("stop", "i8"), ("gain", "f8")], align=True)
"""The best other device of its own node for a task that shares one; see `MOVE`."""

TOP = np.dtype([("fresh", "i8"), ("node", "i8", (2,)), ("device", "i8", (2,)), ("gain", "f8", (2,))], align=True)
"""The two best nodes of a shape, -1 = none, and what an arrival there is worth."""


class Search:
    """The best move, again and again, on a copy of the nodes.

    A task goes to any other node, and one that shares a device also to another device of its node. A task that shares a
    device gets the best one; of one that uses parts of several the fullest are taken (all others use idle ones, which
    are all alike).

    Parameters
    ----------
    board: measures. nodes: `NODE` records. tasks: `TASK` records. shape, node, mask: i8[running], of each running task
    its shape, its node and its devices as a bit set. movable: bool[running].

    Attributes
    ----------
    nodes, node, mask: as they are after the moves so far. fragments: f8[nodes], F_n(M) in milli-GPU.
    """

    def __init__(self, board: Board, nodes: Records, tasks: Records, shape: I8, node: I8, mask: I8, movable: U1):
        self.board, self.tasks, self.shape, self.movable = board, tasks, shape, movable
        self.nodes, self.node, self.mask = nodes.copy(), node.copy(), mask.copy()
        self.fragments = board.fragments(self.nodes)
        self._leave: F8 = np.zeros(shape.size)
        self._inside = np.zeros(shape.size, INSIDE)
        self._tops = np.zeros(tasks.size, TOP)
        self._least, self._family = _families(tasks)
        self._most = np.full(self._least.size, -np.inf)
        self._changed = np.ones(nodes.size, np.uint8)

    def step(self) -> Records | None:
        """Make the best move and return its `MOVE` record, or None when no move shrinks F by `LEAST`."""
        at = (self.board.root, self.board.kernels, self.nodes)
        running = (self.tasks, self.shape, self.node, self.mask)
        _bound(*at, self._least, self._changed, self._most)
        _look(*at, *running, self.fragments, self._changed, self._leave, self._inside)
        bound = np.where(self.movable, self._leave + self._most[self._family][self.shape], -np.inf)
        order = np.argsort(-bound, kind="stable")
        move = self._best_inside()
        _best_move(*at, *running, self._leave, order, bound, self._tops, move)
        if move["gain"][0] < LEAST:
            return None
        _make(*at, *running, self.fragments, self._tops, move)
        self._changed[:] = 0
        self._changed[[move["source"][0], move["target"][0]]] = 1
        return move

    def _best_inside(self) -> Records:
        """Return the best move to another device of the same node, with a gain of -inf where there is none."""
        move = np.zeros(1, MOVE)
        move["gain"] = -np.inf
        gain = np.where(self.movable, self._inside["gain"], -np.inf)
        if gain.size:
            best = int(gain.argmax())
            move["task"], move["source"], move["target"] = best, self.node[best], self.node[best]
            for field in ("device", "stop"):
                move[field] = self._inside[field][best]
            move["gain"] = gain[best]
        return move


def _families(tasks: Records) -> tuple[Records, I8]:
    """Return the least shape of each kind of devices, `TASK` records, and the number of each shape's."""
    keys = np.stack([tasks["gpus"], tasks["milli"]], axis=1)
    found, family = np.unique(keys, axis=0, return_inverse=True)
    family = family.reshape(-1).astype(np.int64)
    least = np.zeros(len(found), TASK)
    least["gpus"], least["milli"] = found[:, 0], found[:, 1]
    least["group"] = -1
    for field in ("cpu", "memory"):
        least[field] = np.iinfo(np.int64).max
        np.minimum.at(least[field], family, tasks[field])
    return least, family


@entry
def _bound(root, kernels, nodes, least, changed, most):
    """Raise `most`, f8[families], to what an arrival on a changed node is worth; it never has to fall to be a bound."""
    for f in range(least.size):
        for n in range(nodes.size):
            if changed[n]:
                most[f] = max(most[f], arrival(root[0], kernels[0], nodes[n], least[f])[0])


@entry
def _look(root, kernels, nodes, tasks, shape, node, mask, fragments, changed, leave, inside):
    """For tasks of changed nodes, set by how much F shrinks when one ends, and the best other device of its node."""
    w = root[0]
    for r in range(shape.size):
        n = node[r]
        if changed[n]:
            task = tasks[shape[r]]
            without = probe(w)
            without[0] = nodes[n]
            give_back(without[0], task, mask[r])
            leave[r] = fragments[n] - call_fragment(kernels[0].fragment, w, without[0])
            inside[r].gain = -np.inf
            if shares_one(nodes[n], task) and nodes[n].up:
                _in_place(w, kernels[0], nodes[n], task, mask[r], fragments[n], inside[r])


@inner
def _in_place(w, kernels, node, task, mask, before, inside):
    inside.stop = node.free_cpu < task.cpu or node.free_memory < task.memory
    for d in range(node.gpus):
        if (mask >> d) & 1 == 0 and node.free[d] >= task.milli and not same_before(node, d, mask):
            moved = probe(w)
            moved[0] = node
            give_back(moved[0], task, mask)
            take(moved[0], task, d)
            gain = before - call_fragment(kernels.fragment, w, moved[0])
            if gain > inside.gain:
                inside.gain, inside.device = gain, d


@inner
def _offer(w, kernels, top, nodes, n, task):
    """Let a node into the two best of a shape, if it is; the first of equals stays."""
    gain, device = arrival(w, kernels, nodes[n], task)
    if gain > top.gain[0]:
        top.node[1], top.device[1], top.gain[1] = top.node[0], top.device[0], top.gain[0]
        top.node[0], top.device[0], top.gain[0] = n, device, gain
    elif gain > top.gain[1]:
        top.node[1], top.device[1], top.gain[1] = n, device, gain


@entry
def _best_move(root, kernels, nodes, tasks, shape, node, mask, leave, order, bound, tops, move):
    w = root[0]
    k = kernels[0]
    found = move[0]
    for i in range(order.size):
        r = order[i]
        if bound[r] <= found.gain + SLACK or bound[r] < LEAST:
            return
        source = node[r]
        task = tasks[shape[r]]
        top = tops[shape[r]]
        if top.fresh == 0:
            for rank in range(2):
                top.node[rank] = -1
                top.gain[rank] = -np.inf
            for n in range(nodes.size):
                _offer(w, k, top, nodes, n, task)
            top.fresh = 1
        rank = 1 if top.node[0] == source else 0
        gain = leave[r] + top.gain[rank]
        if gain > found.gain + SLACK:
            found.task, found.source, found.target = r, source, top.node[rank]
            found.device, found.gain, found.stop = top.device[rank], gain, 0


@entry
def _make(root, kernels, nodes, tasks, shape, node, mask, fragments, tops, move):
    """Make a move, and mend what the shapes know of the two nodes."""
    w = root[0]
    k = kernels[0]
    m = move[0]
    r = m.task
    task = tasks[shape[r]]
    m.old = mask[r]
    give_back(nodes[m.source], task, mask[r])
    mask[r] = take(nodes[m.target], task, m.device)
    m.new = mask[r]
    node[r] = m.target
    for end in (m.source, m.target):
        fragments[end] = call_fragment(k.fragment, w, nodes[end])
    for s in range(tops.size):
        top = tops[s]
        for rank in range(2):
            if top.node[rank] == m.source or top.node[rank] == m.target:
                top.fresh = 0  # the third best may now be among the two best
        if top.fresh:
            for end in (m.source, m.target):
                if top.node[0] != end and top.node[1] != end:
                    _offer(w, k, top, nodes, end, tasks[s])


def fragments_after(board: Board, nodes: Records, tasks: Records, shape: I8, moves: Records) -> F8:
    """Return F(M) of the cluster in milli-GPU before the first and after each of `moves`, f8[moves + 1]."""
    out = np.zeros(moves.size + 1)
    _after(board.root, board.kernels, nodes.copy(), board.fragments(nodes), tasks, shape, moves, out)
    return out


@entry
def _after(root, kernels, nodes, fragments, tasks, shape, moves, out):
    w = root[0]
    for i in range(moves.size + 1):
        if i > 0:
            m = moves[i - 1]
            give_back(nodes[m.source], tasks[shape[m.task]], m.old)
            take_again(nodes[m.target], tasks[shape[m.task]], m.new)
            for end in (m.source, m.target):
                fragments[end] = call_fragment(kernels[0].fragment, w, nodes[end])
        out[i] = fragments.sum()


def best_arrival(board: Board, nodes: Records, task: Records) -> tuple[int, int] | None:
    """Return the node on which one more task (a `TASK` record) grows F(M) least, and its devices as a bit set.

    None where it fits nowhere.
    """
    move = np.zeros(1, MOVE)
    _best_arrival(board.root, board.kernels, nodes.copy(), task, move)
    return None if move["target"][0] < 0 else (int(move["target"][0]), int(move["new"][0]))


@entry
def _best_arrival(root, kernels, nodes, task, move):
    w = root[0]
    found = move[0]
    found.target, found.gain = -1, -np.inf
    for n in range(nodes.size):
        gain, device = arrival(w, kernels[0], nodes[n], task[0])
        if gain > found.gain:
            found.target, found.device, found.gain = n, device, gain
    if found.target >= 0:
        found.new = take(nodes[found.target], task[0], found.device)


def has_another_place(board: Board, nodes: Records, tasks: Records, shape: I8, node: I8) -> U1:
    """Say of each running task whether another node has room for it, or its own node other devices."""
    out = np.zeros(shape.size, np.uint8)
    _has_another_place(board.kernels, nodes, tasks, shape, node, np.zeros(tasks.size, np.int64), out)
    return out


@entry
def _has_another_place(kernels, nodes, tasks, shape, node, places, out):
    room = kernels[0].room
    for s in range(tasks.size):
        for n in range(nodes.size):
            places[s] += call_device(room, nodes[n], tasks[s]) > 0
    for r in range(shape.size):
        at = nodes[node[r]]
        task = tasks[shape[r]]
        out[r] = places[shape[r]] > (call_device(room, at, task) > 0) or shares_one(at, task)
