"""A few faults thrown at the controller and at a real Slurm; `python -m bench.chaos_slurm` throws 200."""

from __future__ import annotations

import os
import sys

import pytest
from slurm_cluster import missing, slurm_cluster

from inputs import REPOSITORY

sys.path.insert(0, str(REPOSITORY))
from bench.chaos_slurm import CLOCK, KILLED, NODES, PROGRAMS, SLURM, Chaos

KINDS = (*KILLED, PROGRAMS[0], PROGRAMS[2], CLOCK[0], *NODES, *SLURM)


def test_nothing_is_lost_or_done_twice() -> None:
    if not os.environ.get("APPORTION_CHAOS"):
        pytest.skip(
            "set APPORTION_CHAOS=1 to run it: its deadlines are not for a machine that is busy with other tests"
        )
    absent = missing()
    if absent:
        pytest.skip(f"Slurm is not installed: {', '.join(absent)} not found")
    with slurm_cluster({"a100": 4}, gpus=4) as cluster:
        chaos = Chaos(cluster, len(KINDS), seed=1, kinds=KINDS, poll_s=0.25, waiting=6)
        chaos.run()
    assert sum(chaos.thrown.values()) == len(KINDS) == len(chaos.healed_in)
    assert chaos.restarts >= 3
    assert chaos.looks > 10
    assert len(chaos.jobs) > 10
