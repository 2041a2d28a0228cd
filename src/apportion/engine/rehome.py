"""Where the tasks go that leave a node to make room: one after the other, each where F(M) grows least."""

from __future__ import annotations

import numpy as np

from apportion.engine.board import Board, arrival, call_fragment
from apportion.engine.fit import give_back, shares_one, take
from apportion.engine.jit import entry, inner
from apportion.engine.layout import I8, Records
from apportion.engine.migrate import MOVE
from apportion.engine.world import call_device, probe


def rehome(
    board: Board, nodes: Records, tasks: Records, shape: I8, mask: I8, leaving: I8, home: int, demand: Records
) -> tuple[Records, int] | None:
    """Find a new place for each of the tasks that leave `home`, with room kept there for `demand`.

    Parameters
    ----------
    nodes: `NODE` records, not changed. tasks: `TASK` records. shape, mask: i8[running]. leaving: rows of the snapshot,
    in the order in which they go. demand: one `TASK` record.

    Returns
    -------
    The moves as `MOVE` records, without their gains, and the devices of the demand (a bit set); None where a task finds
    no place. A task may also go to other devices of its own node.
    """
    after, now = nodes.copy(), nodes[home : home + 1].copy()
    moves = np.zeros(leaving.size, MOVE)
    state = (board.root, board.kernels, after, now, tasks, shape, mask)
    room = _rehome(*state, leaving, home, demand, moves)
    return None if room < 0 else (moves, int(room))


@entry
def _rehome(root, kernels, after, now, tasks, shape, mask, leaving, home, demand, moves):
    """Set `moves`; return the devices of the demand, or -1.

    after: the nodes as they will be; now: the home as it is before each move.
    """
    w = root[0]
    k = kernels[0]
    for i in range(leaving.size):
        give_back(after[home], tasks[shape[leaving[i]]], mask[leaving[i]])
    room = take(after[home], demand[0], -1)
    for i in range(leaving.size):
        r = leaving[i]
        task = tasks[shape[r]]
        move = moves[i]
        move.task, move.source, move.old, move.target = r, home, mask[r], -1
        move.gain = -np.inf
        for n in range(after.size):
            if n != home:
                gain, device = arrival(w, k, after[n], task)
                if gain > move.gain:
                    move.gain, move.target, move.device = gain, n, device
        give_back_first = now[0].free_cpu < task.cpu or now[0].free_memory < task.memory
        give_back(now[0], task, mask[r])
        # its own node: one where it could start before it stops comes before one that stops it first
        may_stay = shares_one(after[home], task) and call_device(k.room, after[home], task) > 0
        if may_stay and not (give_back_first and move.target >= 0):
            _in_place(w, k, after[home], now[0], task, mask[r], move)
            move.stop = move.target == home and give_back_first
        if move.target < 0:
            return -1
        if move.target == home:
            take(now[0], task, move.device)
        move.new = take(after[move.target], task, move.device)
    return room


@inner
def _in_place(w, kernels, after, now, task, mask, move):
    """Offer the devices of its own node that are free at the end and at this moment (`now`, without the task)."""
    before = call_fragment(kernels.fragment, w, after)
    for d in range(after.gpus):
        if (mask >> d) & 1 == 0 and after.free[d] >= task.milli and now.free[d] >= task.milli:
            with_it = probe(w)
            with_it[0] = after
            take(with_it[0], task, d)
            gain = before - call_fragment(kernels.fragment, w, with_it[0])
            if gain > move.gain:
                move.gain, move.target, move.device = gain, move.source, d
