"""The plain-Python baseline: an event-driven simulator written with care, but without arrays or a compiler.

It does what the engine does on the benchmarks' worlds (gang jobs of whole GPUs, best fit or one pool, a queue of which
what does not fit is skipped) with heaps and lists: no ticks, no object per GPU. Demands that did not fit are not tried
again in the same pass.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def simulate(
    submit: Sequence[float],
    duration: Sequence[float],
    gpus: Sequence[int],
    nodes: int,
    gpus_per_node: int,
    shortest_first: bool,
) -> list[float]:
    """Return when each job ended; jobs larger than a node take whole nodes and a rest.

    Parameters
    ----------
    submit, duration: seconds, ascending submissions. gpus: demand. nodes, gpus_per_node: the cluster (1 node: a pool).
    """
    n = len(submit)
    free = [gpus_per_node] * nodes
    by_free: list[set[int]] = [set() for _ in range(gpus_per_node + 1)]
    by_free[gpus_per_node].update(range(nodes))
    end_of = [0.0] * n
    running: list[tuple[float, int, list[tuple[int, int]]]] = []
    # one queue a demand: its head speaks for all that ask for the same
    queues: dict[int, list[tuple[float, int]]] = {}
    arrived = 0

    def change(node: int, amount: int) -> None:
        if nodes == 1:
            free[0] += amount
            return
        by_free[free[node]].discard(node)
        free[node] += amount
        by_free[free[node]].add(node)

    def place(demand: int) -> list[tuple[int, int]] | None:
        if nodes == 1:
            if demand > free[0]:
                return None
            free[0] -= demand
            return [(0, demand)]
        whole, rest = divmod(demand, gpus_per_node) if demand > gpus_per_node else (0, demand)
        if whole > len(by_free[gpus_per_node]):
            return None
        taken = []
        for _ in range(whole):
            node = min(by_free[gpus_per_node])
            change(node, -gpus_per_node)
            taken.append((node, gpus_per_node))
        if rest:
            for level in range(rest, gpus_per_node + 1):
                if by_free[level]:
                    node = min(by_free[level])
                    change(node, -rest)
                    taken.append((node, rest))
                    return taken
            for node, amount in taken:
                change(node, amount)
            return None
        return taken

    while arrived < n or running:
        now = running[0][0] if running else float("inf")
        if arrived < n:
            now = min(now, submit[arrived])
        while running and running[0][0] <= now:
            _, _, taken = heapq.heappop(running)
            for node, amount in taken:
                change(node, amount)
        while arrived < n and submit[arrived] <= now:
            key = duration[arrived] if shortest_first else submit[arrived]
            heapq.heappush(queues.setdefault(gpus[arrived], []), (key, arrived))
            arrived += 1
        heads = [(queue[0], demand) for demand, queue in queues.items() if queue]
        heapq.heapify(heads)
        while heads:
            (_, job), demand = heapq.heappop(heads)
            places = place(demand)
            if places is None:
                continue
            heapq.heappop(queues[demand])
            end_of[job] = now + duration[job]
            heapq.heappush(running, (end_of[job], job, places))
            if queues[demand]:
                heapq.heappush(heads, (queues[demand][0], demand))
    return end_of
