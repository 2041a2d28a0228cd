"""Workloads and controllers for the tests of the live room."""

from __future__ import annotations

import random

import polars as pl

from apportion.live.controller import Controller
from apportion.live.memory import Memory
from apportion.live.simulated import SimulatedCluster, drive
from apportion.model.cluster import Cluster
from apportion.model.workload import Workload
from apportion.policies.registry import parse_policy
from apportion.predict.run_time import RunTimes


class KnownRunTimes(RunTimes):
    """Predicts the truth, as a simulation without estimates does."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        truth = dict(workload.table.select("job_id", "duration_s").iter_rows())
        object.__setattr__(self, "truth", truth)

    def predict(self, history: pl.DataFrame, jobs: pl.DataFrame) -> pl.Series:
        truth = self.truth  # type: ignore[attr-defined]
        return pl.Series("duration_s", [truth[job] for job in jobs["job_id"]], dtype=pl.Float64)


def cluster(nodes: int = 4, gpus: int = 4, cpu_milli: int = 32_000, models: tuple[str, ...] = ("A", "B")) -> Cluster:
    """Return nodes whose models take turns."""
    rows = [
        {"node": f"n{i}", "gpus": gpus, "gpu_model": models[i % len(models)], "cpu_milli": cpu_milli,
         "memory_mib": 256_000}
        for i in range(nodes)
    ]  # fmt: skip
    return Cluster.of(pl.DataFrame(rows))


def workload(
    seed: int, jobs: int = 36, gap_s: float = 40.0, at_once: bool = False, cpu_only: bool = True, widest: int = 12
) -> Workload:
    """Return gangs, fractions, jobs without GPUs, jobs short of CPU, jobs that want one model; in whole seconds.

    widest: most GPUs of a job. cpu_only: some ask for no GPU.
    """
    draw = random.Random(seed)
    rows, now = [], 0.0
    for i in range(jobs):
        kind = draw.choice(("one", "several", "gang", "fraction", "fraction", "cpu", "model"))
        row = {
            "job_id": f"j{i}", "user": f"u{draw.randrange(4)}", "group": f"g{draw.randrange(2)}", "submit_s": now,
            "duration_s": float(draw.choice((30, 60, 60, 120, draw.randrange(20, 900)))), "tasks": 1, "gpus": 1,
            "gpu_milli": 1000, "cpu_milli": 2000, "memory_mib": 4000, "gpu_models": [],
        }  # fmt: skip
        if kind == "several":
            row |= {"gpus": draw.choice((2, 4))}
        elif kind == "gang":
            tasks, gpus = draw.choice((2, 3)), draw.choice((1, 2, 4))
            row |= {"tasks": min(tasks, widest // gpus), "gpus": gpus}
        elif kind == "fraction":
            row |= {"gpu_milli": draw.choice((200, 500, 700))}
        elif kind == "cpu":
            row |= {"gpus": draw.choice((0, 1)) if cpu_only else 1, "cpu_milli": draw.choice((16_000, 30_000))}
        elif kind == "model":
            row |= {"gpu_models": [draw.choice("AB")]}
        rows.append(row)
        if not at_once:
            now += float(draw.choice((0, 0, 1, draw.randrange(1, int(2 * gap_s)))))
    return Workload.of(pl.DataFrame(rows))


def driven(
    work: Workload, machine: Cluster, policy: str, backfill: int = 0, restart: int = 0, path: str = ":memory:"
) -> SimulatedCluster:
    """Return a simulated cluster that a controller ran to its end.

    restart: after so many cycles the controller is gone and another begins with what is in its file, again and again;
    0 = never. path: of the file.
    """
    simulated = SimulatedCluster(work, machine)

    def begin() -> Controller:
        return Controller(simulated, parse_policy(policy), Memory(path), backfill, run_times=KnownRunTimes(work))

    controller = begin()

    def cycle() -> float:
        nonlocal controller
        if restart and controller.cycles == restart:
            controller.memory.close()
            controller = begin()
        return controller.cycle().wake_s

    drive(simulated, cycle, limit=20_000)
    controller.memory.close()
    return simulated
