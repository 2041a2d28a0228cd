"""Looks at a running Slurm from outside: who holds which devices, and how a controller's run went."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from slurm_cluster import SlurmCluster

from apportion.live.controller import Controller, Cycle
from apportion.live.slurm.hostlist import expand

_JOB = re.compile(r"^JobId=(\d+)(?: ArrayJobId=(\d+) ArrayTaskId=(\d+))?")
_HELD = re.compile(r"Nodes=(\S+) CPU_IDs=\S* Mem=\d* GRES=gpu:\w+:\d+\(IDX:([0-9,-]+)\)")


def devices(cluster: SlurmCluster) -> dict[str, set[tuple[str, int]]]:
    """Return the devices that every running job holds, as (node, number), by job id."""
    held = {}
    for line in cluster.run("scontrol", "-d", "-o", "show", "job", check=False).splitlines():
        match = _JOB.match(line)
        if match is None or "JobState=RUNNING" not in line:
            continue
        job = f"{match.group(2)}_{match.group(3)}" if match.group(2) else match.group(1)
        held[job] = {
            (node, int(number))
            for nodes, numbers in _HELD.findall(line)
            for node in expand(nodes)
            for number in (name[1:] for name in expand(f"x[{numbers}]"))
        }
    return held


@dataclass
class Watch:
    """What was seen: jobs and their devices in every look, and every cycle of the controller."""

    cycles: list[Cycle] = field(default_factory=list)
    held: list[dict[str, set[tuple[str, int]]]] = field(default_factory=list)

    def doubly_booked(self) -> list[tuple[str, int]]:
        """Return devices that two jobs held at once."""
        out = []
        for look in self.held:
            seen: set[tuple[str, int]] = set()
            for each in look.values():
                out += sorted(seen & each)
                seen |= each
        return out

    def decided(self) -> dict[str, set[str]]:
        """Return the nodes of the last start of every job."""
        return {launch.job_id: set(launch.nodes) for cycle in self.cycles for launch in cycle.started}


def go(
    cluster: SlurmCluster, controller: Controller, done: Callable[[], bool], poll_s: float = 0.4, limit_s: float = 120.0
) -> Watch:
    """Let a controller run the cluster until `done()`."""
    watch = Watch()
    limit = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > limit:
            raise TimeoutError(f"not done: {cluster.run('squeue', '-a', '-r', check=False)}")
        watch.cycles.append(controller.cycle())
        watch.held.append(devices(cluster))
        time.sleep(poll_s)
    return watch


def finished(cluster: SlurmCluster, jobs: list[str]) -> Callable[[], bool]:
    """Return a function that says whether all these jobs have completed."""
    want = {job.split("_")[0] for job in jobs}

    def done() -> bool:
        rows = cluster.run("squeue", "-h", "-a", "-r", "-t", "all", "-o", "%F %t").split("\n")
        states = [row.split() for row in rows if row.split() and row.split()[0] in want]
        return bool(states) and all(state == "CD" for _, state in states)

    return done
