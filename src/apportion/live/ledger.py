"""Who holds what on a simulated cluster, counted apart from the engine that decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from apportion.engine.encode import encode
from apportion.model.cluster import Cluster
from apportion.model.workload import Workload


@dataclass(frozen=True)
class Piece:
    """What one piece of a job takes: devices, of each so many milli, CPU in milli-cores, memory in MiB."""

    gpus: int
    milli: int
    cpu_milli: int
    memory_mib: int


@dataclass
class _Node:
    pooled: bool
    devices: list[int]  # milli that are free, of each; of a pool one sum
    cpu_milli: int
    memory_mib: int


@dataclass
class Ledger:
    """The books of a cluster: `take` books or says what is missing, `give` books back."""

    workload: Workload
    cluster: Cluster
    _nodes: dict[str, _Node] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for name, gpus, cpu, memory, pooled in self.cluster.table.select(
            "node", "gpus", "cpu_milli", "memory_mib", "pooled"
        ).iter_rows():
            self._nodes[name] = _Node(pooled, [gpus * 1000] if pooled else [1000] * gpus, cpu, memory)
        encoded = encode(self.workload, self.cluster)
        self._kind = encoded.kind.tolist()
        shapes = [
            Piece(int(task["gpus"]), int(task["milli"]), int(task["cpu"]), int(task["memory"]))
            for task in encoded.tasks
        ]
        self._pieces = [
            [shapes[kind["shape"] if i < kind["count"] else kind["rest"]] for i in range(kind["pieces"])]
            for kind in encoded.kinds
        ]

    def pieces(self, row: int) -> list[Piece]:
        """Return the pieces of a job, given by its row in the workload."""
        return self._pieces[self._kind[row]]

    def take(self, row: int, nodes: tuple[str, ...], devices: tuple[int, ...]) -> str | None:
        """Book all pieces of a job, or none; return what is wrong, or None."""
        pieces = self.pieces(row)
        if len(nodes) != len(pieces) or len(devices) != len(pieces):
            return f"{len(nodes)} nodes and {len(devices)} device sets for {len(pieces)} pieces"
        for i, (piece, node, mask) in enumerate(zip(pieces, nodes, devices, strict=True)):
            wrong = self._book(piece, node, mask)
            if wrong is not None:
                self.give(row, nodes[:i], devices[:i])
                return wrong
        return None

    def give(self, row: int, nodes: tuple[str, ...], devices: tuple[int, ...]) -> None:
        """Book the first pieces of a job back, as many as there are nodes."""
        for piece, name, mask in zip(self.pieces(row), nodes, devices, strict=False):
            node = self._nodes[name]
            node.cpu_milli += piece.cpu_milli
            node.memory_mib += piece.memory_mib
            if node.pooled:
                node.devices[0] += piece.gpus * piece.milli
                continue
            for device in _bits(mask):
                node.devices[device] += piece.milli

    def _book(self, piece: Piece, name: str, mask: int) -> str | None:
        node = self._nodes.get(name)
        if node is None:
            return f"there is no node {name}"
        if node.cpu_milli < piece.cpu_milli or node.memory_mib < piece.memory_mib:
            return f"node {name} has not that much CPU or memory free"
        if node.pooled:
            if node.devices[0] < piece.gpus * piece.milli:
                return f"node {name} has not that many GPUs free"
            node.devices[0] -= piece.gpus * piece.milli
        else:
            chosen = _bits(mask)
            if piece.gpus * piece.milli and len(chosen) != piece.gpus:
                return f"{len(chosen)} devices of node {name} for a piece of {piece.gpus}"
            if any(device >= len(node.devices) or node.devices[device] < piece.milli for device in chosen):
                return f"a device of node {name} is not free"
            for device in chosen:
                node.devices[device] -= piece.milli
        node.cpu_milli -= piece.cpu_milli
        node.memory_mib -= piece.memory_mib
        return None


def _bits(mask: int) -> list[int]:
    return [device for device in range(max(mask, 0).bit_length()) if (mask >> device) & 1]
