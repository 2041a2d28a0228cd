"""Why a job waited: what is said against an independent look at the cluster, and the sentences."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apportion.engine.plan import OrderPlan
from apportion.model import Cluster, InputError, NodeEvents, Workload
from apportion.model.cluster_spec import parse_cluster
from apportion.policies.protocol import Jobs, Order
from apportion.policies.registry import parse_policy
from apportion.study.result import Result
from apportion.study.simulate import simulate
from apportion.study.why import Explanation, explain
from reference import Job, Node, Piece, World, place
from worlds import FAMILIES, to_cluster, to_node_events, to_workload, worlds

FITTED = {"order", "reservation", "preemption", "turn"}
LACKED = {"capacity", "fragmentation", "cpu", "memory", "cpu and memory", "group", "failure"}
ORDERS = {"estimate sjf": "sjf[on=estimate]", "fair[user]": "fair[by=user]", "fair[group]": "fair[by=group]"}


@dataclass(frozen=True)
class NotConserving:
    """A preemptive order that starts nothing outside its plan."""

    base: Order

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan of `base` without filling."""
        return replace(self.base.plan(jobs), conserve=False)


def played(world: World) -> tuple[Result, Any]:
    """Run a world with the engine; return the result and its policy."""
    how = world.settings
    policy = parse_policy(f"{ORDERS.get(how.order, how.order)}+{how.placement}")
    if how.order in ("srtf", "las") and not how.conserve:
        assert isinstance(policy.order, Order)
        policy = replace(policy, order=NotConserving(policy.order))
    result = simulate(
        to_workload(world),
        to_cluster(world),
        policy,
        backfill=how.backfill,
        granularity=how.granularity,
        checkpoint_interval=how.checkpoint_interval,
        failures=to_node_events(world),
        until=how.until,
    )
    return result, policy


class Look:
    """The cluster of a finished run at any moment, rebuilt from its placements alone."""

    def __init__(self, world: World, result: Result) -> None:
        self.world, self.step = world, world.settings.granularity
        self.jobs = [Job(row, spec, world.nodes) for row, spec in enumerate(world.jobs)]
        self.rows: list[tuple[int, float, float, Piece]] = []
        piece = 0
        for row in result.placements.iter_rows(named=True):
            piece = 0 if row["first"] else piece + 1
            shape = self.jobs[row["job"]].pieces[piece]
            devices = tuple(d for d in range(64) if row["devices"] >> d & 1)
            end = math.inf if row["end_s"] is None else self.tick(row["end_s"])
            self.rows.append((row["job"], row["start_s"], end, Piece(row["node"], shape, devices)))

    def tick(self, time: float) -> float:
        """Return when the scheduler learns of something."""
        return math.ceil(time / self.step) * self.step if self.step and math.isfinite(time) else time

    def moments(self) -> list[float]:
        """Return when anything changed."""
        times = {t for _, start, end, _ in self.rows for t in (start, end)}
        times |= {self.tick(job.submit) for job in self.world.jobs}
        return sorted(times | {self.tick(time) for time, _, _ in self.world.settings.failures})

    def nodes(self, now: float) -> list[Node]:
        """Return the nodes as they were after all that happened at `now`."""
        nodes = [Node(spec) for spec in self.world.nodes]
        for time, index, up in self.world.settings.failures:
            if self.tick(time) <= now:
                nodes[index].up = up
        for _, start, end, piece in self.rows:
            if start <= now < end:
                node = nodes[piece.node]
                node.free_cpu -= piece.shape.cpu
                node.free_memory -= piece.shape.memory
                node.tasks += 1
                for device in piece.devices:
                    node.free[device] -= piece.shape.milli
                if node.spec.pooled:
                    node.free[0] -= piece.shape.gpus * piece.shape.milli
        return nodes

    def fits(self, job: int, now: float) -> bool:
        """Say whether a job would have fitted then."""
        return place(self.nodes(now), self.jobs[job], self.world.settings.placement) is not None

    def free(self, job: int, now: float) -> int:
        """Return the milli-GPU free then on the nodes that the job may use."""
        nodes = self.nodes(now)
        return sum(nodes[i].free_milli for i in self.jobs[job].eligible if nodes[i].up)


