"""A few faults thrown at the controller and at a real Slurm; `python -m bench.chaos_slurm` throws 200."""

from __future__ import annotations

import sys

from slurm_cluster import skip_without, slurm_cluster

from inputs import REPOSITORY

sys.path.insert(0, str(REPOSITORY))
from bench.chaos_slurm import CLOCK, KILLED, NODES, PROGRAMS, SLURM, Chaos

KINDS = (KILLED[2], KILLED[4], KILLED[5], KILLED[6], PROGRAMS[0], PROGRAMS[2], CLOCK[0], *NODES, *SLURM)


def test_nothing_is_lost_or_done_twice() -> None:
    skip_without()
    with slurm_cluster({"a100": 4}, gpus=4) as cluster:
        chaos = Chaos(cluster, len(KINDS), seed=1, kinds=KINDS, weights={}, poll_s=0.25, waiting=8, ask_s=4.0)
        chaos.run()
    assert sum(chaos.thrown.values()) == len(KINDS) == len(chaos.healed_in)
    assert chaos.restarts >= 3
    assert chaos.looks > 10
    assert len(chaos.jobs) > 10
