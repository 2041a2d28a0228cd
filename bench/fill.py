"""The packing experiment: seconds of a filling, beside FGD written with NumPy over all nodes, in the same process.

Run `python -m bench fill`. The plain form scores every node for every task, as the rule reads; both must place the same
tasks on the same nodes.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import numpy.typing as npt

import apportion as ap
from apportion.engine.encode import encode
from apportion.engine.target import typical_tasks
from apportion.study.fill import Filler
from apportion.traces.arrivals import inflate
from bench.worlds import data_folder

F8 = npt.NDArray[np.float64]
FIRST, SEED, REPEATS = 600, 42, 5
"""Arrivals that the plain form places."""


class Plain:
    """Nodes as arrays, and FGD's rule for one task after the other (Weng et al., ATC 2023, section 4)."""

    def __init__(self, trace: ap.Trace, rank: npt.NDArray[np.int64]) -> None:
        assert trace.cluster is not None
        encoded = encode(trace.workload, trace.cluster)
        nodes = encoded.nodes[rank]
        self.cpu, self.memory = nodes["cpu"].astype(float), nodes["memory"].astype(float)
        self.there = np.arange(nodes["free"].shape[1]) < nodes["gpus"][:, None]
        self.gpu = np.where(self.there, 1000.0, -1.0)
        self.target = typical_tasks(encoded)

    def fragment(self, cpu: F8, gpu: F8) -> F8:
        """Return F of each node, f8[nodes]."""
        free = np.maximum(gpu, 0.0).sum(axis=1)
        total = np.zeros(cpu.size)
        for typical in self.target:
            enough = gpu >= max(int(typical["milli"]), 1)
            fits = (enough.sum(axis=1) >= typical["gpus"]) & (cpu >= typical["cpu"]) & (typical["milli"] > 0)
            total += typical["share"] * np.where(fits, np.where(enough, 0.0, np.maximum(gpu, 0.0)).sum(axis=1), free)
        return total

    def place(self, cpu: int, memory: int, gpus: int, milli: int) -> None:
        """Place a task, if it fits anywhere."""
        enough = self.gpu >= max(milli, 1)
        able = np.flatnonzero((self.cpu >= cpu) & (self.memory >= memory) & (enough.sum(axis=1) >= gpus))
        if not able.size:
            return
        gpu, before = self.gpu[able], self.fragment(self.cpu[able], self.gpu[able])
        first = np.cumsum(enough[able], axis=1)
        options = [enough[able] & (first <= gpus)]
        if gpus == 1 and milli < 1000:
            options = [enough[able] & (first == k) for k in range(1, int(first.max()) + 1)]
        best, taken = np.full(able.size, -1.0), options[0]
        for option in options:
            after = self.fragment(self.cpu[able] - cpu, gpu - milli * option)
            points = np.trunc(100.0 / (1.0 + np.exp(-(before - after) / 1000.0)))
            points[option.sum(axis=1) < gpus] = -1.0
            taken = np.where((points > best)[:, None], option, taken)
            best = np.maximum(best, points)
        at = int(np.argmax(best))
        node = int(able[at])
        self.cpu[node] -= cpu
        self.memory[node] -= memory
        self.gpu[node] -= milli * taken[at]


def fill(jobs: int) -> None:
    """FGD on the default trace beside the plain form; what other placements cost, over FGD."""
    folder = data_folder() / "openb"
    if not folder.exists():
        print("fill: no openb data", flush=True)
        return
    trace = ap.load(f"openb:{folder}?pods=default&pending=keep")
    assert trace.cluster is not None
    filler, table = Filler(trace.workload, trace.cluster), trace.workload.table
    seconds = {}
    for policy in ("fgd", "completion", "best-fit"):
        filler.run(policy, SEED)
        runs = [filler.run(policy, SEED) for _ in range(REPEATS)]
        seconds[policy] = statistics.median(run.engine_s for run in runs)
    run = filler.run("fgd", SEED)
    capacity = trace.cluster.gpus * 1000
    arrivals = inflate(
        table["job_id"], table["gpus"], table["gpu_milli"], trace.cluster.table["node"], capacity_milli=capacity,
        seed=SEED,
    )  # fmt: skip
    plain = Plain(trace, arrivals.rank)
    asked = table[arrivals.order[:FIRST]].select("cpu_milli", "memory_mib", "gpus", "gpu_milli").rows()
    began = time.perf_counter()
    for cpu, memory, gpus, milli in asked:
        plain.place(cpu, memory, gpus, milli if gpus else 0)
    each = (time.perf_counter() - began) / FIRST
    found, mine_f = plain.fragment(plain.cpu, plain.gpu).sum(), run.fragmented[FIRST - 1]
    same = "same F" if abs(found - mine_f) < 1e-6 * found else f"F {found:.2f} vs {mine_f:.2f}"
    mine = seconds["fgd"] / run.order.size
    print(
        f"fill, default trace, {run.order.size:,} arrivals: fgd {seconds['fgd']:.3f} s, {1e6 * mine:.0f} us a task; "
        f"NumPy over all nodes {1e3 * each:.1f} ms a task, {each / mine:,.0f}x ({same} after {FIRST}); "
        + ", ".join(f"{name} {value / seconds['fgd']:.2f}x of fgd" for name, value in seconds.items() if name != "fgd"),
        flush=True,
    )
