"""Small random worlds (hypothesis strategies), and the same worlds in the package's own tables.

Times are whole seconds or quarters of seconds, so that sums of them are exact in floats and ties are ties.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

from apportion.model import Cluster, Workload
from apportion.model.signal import NodeEvents
from reference import FAIR, INF, PREEMPTIVE, SIMPLE, STATIC, JobSpec, NodeSpec, Settings, World

FAMILIES = ("static", "fair", "easy", "preemptive")
"""Kinds of worlds, by the kind of scheduling pass: `worlds(family)`."""

GROUPS = ("red", "blue", "green")
"""Of the jobs; the last owns no node."""

PLENTY = 1 << 40

SHARES = (100, 200, 250, 300, 333, 500, 501, 600, 750, 900)
EXACT_SHARES = (125, 250, 375, 500, 625, 750, 875)
"""Shares whose GPU-seconds are exact: orders that compare served time must not depend on rounding."""


@st.composite
def node_lists(draw: st.DrawFn, divided: bool) -> tuple[NodeSpec, ...]:
    """Return one pool, or 1 to 5 nodes with 0 to 8 GPUs, of which some belong to groups if `divided`."""
    cpu = st.sampled_from((PLENTY, PLENTY, PLENTY, 0, 3000, 4000, 8000))
    memory = st.sampled_from((PLENTY, PLENTY, PLENTY, 1024, 4096, 8192))
    model = st.sampled_from((None, "V100", "V100", "T4"))
    if not divided and draw(st.integers(0, 7)) == 7:
        return (NodeSpec(draw(st.integers(1, 40)), draw(cpu), draw(memory), draw(model), pooled=True),)
    alike = draw(st.booleans())
    size = st.just(draw(st.sampled_from((2, 4, 8)))) if alike else st.sampled_from((4, 0, 1, 2, 3, 8))
    group = st.sampled_from((None, *GROUPS[:2])) if divided else st.none()
    one = st.builds(NodeSpec, gpus=size, cpu_milli=cpu, memory_mib=memory, gpu_model=model, group=group)
    plain = st.builds(NodeSpec, gpus=size, group=group)
    return tuple(draw(st.lists(draw(st.sampled_from((one, plain))), min_size=1, max_size=5)))


def _demands(shares: tuple[int, ...]) -> st.SearchStrategy[dict[str, int]]:
    """Return what a task asks of the GPUs, and how many tasks there are."""
    share = st.sampled_from(shares)
    few = st.integers(1, 4)
    return st.one_of(
        st.fixed_dictionaries({"gpus": few}),
        st.fixed_dictionaries({"gpus": few}),
        st.fixed_dictionaries({"gpus": st.sampled_from((1, 1, 2, 4)), "tasks": few}),
        st.fixed_dictionaries({"gpu_milli": share, "tasks": few}),
        st.fixed_dictionaries({"gpus": st.integers(2, 3), "gpu_milli": share, "tasks": st.integers(1, 3)}),
        st.fixed_dictionaries({"gpus": st.integers(5, 20), "tasks": st.integers(1, 2)}),
        st.fixed_dictionaries({"gpus": st.just(0), "tasks": few, "gpu_milli": st.sampled_from((0, 1000))}),
        st.fixed_dictionaries({"gpus": few, "gpu_milli": st.just(0)}),
    )


def _mostly_shares(shares: list[int]) -> st.SearchStrategy[dict[str, int]]:
    """Return what tasks ask for that share devices, so that these break up in different ways."""
    one = st.fixed_dictionaries({"gpu_milli": st.sampled_from(shares), "tasks": st.sampled_from((1, 1, 1, 3))})
    return st.one_of(one, one, one, st.just({}), st.just({"gpus": 0}))


@st.composite
def job_lists(draw: st.DrawFn, step: float, shares: tuple[int, ...]) -> tuple[JobSpec, ...]:
    """Return 1 to 14 jobs in order of submission whose times are multiples of `step`."""

    def seconds(least: int, most: int) -> st.SearchStrategy[float]:
        return st.integers(int(least / step), int(most / step)).map(lambda n: n * step)

    few_shares = draw(st.lists(st.sampled_from(shares), min_size=2, max_size=3))
    demands = draw(st.sampled_from((_demands(shares), _demands(shares), _demands((1000,)), _mostly_shares(few_shares))))
    tight, picky = draw(st.booleans()), draw(st.integers(0, 3)) == 3

    @st.composite
    def one_job(draw: st.DrawFn) -> JobSpec:
        duration = draw(st.one_of(seconds(1, 20), seconds(0, 4)))
        factor = draw(st.sampled_from((None, None, 0.0, 0.5, 1.0, 2.0, 4.0)))
        more: dict[str, Any] = dict(draw(demands))
        if tight:
            more["cpu_milli"] = draw(st.sampled_from((0, 500, 1000, 1001, 3000)))
            more["memory_mib"] = draw(st.sampled_from((0, 100, 1000, 1024)))
        if picky:
            more["gpu_models"] = draw(st.sampled_from(((), ("V100",), ("V100", "T4"), ("T4",), ("A100",))))
        return JobSpec(
            submit=draw(seconds(0, 6)),
            duration=duration,
            estimate=None if factor is None else duration * factor,
            user=draw(st.sampled_from("uvw")),
            group=draw(st.sampled_from(("", *GROUPS))),
            priority=draw(st.integers(-1, 2)),
            preemptible=draw(st.sampled_from((True, True, True, False))),
            **more,
        )

    return tuple(
        sorted(
            draw(st.lists(one_job(), min_size=draw(st.sampled_from((1, 6))), max_size=14)),
            key=lambda job: job.submit,
        )
    )


@st.composite
def settings_for(draw: st.DrawFn, family: str, step: float, nodes: int, placements: tuple[str, ...]) -> Settings:
    """Return how a world of a family is run; its times are multiples of `step`."""
    orders = {"fair": tuple(FAIR), "preemptive": PREEMPTIVE}.get(family, tuple(STATIC))
    backfill = st.just("easy") if family == "easy" else st.sampled_from(("skip", "strict"))
    moment = st.integers(0, int(25 / step)).map(lambda n: n * step)
    failures = st.lists(st.tuples(moment, st.integers(0, nodes - 1), st.booleans()), max_size=6)
    settings: dict[str, Any] = {
        "order": draw(st.sampled_from(orders)),
        "placement": draw(st.sampled_from(placements)),
        "backfill": draw(backfill),
        "granularity": draw(st.sampled_from((0.0, 0.0, 1.0))),
        "until": draw(st.one_of(st.just(INF), st.just(INF), moment)),
        "failures": tuple(sorted(draw(st.one_of(st.just([]), failures)), key=lambda failure: failure[0])),
        "checkpoint_interval": draw(st.sampled_from((0.0, 1.0, 0.75, 5.0))),
    }
    if family == "preemptive":
        # a preemption must cost less than a quantum brings, or two jobs could suspend each other for ever
        quantum = draw(st.sampled_from((0.0, 1.0, 2.0, 3.5, 10.0)))
        cheap = [cost for cost in (0.0, 0.5, 1.0, 3.0) if quantum == 0 or cost < quantum]
        settings |= {
            "quantum": quantum,
            "checkpoint_cost": draw(st.sampled_from(cheap)),
            "quantum_when_stuck": draw(st.booleans()),
            "conserve": draw(st.booleans()),
            "queued_first": draw(st.booleans()),
        }
    return Settings(**settings)


@st.composite
def worlds(draw: st.DrawFn, family: str | None = None, placements: tuple[str, ...] = tuple(SIMPLE)) -> World:
    """Return a world of one of `FAMILIES` (default: any) under one of `placements`; those of `easy` are undivided."""
    family = family or draw(st.sampled_from(FAMILIES))
    step = draw(st.sampled_from((1.0, 1.0, 0.25)))
    divided = family != "easy" and draw(st.integers(0, 2)) == 2
    nodes = draw(node_lists(divided))
    served = family in ("fair", "preemptive")
    jobs = draw(job_lists(step, EXACT_SHARES if served else SHARES))
    return World(nodes, jobs, draw(settings_for(family, step, len(nodes), placements)))


def to_cluster(world: World) -> Cluster:
    """Return the nodes of a world as the package's cluster; node i is named `n<i>`."""
    rows = [
        {
            "node": f"n{index}",
            "gpu_model": node.gpu_model,
            "gpus": node.gpus,
            "cpu_milli": node.cpu_milli,
            "memory_mib": node.memory_mib,
            "group": node.group,
            "pooled": node.pooled,
        }
        for index, node in enumerate(world.nodes)
    ]
    return Cluster.of(pl.DataFrame(rows, schema_overrides={"gpu_model": pl.String, "group": pl.String}))


def to_workload(world: World) -> Workload:
    """Return the jobs of a world as the package's workload, in the same order."""
    rows = [
        {
            "user": job.user,
            "group": job.group,
            "submit_s": job.submit,
            "duration_s": job.duration,
            "estimate_s": job.estimate,
            "tasks": job.tasks,
            "gpus": job.gpus,
            "gpu_milli": job.gpu_milli,
            "cpu_milli": job.cpu_milli,
            "memory_mib": job.memory_mib,
            "gpu_models": list(job.gpu_models),
            "priority": job.priority,
            "preemptible": job.preemptible,
        }
        for job in world.jobs
    ]
    types: dict[str, Any] = {"estimate_s": pl.Float64, "gpu_models": pl.List(pl.String)}
    return Workload.of(pl.DataFrame(rows, schema_overrides=types, infer_schema_length=None))


def to_node_events(world: World) -> NodeEvents | None:
    """Return the failures and repairs of a world, or None where there are none."""
    failures = world.settings.failures
    if not failures:
        return None
    times, nodes, up = zip(*failures)
    return NodeEvents(np.array(times, dtype=np.float64), tuple(f"n{i}" for i in nodes), np.array(up, dtype=np.bool_))
