"""A policy in charge of a real Slurm, to the end of a small workload."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial

import polars as pl
import pytest
from compress import scripts
from slurm_cluster import SlurmCluster
from slurm_watch import Watch, finished, go

from apportion.live.controller import Controller
from apportion.live.memory import Memory
from apportion.live.slurm import Slurm, SlurmBackend
from apportion.live.slurm.hostlist import expand
from apportion.model import Workload
from apportion.policies.registry import parse_policy


def controller(slurm: SlurmCluster, policy: str) -> Controller:
    backend = SlurmBackend(slurm=Slurm(conf=slurm.conf, timeout_s=60), grace_s=0.0)
    return Controller(backend, parse_policy(policy), Memory(":memory:"))


def day(jobs: int, seed: int = 1) -> Workload:
    """Return a day of mixed jobs: small ones, whole nodes, gangs of two nodes, of either model or any."""
    chance = random.Random(seed)
    rows = []
    for i in range(jobs):
        tasks, gpus = chance.choice([(1, 1), (1, 1), (1, 2), (1, 2), (1, 4), (1, 8), (2, 4), (2, 8)])
        model = chance.choice([[], ["a100"], ["v100"]])
        seconds = chance.uniform(300, 2700)
        rows.append(
            {"job_id": f"job-{i}", "submit_s": i * 20.0, "duration_s": seconds, "tasks": tasks, "gpus": gpus,
             "gpu_models": model, "apart": tasks > 1}
        )  # fmt: skip
    return Workload.of(pl.DataFrame(rows, schema_overrides={"gpu_models": pl.List(pl.String)}))


def places(slurm: SlurmCluster) -> dict[str, set[str]]:
    """Return the nodes every job ran on, in Slurm's words."""
    rows = slurm.run("squeue", "-h", "-a", "-r", "-t", "all", "-o", "%i %N").splitlines()
    return {row.split()[0]: set(expand(row.split()[1])) for row in rows if len(row.split()) == 2}


def check(slurm: SlurmCluster, watch: Watch, jobs: list[str]) -> None:
    """Assert that every job ran on the nodes that were decided, and no device was held twice."""
    assert watch.doubly_booked() == []
    ran, decided = places(slurm), watch.decided()
    assert {job: ran.get(job) for job in jobs} == {job: decided.get(job) for job in jobs}


def test_a_day_of_jobs(slurm: SlurmCluster) -> None:
    log = slurm.folder / "runs.txt"
    log.touch()
    jobs = [slurm.submit(*each.options, script=each.text) for each in scripts(day(50), 900, log=str(log))]
    text = f"#!/bin/sh\necho $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID >> {log}\nsleep 1\n"
    arrays = [slurm.submit("--array=0-4%3", "--gres=gpu:2", script=text) for _ in range(2)]
    tasks = [f"{array}_{i}" for array in arrays for i in range(5)]
    watch = go(slurm, controller(slurm, "fifo+best-fit"), finished(slurm, [*jobs, *arrays]))
    check(slurm, watch, [*jobs, *tasks])
    runs = Counter(line.split()[0] for line in log.read_text().splitlines())
    assert runs == {**dict.fromkeys(jobs, 1), **dict.fromkeys(arrays, 5)}
    assert [cycle.refused for cycle in watch.cycles if cycle.refused] == []


def test_a_long_job_makes_room_for_a_short_one_and_goes_on(slurm: SlurmCluster) -> None:
    log = slurm.folder / "resumed.txt"
    log.touch()
    # every run adds a line; the second run of a job has only little left to do
    script = (
        f"#!/bin/sh\necho $SLURM_JOB_ID >> {log}\n"
        f'if [ "$(grep -c "^$SLURM_JOB_ID$" {log})" -gt 1 ]; then sleep 1; else sleep 5; fi\n'
    )
    long = [slurm.submit("-t60", "--gres=gpu:8", script=script) for _ in range(5)]
    charge = controller(slurm, "srtf+best-fit")
    running = "squeue", "-h", "-t", "R", "-o", "%i"
    first = go(slurm, charge, lambda: set(slurm.run(*running).split()) == set(long))
    short = [slurm.submit("-t1", "--gres=gpu:4", script="#!/bin/sh\nsleep 1\n") for _ in range(3)]
    second = go(slurm, charge, finished(slurm, [*long, *short]))
    watch = Watch(first.cycles + second.cycles, first.held + second.held)
    check(slurm, watch, [*long, *short])
    stopped = [job for cycle in watch.cycles for job in cycle.stopped]
    assert stopped
    assert set(stopped) <= set(long)
    runs = Counter(log.read_text().split())
    assert runs == {job: 1 + stopped.count(job) for job in long}


@pytest.mark.parametrize("policy", ["sjf+consolidate"])
def test_a_controller_that_dies_is_replaced_by_another(slurm: SlurmCluster, policy: str) -> None:
    log = slurm.folder / "again.txt"
    log.touch()
    jobs = [slurm.submit(*each.options, script=each.text) for each in scripts(day(12, 2), 900, log=str(log))]
    done = finished(slurm, jobs)
    watch = Watch()
    while not done():
        # each knows nothing of the one before it
        looks = iter([False, False, True])
        look = go(slurm, controller(slurm, policy), partial(next, looks))
        watch.cycles += look.cycles
        watch.held += look.held
        assert len(watch.cycles) < 300
    check(slurm, watch, jobs)
    assert Counter(line.split()[0] for line in log.read_text().splitlines()) == dict.fromkeys(jobs, 1)
