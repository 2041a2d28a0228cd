"""Small live situations, written out by hand or drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from hypothesis import strategies as st

import apportion as ap
from apportion.live.decide import decide
from apportion.live.situation import PENDING, RUNNING, Situation
from apportion.model.cluster import Cluster
from apportion.policies.registry import parse_policy
from apportion.predict.history import back_off
from apportion.study.load import at_load

NOW = 1000.0


def nodes(*rows: dict[str, Any]) -> Cluster:
    """Return a cluster of these nodes, called n0, n1 and so on."""
    kinds = {"gpu_model": pl.String, "group": pl.String}
    named = [{"node": f"n{i}"} | row for i, row in enumerate(rows)]
    return Cluster.of(pl.DataFrame(named, schema_overrides=kinds, infer_schema_length=None))


def running(job_id: str, gpus: int, *on: str, started_s: float = 0.0, **more: Any) -> dict[str, Any]:
    """Return a job that runs on these nodes, one task on each."""
    return {
        "job_id": job_id, "submit_s": 0.0, "duration_s": 5000.0, "gpus": gpus, "tasks": max(len(on), 1),
        "state": RUNNING, "started_s": started_s, "user": f"user-{job_id}", "on": on,
    } | more  # fmt: skip


def waiting(job_id: str, gpus: int, submit_s: float = 500.0, **more: Any) -> dict[str, Any]:
    """Return a job that waits."""
    return {
        "job_id": job_id, "submit_s": submit_s, "duration_s": 600.0, "gpus": gpus, "state": PENDING,
        "user": f"user-{job_id}",
    } | more  # fmt: skip


def situation(
    cluster: Cluster,
    jobs: Sequence[dict[str, Any]],
    closed: Sequence[str] = (),
    served: dict[str, dict[str, float]] | None = None,
    now_s: float = NOW,
) -> Situation:
    """Return the situation of these jobs at `now_s`."""
    places = [{"job_id": job["job_id"], "node": node, "devices": -1} for job in jobs for node in job.get("on", ())]
    rows = [{name: value for name, value in job.items() if name != "on"} for job in jobs]
    table = pl.DataFrame(rows, infer_schema_length=None)
    at = pl.DataFrame(places, schema={"job_id": pl.String, "node": pl.String, "devices": pl.Int64})
    return Situation.of(now_s, cluster, table, at, frozenset(closed), served)


def busy_run(jobs: int, seed: int) -> ap.Result:
    """Return a run of people's jobs on a cluster that is asked for more than it has, with estimates from history."""
    cluster = ap.parse_cluster("16x8")
    workload = at_load(ap.load(f"synthetic:philly?jobs={jobs}&seed={seed}").workload, cluster, 1.3)
    expected = back_off(workload.table, (("user", "gpus"), ("user",), ()))
    return ap.simulate(ap.Workload(workload.table.with_columns(estimate_s=expected)), cluster, "fifo")


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Return a situation in which a policy placed what runs, and some more jobs wait."""
    models = st.sampled_from((None, "A100", "T4"))
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "gpus": st.sampled_from((2, 4, 8)),
                    "gpu_model": models,
                    "cpu_milli": st.sampled_from((8000, 32000)),
                    "memory_mib": st.just(64 * 1024),
                    "group": st.sampled_from((None, None, None, "red")),
                }
            ),
            min_size=1,
            max_size=4,
        )
    )
    cluster = nodes(*rows)
    job = st.fixed_dictionaries(
        {
            "gpus": st.sampled_from((1, 2, 3, 4, 8)),
            "tasks": st.sampled_from((1, 1, 1, 2)),
            "gpu_milli": st.sampled_from((1000, 1000, 1000, 500)),
            "cpu_milli": st.sampled_from((0, 2000, 8000)),
            "memory_mib": st.sampled_from((0, 8 * 1024, 48 * 1024)),
            "gpu_models": st.sampled_from(((), (), ("A100",))),
            "duration_s": st.integers(100, 5000).map(float),
            "user": st.sampled_from("uvw"),
            "group": st.sampled_from(("red", "blue")),
        }
    )
    demands = draw(st.lists(job, min_size=2, max_size=8))
    jobs = [
        {"job_id": f"j{i}", "submit_s": 10.0 * i, "state": PENDING}
        | demand
        | {"gpu_models": list(demand["gpu_models"])}
        for i, demand in enumerate(demands)
    ]
    first = draw(st.integers(0, len(jobs) - 1))
    empty = situation(cluster, jobs[: first + 1])
    starts = {s.job_id: s for s in decide(empty, parse_policy("fifo")).starts}
    for job_ in jobs:
        if job_["job_id"] in starts:
            job_ |= {"state": RUNNING, "started_s": 100.0, "on": starts[job_["job_id"]].nodes}
    closed = draw(st.sampled_from(((), (), ("n0",))))
    return situation(cluster, [{"started_s": None} | job_ for job_ in jobs], closed)