def check(world: World, look: Look, job: int, why: Explanation) -> None:
    """Verify every interval at every moment within it."""
    for one, next_one in zip(why.intervals, why.intervals[1:]):
        assert one.end_s <= next_one.start_s
    for interval in why.intervals:
        assert interval.end_s > interval.start_s
        if interval.cause == "clock":
            assert interval.end_s <= look.tick(interval.start_s)
            continue
        assert interval.cause in FITTED | LACKED, interval
        inside = [t for t in look.moments() if interval.start_s < t < interval.end_s]
        for now in (interval.start_s, *inside):
            assert look.fits(job, now) == (interval.cause in FITTED), (interval, now)
            if interval.cause == "capacity" and look.jobs[job].milli:
                assert look.free(job, now) < look.jobs[job].milli
            if interval.cause == "fragmentation":
                assert look.free(job, now) >= look.jobs[job].milli
            if interval.text.startswith("behind job "):
                head = int(interval.text.split()[2])
                assert head != job and not look.fits(head, now)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_causes_are_true_and_add_up(family: str, data: st.DataObject) -> None:
    world = data.draw(worlds(family))
    result, policy = played(world)
    look = Look(world, result)
    for job, row in enumerate(result.jobs.iter_rows(named=True)):
        why = explain(result, row["job_id"], policy=policy)
        assert sum(why.totals.values()) == why.wait_s
        if row["status"] == "completed":
            assert why.wait_s == row["wait_s"]
        if row["status"] == "rejected":
            assert not why.intervals and len(why.notes) == 2
        check(world, look, job, why)
        json.dumps(why.to_dict(), allow_nan=False)
        assert why.lines()


def run(jobs: list[dict[str, Any]], nodes: str | list[dict[str, Any]], policy: str = "fifo", **how: Any) -> Result:
    """Run jobs given as rows; `submit_s` and `duration_s` default to 0 and 10."""
    rows = [{"job_id": f"j{i}", "submit_s": 0.0, "duration_s": 10.0, **job} for i, job in enumerate(jobs)]
    cluster = parse_cluster(nodes) if isinstance(nodes, str) else Cluster.of(pl.DataFrame(nodes))
    return simulate(Workload.of(pl.DataFrame(rows)), cluster, policy, check=True, **how)


def texts(why: Explanation) -> list[tuple[float, float, str, str]]:
    return [(i.start_s, i.end_s, i.cause, i.text) for i in why.intervals]


def test_too_few_gpus() -> None:
    result = run([{"gpus": 3}, {"gpus": 4, "duration_s": 25.0}, {"gpus": 4, "user": "u"}], "1x8:V100")
    why = explain(result, "j2")
    assert texts(why) == [
        (0.0, 10.0, "capacity", "only 1 of the 4 GPUs it needs was free"),
    ]
    assert why.totals == {"capacity": 10.0}
    assert [(h.job_id, h.gpus, h.until_s) for h in why.holders] == [("j1", 4.0, 25.0), ("j0", 3.0, 10.0)]
    assert why.lines()[0] == "job j2 (4 GPUs, user u) waited 10 s under fifo"


def test_scattered_gpus_and_their_model() -> None:
    jobs = [{"gpus": 3}, {"gpus": 3}, {"gpus": 2, "gpu_models": ["V100"]}]
    why = explain(run(jobs, "2x4:V100+1x8:T4", "spread"), "j2")
    said = "no V100 node with 2 GPUs free (2 V100 GPUs free, but at most 1 on one node)"
    assert texts(why) == [(0.0, 10.0, "fragmentation", said)]


def test_scattered_shares() -> None:
    shares = [{"gpus": 1, "gpu_milli": 600}] * 2
    why = explain(run([*shares, {"gpus": 1, "gpu_milli": 500}], "1x2"), "j2")
    assert texts(why)[0][3] == "no GPU with 0.5 of it free (0.8 GPUs free in all, but at most 0.4 on one)"
    gang = {"gpus": 2, "tasks": 2}
    why = explain(run([{"gpus": 1}, {"gpus": 1}, gang], "2x3", "spread"), "j2")
    assert why.intervals == []
    why = explain(run([{"gpus": 2}, {"gpus": 2}, gang], "3x3", "spread"), "j2")
    assert texts(why)[0][3] == "room for 1 of its 2 pieces of 2 GPUs (5 GPUs free, but scattered)"


