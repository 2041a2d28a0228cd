"""What jobs lacked while they waited: by hand, against a slow count, and against the explanation of single jobs."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.engine.causes import CAUSES, seconds_by_cause
from apportion.engine.encode import encode
from apportion.model.cluster import Cluster
from apportion.model.trace import Trace
from apportion.model.workload import Workload
from apportion.study.changes import all_changes
from apportion.study.characterize import waits_by_cause
from apportion.study.characterize.section import Section
from apportion.study.characterize.subject import prepare
from apportion.study.result import Result
from apportion.study.why import explain


def look(jobs: dict[str, list[object]], nodes: dict[str, list[object]]) -> Section:
    workload, cluster = Workload.of(pl.DataFrame(jobs)), Cluster.of(pl.DataFrame(nodes))
    return waits_by_cause.look(prepare(Trace(workload), cluster))


def shares(section: Section) -> dict[str, float]:
    return {name: section.numbers[f"{name}_share"] for name in CAUSES if section.numbers[f"{name}_share"]}


def test_too_few_gpus_and_free_ones_that_are_scattered() -> None:
    # two nodes of two: the third job finds two GPUs free, one on each node, until 100; then both of a node
    jobs = {"submit_s": [0, 1, 2, 3], "duration_s": [100, 200, 50, 10], "gpus": [1, 2, 2, 1]}
    scattered = {"submit_s": [0, 1, 2, 3, 20], "duration_s": [10, 100, 10, 200, 5], "gpus": [1, 1, 1, 1, 2]}
    lacking = look(jobs, {"gpus": [2, 2]})
    assert shares(lacking) == {"capacity": 1.0}
    assert lacking.numbers["mean_wait_s"] == pytest.approx(98 / 4)
    # 0 and 2 end, and leave one GPU on each node, or both on one: best fit packs 0 and 1, 2 and 3
    assert shares(look(scattered, {"gpus": [2, 2]})) == {"fragmentation": 1.0}


def test_a_used_up_quota_is_told_from_a_full_cluster() -> None:
    jobs = {
        "submit_s": [0.0, 1.0, 2.0, 10.0],
        "duration_s": [100.0, 40.0, 10.0, 60.0],
        "gpus": [2, 2, 2, 2],
        "group": ["a", "b", "a", "b"],
    }
    # the third waits 2-100: both nodes are in use until 41, then b's is idle; the fourth of b begins at 41 until 101
    section = look(jobs, {"gpus": [2, 2], "group": ["a", "b"]})
    assert shares(section) == {"capacity": 1.0}
    jobs["duration_s"][3] = 9.0
    section = look(jobs, {"gpus": [2, 2], "group": ["a", "b"]})
    waited = {"capacity": (41 - 2 + 50 - 41) + (41 - 10), "quota": 100 - 50}
    total = sum(waited.values())
    assert shares(section) == pytest.approx({name: seconds / total for name, seconds in waited.items()})
    assert "No node belongs" not in " ".join(section.sentences)


def test_cpu_beside_free_gpus() -> None:
    jobs = {"submit_s": [0, 1], "duration_s": [50, 10], "gpus": [1, 1], "cpu_milli": [4000, 4000]}
    section = look(jobs, {"gpus": [4], "cpu_milli": [6000]})
    assert shares(section) == {"cpu_or_memory": 1.0}
    assert "CPU" in section.sentences[0]


def test_nobody_waits_and_too_large_jobs_are_told() -> None:
    section = look({"submit_s": [0, 1], "duration_s": [5, 5], "gpus": [1, 99]}, {"gpus": [4]})
    assert section.numbers["waited_share"] == 0
    assert section.numbers["rejected_jobs"] == 1
    assert "no job would have to wait" in section.sentences[0]


def of_run(result: Result) -> tuple[list[int], np.ndarray]:
    jobs = result.jobs
    waited = np.flatnonzero((jobs["wait_s"] > 0).fill_null(False).to_numpy())
    encoded = encode(result.workload, result.cluster)
    begin, start = (jobs[name].to_numpy()[waited] for name in ("submit_s", "start_s"))
    return waited.tolist(), seconds_by_cause(encoded, *all_changes(result, encoded), waited, begin, start)


@pytest.mark.parametrize("policy", ["fifo", "sjf+worst-fit"])
def test_every_wait_agrees_with_the_explanation_of_the_job(policy: str) -> None:
    trace = ap.load("synthetic:philly?jobs=400&seed=3")
    result = ap.simulate(trace.workload, ap.parse_cluster("4x8"), policy)
    waited, seconds = of_run(result)
    assert len(waited) > 50
    assert seconds.sum(axis=1) == pytest.approx(result.jobs["wait_s"].to_numpy()[waited], rel=1e-9)
    other = {"capacity": "capacity", "fragmentation": "fragmentation"}
    for i in range(0, len(waited), 7):
        told = explain(result, result.jobs["job_id"][waited[i]]).totals
        for cause, name in other.items():
            assert seconds[i, CAUSES.index(cause)] == pytest.approx(told.get(name, 0.0), abs=1e-3), (i, told)


def slowly(result: Result, job: int) -> dict[str, float]:
    """Count the causes of one wait from the placements alone, whole GPUs only."""
    placed, row = result.placements, result.jobs.row(job, named=True)
    nodes, table = result.cluster.table, result.workload.table
    group, gpus, tasks = (table[name][job] for name in ("group", "gpus", "tasks"))
    own = np.array([owner is None or owner == group for owner in nodes["group"]])
    start, end = placed["start_s"].to_numpy(), placed["end_s"].fill_null(np.inf).to_numpy()
    times = np.unique(np.concatenate([start, end, [row["submit_s"], row["start_s"]]]))
    times = times[(times >= row["submit_s"]) & (times <= row["start_s"])]
    out = dict.fromkeys(CAUSES, 0.0)
    for at, then in itertools.pairwise(times):
        running = (start <= at) & (end > at)
        used = np.bincount(placed["node"].to_numpy()[running], placed["gpus"].to_numpy()[running], len(own))
        free = nodes["gpus"].to_numpy() - used
        if (free[own] // gpus).sum() >= tasks:
            cause = "order"
        elif free[own].sum() >= gpus * tasks:
            cause = "fragmentation"
        else:
            cause = "quota" if free.sum() >= gpus * tasks else "capacity"
        out[cause] += then - at
    return out


@pytest.mark.parametrize("seed", range(4))
def test_divided_clusters_agree_with_a_slow_count(seed: int) -> None:
    random = np.random.default_rng(seed)
    jobs = 120
    frame = pl.DataFrame(
        {
            "submit_s": np.sort(random.integers(0, 2000, jobs)).astype(float),
            "duration_s": random.integers(1, 300, jobs).astype(float),
            "gpus": random.choice([1, 2, 4], jobs),
            "tasks": random.choice([1, 1, 2], jobs),
            "group": random.choice(["a", "b", "c"], jobs),
        }
    )
    nodes = pl.DataFrame({"gpus": [4, 4, 4, 2, 4], "group": ["a", "a", "b", "b", None]})
    backfill = "strict" if seed % 2 else "skip"
    result = ap.simulate(Workload.of(frame), Cluster.of(nodes), "fifo", backfill=backfill)
    waited, seconds = of_run(result)
    assert len(waited) > 20
    for i, job in enumerate(waited):
        assert dict(zip(CAUSES, seconds[i], strict=True)) == pytest.approx(slowly(result, job)), job
