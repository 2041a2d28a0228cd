"""`apportion import slurm --sacct --nodes` of a real accounting database."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from slurm_accounting import PROGRAMS, accounted_cluster
from slurm_cluster import SlurmCluster, skip_without

import apportion as ap

ASKED = {
    "one": ("-pmain", "--gres=gpu:a100:2"),
    "nodes": ("-pmain", "-N2", "--gres=gpu:4"),
    "total": ("-pmain", "--gpus=12"),
    "odd": ("-pmain", "-N2", "--gpus=3"),
    "cores": ("-pmain", "-n100", "--gres=gpu:1"),
    "array": ("-pmain", "--array=0-1", "--gpus=v100:1", "-N1", "-t5"),
    "none": ("-pmain", "-n2"),
}
"""Options of jobs by name."""
WANTED = {
    "one": [(1, 2, False, ["a100"], None)],
    "nodes": [(2, 4, True, [], None)],
    "total": [(12, 1, False, [], None)],
    "odd": [(3, 1, False, [], None)],
    "cores": [(2, 1, True, [], None)],
    "array": [(1, 1, False, ["v100"], 300.0)] * 2,
    "none": [],
}
"""Their tasks, GPUs of each, whether these are apart, models, and estimates."""


@pytest.fixture(scope="module")
def accounted() -> Iterator[SlurmCluster]:
    skip_without(*PROGRAMS)
    with accounted_cluster() as cluster:
        yield cluster


def recorded(cluster: SlurmCluster, jobs: dict[str, str]) -> None:
    """Wait until the database knows how these jobs ended: Slurm tells it by and by."""
    for _ in range(300):
        rows = cluster.run("sacct", "-a", "-X", "-n", "-P", "-o", "JobID,State").splitlines()
        over = {row.split("|")[0].split("_")[0] for row in rows if row.endswith("|COMPLETED")}
        if over >= set(jobs.values()):
            return
        time.sleep(0.2)
    raise TimeoutError(f"not all of {jobs} are in the accounts as completed: {rows}")


def test_what_was_asked_for_comes_out_of_the_database(accounted: SlurmCluster, tmp_path: Path) -> None:
    ids = {name: accounted.submit(f"-J{name}", *options) for name, options in ASKED.items()}
    again = accounted.submit("-pmain", "--gres=gpu:1", script="#!/bin/sh\nsleep $((9 * (1 - SLURM_RESTART_COUNT)))\n")
    accounted.run("scancel", accounted.submit("-pwait", "--gres=gpu:1"))
    accounted.submit("-pwait", "--gres=gpu:1")
    accounted.until("RUNNING", again)
    accounted.run("scontrol", "requeue", again)
    accounted.until("PENDING", again)
    # not within the second in which it was killed: its node would refuse it
    accounted.run("scontrol", "update", f"JobId={again}", "StartTime=now+2")
    recorded(accounted, {**ids, "again": again})
    jobs, nodes = tmp_path / "jobs.parquet", tmp_path / "nodes.csv"
    command = [str(Path(sys.executable).with_name("apportion")), "import", "slurm", "--sacct"]
    told = accounted.run(*command, "--out", str(jobs), "--nodes", str(nodes), check=False)
    for reason in ("an earlier attempt of a requeued job", "cancelled before start", "pending: never started",
                   "asks for no GPU (cpu=keep keeps them)"):  # fmt: skip
        assert f"dropped 1: {reason}" in told
    table = ap.load(f"native:{jobs}").workload.table
    row = pl.col("job_id")
    found = {
        name: table.filter((row == ids[name]) | (pl.col("array_job") == ids[name]))
        .select("tasks", "gpus", "apart", "gpu_models", "estimate_s")
        .rows()
        for name in ASKED
    }
    assert found == WANTED
    assert set(table["status"]) == {"completed"}
    assert table.filter(row == again).select("source_restarts", "gpus").rows() == [(1.0, 1)]
    assert (table.filter(row == again)["source_earlier_s"] >= 0).all()
    assert pl.read_csv(nodes).select("node", "gpu_model", "gpus").rows() == [
        ("n1", "a100", 8), ("n2", "a100", 8), ("n3", "v100", 8),
    ]  # fmt: skip
    # the two files are a study
    result = ap.simulate(ap.load(f"native:{jobs}").workload, ap.parse_cluster(str(nodes)), "sjf+best-fit", check=True)
    assert set(result.jobs["status"]) == {"completed"}