def test_cpu_and_memory() -> None:
    node = [{"gpus": 8, "cpu_milli": 16000, "memory_mib": 65536}]
    why = explain(run([{"cpu_milli": 12000}, {"cpu_milli": 8000}], node), "j1")
    said = "GPUs were free, but not the 8 CPU cores it needs beside 1 GPU (at most 4 cores on one node)"
    assert texts(why) == [(0.0, 10.0, "cpu", said)]
    why = explain(run([{"memory_mib": 61440}, {"memory_mib": 8192}], node), "j1")
    assert why.intervals[0].cause == "memory" and "8 GiB of memory" in why.intervals[0].text


def test_its_groups_nodes_are_full() -> None:
    nodes = [{"gpus": 8, "group": group} for group in ("a", "a", "b", "b", "b")]
    jobs = [{"gpus": 8, "group": "a"}, {"gpus": 8, "group": "a"}, {"gpus": 4, "group": "a"}]
    why = explain(run(jobs, nodes), "j2")
    said = "its group a has 2 nodes, all busy; 24 GPUs are free elsewhere"
    assert texts(why) == [(0.0, 10.0, "group", said)]


def test_strict_order() -> None:
    jobs = [{"gpus": 4}, {"gpus": 8, "submit_s": 1.0}, {"gpus": 2, "submit_s": 2.0}]
    why = explain(run(jobs, "1x8", backfill="strict"), "j2")
    assert texts(why) == [
        (2.0, 10.0, "order", "behind job j1 (head of the queue, needs 8 GPUs) in strict order"),
        (10.0, 20.0, "capacity", "none of the 2 GPUs it needs was free"),
    ]
    why = explain(run(jobs, "1x8", "fair", backfill="strict"), "j2")
    assert why.intervals[0].cause == "order" and "received no more" in why.intervals[0].text
    assert any("GPU-h" in note for note in why.notes)


def test_reservation() -> None:
    jobs = [{"gpus": 4}, {"gpus": 8, "submit_s": 1.0}, {"gpus": 2, "submit_s": 2.0}]
    why = explain(run(jobs, "1x8", backfill="easy"), "j2")
    assert texts(why)[0][2:] == ("reservation", "starting it would have delayed job j1 (reservation)")
    # one that ends before the reservation starts at once
    jobs[2]["duration_s"] = 8.0
    assert explain(run(jobs, "1x8", backfill="easy"), "j2").intervals == []


def test_preemption_and_turns() -> None:
    jobs = [{"gpus": 8, "duration_s": 100.0}, {"gpus": 8, "submit_s": 10.0, "duration_s": 20.0}]
    why = explain(run(jobs, "1x8", "srtf"), "j0")
    said = "preempted by jobs with less work left; then none of the 8 GPUs it needs was free"
    assert texts(why) == [(10.0, 30.0, "capacity", said)]
    assert why.notes == [
        "10 s after its submission: preempted by jobs with less work left",
        "1 job submitted after it started on its nodes while it waited",
    ]
    why = explain(run([{"submit_s": 0.0}, {"submit_s": 7.0}], "1x8", "round-robin[quantum=60]"), "j1")
    assert all(i.cause in ("turn", "capacity") for i in why.intervals)
    later = run([{"duration_s": 100.0}, {"submit_s": 7.0}], "1x8", "round-robin[quantum=60]")
    assert texts(explain(later, "j1")) == [
        (7.0, 60.0, "turn", "not given a turn by round-robin (it decides every 60 s)")
    ]


