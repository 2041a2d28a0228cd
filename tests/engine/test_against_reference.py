"""The engine against the reference simulator: the same runs at the same times on the same devices."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from apportion.engine.encode import encode, group_of, model_bits
from apportion.engine.plan import OrderPlan
from apportion.engine.target import typical_tasks
from apportion.policies.protocol import Jobs, Order
from apportion.policies.registry import parse_policy
from apportion.study.fill import Filler
from apportion.study.simulate import simulate
from apportion.traces.arrivals import inflate
from reference import PREEMPTIVE, RULES, SIMPLE, Job, JobSpec, Node, NodeSpec, RunRecord, Settings, World, place
from reference import simulate as reference
from reference_placements import fragment
from reference_placements import typical_tasks as reference_typical_tasks
from worlds import FAMILIES, to_cluster, to_node_events, to_workload, worlds

Row = tuple[float, int, float, tuple[tuple[int, int, int], ...]]


POLICIES = {
    "estimate sjf": "sjf[on=estimate]",
    "fair[user]": "fair[by=user]",
    "fair[group]": "fair[by=group]",
}
"""Names of the reference's orders that the package writes differently."""

PUBLISHED = tuple(name for name in RULES if name not in SIMPLE)
"""Placements of the FGD paper, their variants and sums."""
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@dataclass(frozen=True)
class Replanned:
    """A preemptive order with all that a plan can say, also where the order itself leaves no choice."""

    base: Order
    settings: Settings

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan of `base` with the world's settings."""
        return replace(
            self.base.plan(jobs),
            conserve=self.settings.conserve,
            queued_first=self.settings.queued_first,
            quantum_s=self.settings.quantum,
            quantum_when_stuck=self.settings.quantum_when_stuck,
        )


def engine_runs(world: World) -> list[RunRecord]:
    """Play a world with the engine: the only function here that knows the package's entry."""
    how = world.settings
    policy = parse_policy(f"{POLICIES.get(how.order, how.order)}+{how.placement}")
    if how.order in PREEMPTIVE:
        assert isinstance(policy.order, Order)
        policy = replace(policy, order=Replanned(policy.order, how))
    result = simulate(
        to_workload(world),
        to_cluster(world),
        policy,
        backfill=how.backfill,
        granularity=how.granularity,
        checkpoint_cost=how.checkpoint_cost,
        checkpoint_interval=how.checkpoint_interval,
        failures=to_node_events(world),
        until=how.until,
        check=True,
    )
    runs: list[RunRecord] = []
    for piece in result.placements.iter_rows(named=True):
        if piece["first"]:
            runs.append(RunRecord(piece["job"], piece["start_s"], piece["end_s"], ()))
        share = world.jobs[piece["job"]].gpu_milli / 1000
        placed = (piece["node"], piece["devices"], round(piece["gpus"] / share) if share else 0)
        runs[-1] = replace(runs[-1], pieces=(*runs[-1].pieces, placed))
    return runs


def rows(runs: list[RunRecord]) -> list[Row]:
    """Return runs as (start, job, end, pieces), sorted; what still runs ends at infinity."""
    listed = []
    for run in runs:
        end = float("inf") if run.end is None else run.end
        listed.append((run.start, run.job, end, tuple(sorted(run.pieces))))
    return sorted(listed)


