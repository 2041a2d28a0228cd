"""How long a cycle of the controller takes beside the cluster: 1,000 full nodes and 10,000 jobs that wait."""

from __future__ import annotations

import resource
import statistics
from dataclasses import replace

import polars as pl

from apportion.live.controller import Controller, Cycle
from apportion.live.memory import Memory
from apportion.live.simulated import SimulatedCluster
from apportion.model.cluster import Cluster
from apportion.model.workload import Workload
from apportion.policies.registry import parse_policy

NODES, WAITING, CYCLES = 1000, 10_000, 30
POLICIES = ("fifo", "sjf+best-fit", "fair", "srtf", "las[quantum=10m]")


def live_cycle(jobs: int) -> None:
    """Print medians of the steps for several policies, and the memory of the process."""
    for policy in POLICIES:
        cycles, idle = _measure(policy)
        steps = {step: statistics.median(getattr(c, f"{step}_s") * 1000 for c in cycles) for step in ("decide", "act")}
        observe = statistics.median(c.observe_s * 1000 for c in cycles)
        print(
            f"{policy:20} {cycles[-1].waiting:,} wait, {cycles[-1].running:,} run: decide {steps['decide']:.0f} ms, "
            f"act {steps['act']:.0f} ms; nothing new: {idle:.0f} ms; (simulated observe {observe:.0f} ms)",
            flush=True,
        )
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB", flush=True)


def _measure(policy: str) -> tuple[list[Cycle], float]:
    count = WAITING + NODES * 8 // 4 + CYCLES * 2
    index = pl.int_range(count, eager=True)
    table = pl.DataFrame(
        {
            "job_id": index.cast(pl.String),
            "user": (index % 50).cast(pl.String),
            "submit_s": pl.repeat(0.0, count, eager=True),
            "duration_s": (3600.0 + index % 977 * 60.0),
            "gpus": pl.select(pl.when(index % 3 == 0).then(8).when(index % 3 == 1).then(2).otherwise(4)).to_series(),
            "gpu_models": pl.Series([["A"] if i % 5 == 0 else [] for i in range(count)], dtype=pl.List(pl.String)),
            "cpu_milli": (index % 4 + 1) * 1000,
        }
    )
    nodes = Cluster.of(
        pl.DataFrame({"gpus": [8] * NODES, "gpu_model": ["A", "B"] * (NODES // 2), "cpu_milli": [96_000] * NODES})
    )
    cluster = SimulatedCluster(Workload.of(table), nodes)
    controller = Controller(cluster, parse_policy(policy), Memory(":memory:"))
    cluster.advance(0.0)
    controller.cycle()
    cycles = []
    for _ in range(CYCLES):
        cluster.advance(cluster.next_event_s())
        # as the service does, which keeps one picture at most
        cycles.append(replace(controller.cycle(), observation=None))
    quiet = []
    for _ in range(5):
        cluster.advance(cluster.now_s + 1e-3)
        done = controller.cycle()
        quiet.append((done.decide_s + done.act_s) * 1000)
    return cycles, statistics.median(quiet)