def test_node_failure() -> None:
    down = NodeEvents(np.array([4.0, 30.0]), ("node-0001", "node-0001"), np.array([False, True]))
    jobs = [{"gpus": 8, "duration_s": 100.0}, {"gpus": 8, "duration_s": 50.0}]
    result = run(jobs, "2x8", failures=down)
    why = explain(result, "j1")
    said = "node node-0001 failed while it ran; it had to start again"
    nodes = "1 node it may use was down, on which it would have fitted"
    assert texts(why) == [(4.0, 30.0, "failure", f"{said}; then {nodes}")]
    assert why.notes == [f"4 s after its submission: {said}"]


def test_whole_seconds() -> None:
    result = run([{"submit_s": 0.25}, {"gpus": 8, "submit_s": 0.5}], "1x8", granularity=1.0)
    assert explain(result, "j0").totals == {"clock": 0.75}
    assert explain(result, "j1").totals == {"capacity": 10.0, "clock": 0.5}


def test_a_job_that_never_started() -> None:
    result = run(
        [{"gpus": 8, "duration_s": 100.0}, {"gpus": 8, "submit_s": 2.0}, {"submit_s": 20.0}], "1x8", until=50.0
    )
    why = explain(result, "j1")
    assert (why.status, why.wait_s, why.totals) == ("unfinished", 18.0, {"capacity": 18.0})
    assert why.lines()[0].endswith("and had not ended when the run did")
    assert explain(result, "j2").intervals == []


@pytest.mark.parametrize(
    ("job", "nodes", "reason", "change"),
    [
        (
            {"gpus": 64, "gpu_models": ["H100"]},
            "4x8:V100",
            "asks for 64 H100 GPUs; the cluster has none",
            "it would run with 1 node of 64 H100 GPUs",
        ),
        (
            {"gpus": 64},
            "4x8:V100",
            "asks for 64 GPUs; the nodes it may use have 32 GPUs",
            "it would run with 32 GPUs more",
        ),
        (
            {"gpus": 6, "tasks": 2},
            "1x8+4x4",
            "asks for 2 tasks of 6 GPUs each; its nodes take 1 of 2 pieces",
            "it would run with 1 more node of 6 GPUs",
        ),
        (
            {"gpus": 2, "cpu_milli": 64000},
            [{"gpus": 8, "cpu_milli": 32000}],
            "asks for 2 GPUs; GPUs are there, but not the 64 CPU cores it needs beside 2 GPUs "
            "(at most 32 cores on one node)",
            "it would run with 1 more node of 2 GPUs and 64 CPU cores",
        ),
        (
            {"gpus": 8, "group": "a"},
            [{"gpus": 4, "group": "a"}, {"gpus": 8, "group": "b"}],
            "asks for 8 GPUs; the nodes its group a may use have 4 GPUs",
            "other groups' nodes would do",
        ),
    ],
)
def test_rejected(job: dict[str, Any], nodes: Any, reason: str, change: str) -> None:
    why = explain(run([job], nodes), "j0")
    assert (why.status, why.notes) == ("rejected", [reason, change])
    assert why.lines() == [why.lines()[0], f"  {reason}", f"  {change}"]


def test_unknown_job() -> None:
    result = run([{}, {}], "1x8")
    with pytest.raises(InputError, match=r"found no job 'j7' among 2 jobs; near it: j0, j1"):
        explain(result, "j7")
    numbers = simulate(
        Workload.of(pl.DataFrame({"submit_s": [0.0] * 9, "duration_s": [1.0] * 9})), parse_cluster("1x8"), "fifo"
    )
    with pytest.raises(InputError, match="near it: 8, 7, 6"):
        explain(numbers, "12")


def test_a_policy_without_a_name() -> None:
    result = replace(run([{}], "1x8"), policy="my own")
    with pytest.raises(InputError, match="give the Policy it ran with"):
        explain(result, "j0")
    assert explain(result, "j0", policy="fifo").wait_s == 0


def test_many_intervals_are_cut_short() -> None:
    jobs = [{"gpus": 5, "submit_s": float(t), "duration_s": 1.0 + t % 2} for t in range(0, 90, 3)]
    result = run([*jobs, {"gpus": 8, "submit_s": 0.0, "duration_s": 1.0}], "1x8", "smallest", backfill="skip")
    why = explain(result, result.jobs["job_id"][-1])
    assert sum(why.totals.values()) == why.wait_s
    assert len(why.lines()) < 40