def compare(world: World, reference_runs: list[RunRecord], engine_runs: list[RunRecord]) -> None:
    """Fail at the first run, in order of time, on which the two disagree.

    Raises
    ------
    AssertionError: names both runs, the job and the settings.
    """
    expected, found = rows(reference_runs), rows(engine_runs)
    for number, (a, b) in enumerate(zip(expected, found)):
        if a != b:
            job = world.jobs[min(a, b)[1]]
            raise AssertionError(
                f"run {number}: the reference has (start, job, end, pieces) {a}, the engine {b}\n"
                f"job {min(a, b)[1]}: {job}\nnodes: {world.nodes}\n{world.settings}"
            )
    if len(expected) != len(found):
        extra = max(expected, found, key=len)[min(len(expected), len(found))]
        who = "reference" if len(expected) > len(found) else "engine"
        raise AssertionError(f"only the {who} has the run {extra}\nnodes: {world.nodes}\n{world.settings}")


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [RunRecord(0, 0, 2, ((0, 1, 1),))],
        [RunRecord(0, 0, 1, ((0, 2, 1),))],
        [RunRecord(0, 0, None, ((0, 1, 1),))],
        [RunRecord(0, 0, 1, ((0, 1, 1),)), RunRecord(0, 1, 1, ((0, 1, 1),))],
    ],
)
def test_a_difference_is_noticed(wrong: list[RunRecord]) -> None:
    world = World((NodeSpec(gpus=2),), (JobSpec(),))
    right, _ = reference(world)
    compare(world, right, [RunRecord(0, 0.0, 1.0, ((0, 1, 1),))])
    with pytest.raises(AssertionError, match="run"):
        compare(world, right, wrong)


@pytest.mark.parametrize("family", FAMILIES)
@settings(SLOW, max_examples=600)
@given(data=st.data())
def test_every_run_is_the_same(family: str, data: st.DataObject) -> None:
    world = data.draw(worlds(family))
    compare(world, reference(world)[0], engine_runs(world))


@pytest.mark.parametrize("family", FAMILIES)
@settings(SLOW, max_examples=200)
@given(data=st.data())
def test_every_run_is_the_same_under_the_placements_of_fgd(family: str, data: st.DataObject) -> None:
    world = data.draw(worlds(family, PUBLISHED))
    compare(world, reference(world)[0], engine_runs(world))


@settings(SLOW, max_examples=200)
@given(world=worlds(), percent=st.sampled_from((30, 60, 80, 95, 100)))
def test_the_typical_tasks_are_the_same(world: World, percent: int) -> None:
    encoded = encode(to_workload(world), to_cluster(world))
    owners = [*dict.fromkeys(node.group for node in world.nodes if node.group is not None)]
    expected = [
        (
            *(m.cpu, m.milli, m.gpus, m.share),
            model_bits("|".join(m.models), encoded.models),
            group_of(len(owners) if m.group is None else owners.index(m.group), len(owners)),
        )
        for m in reference_typical_tasks(world.jobs, world.nodes, percent)
    ]
    fields = ["cpu", "milli", "gpus", "share", "models", "group"]
    assert typical_tasks(encoded, percent / 100)[fields].tolist() == expected


@settings(SLOW, max_examples=150)
@given(world=worlds(placements=PUBLISHED), seed=st.integers(0, 100), load=st.sampled_from((0.5, 1.0, 1.3)))
def test_a_filling_is_the_same(world: World, seed: int, load: float) -> None:
    """What arrives and never departs: allocation and fragmentation after each arrival."""
    workload, cluster = to_workload(world), to_cluster(world)
    assume(cluster.gpus > 0 and any(job.tasks * job.gpus * job.gpu_milli > 0 for job in world.jobs))
    found = Filler(workload, cluster, load).run(world.settings.placement, seed)
    gpus, milli = zip(*((job.tasks * job.gpus * (job.gpu_milli > 0), job.gpu_milli) for job in world.jobs))
    names, capacity = workload.table["job_id"], cluster.gpus * 1000
    arrivals = inflate(names, gpus, milli, cluster.table["node"], capacity_milli=capacity, seed=seed, ratio=load)
    assert found.order.tolist() == arrivals.order.tolist()

    specs = tuple(world.nodes[rank] for rank in arrivals.rank)
    jobs = [Job(row, spec, specs) for row, spec in enumerate(world.jobs)]
    nodes, target = [Node(spec) for spec in specs], reference_typical_tasks(world.jobs, world.nodes)
    used = 0
    for number, row in enumerate(arrivals.order):
        if placed := place(nodes, jobs[row], world.settings.placement, target):
            used += jobs[row].milli
        assert (found.placed[number], found.used[number]) == (placed is not None, used)
        assert found.fragmented[number] == pytest.approx(sum(fragment(node, target) for node in nodes), abs=1e-6)
