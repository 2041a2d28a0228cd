"""Defragmentation advice: moves that can be made, that do what is said, and of which none is better."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from random import Random

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import apportion as ap
from apportion.model import Cluster, InputError, UsageError, Workload
from apportion.report.stranded import plan_lines
from apportion.study.defragment import Demand, Move, Plan, defragment, make_room, parse_demand
from apportion.study.fragmentation import Gauge, gauge
from snapshots import Node, Slow, Task, snapshots, tasks

EXACTLY = pytest.approx
LEAST = 1.0
"""Milli-GPU below which a move is not worth being named."""


def measured(slow: Slow) -> Gauge:
    """Return the gauge of a slow cluster."""
    cluster = Cluster.of(slow.cluster_table())
    return gauge(cluster, slow.task_table(), Workload.of(slow.workload_table()), down=slow.down())


def make(slow: Slow, move: Move) -> None:
    """Make a move on the slow cluster, which refuses what is not possible at that moment."""
    number = int(move.job_id.removeprefix("job-"))
    task = slow.tasks[number]
    names = [node.name for node in slow.nodes]
    assert task.movable
    assert move.row == number + 1
    assert (move.gpus, move.gpu_milli, move.cpu_milli, move.memory_mib) == (
        task.gpus,
        task.milli,
        task.cpu,
        task.memory,
    )
    assert names[task.node] == move.from_node
    assert list(task.devices) == move.from_devices
    target = names.index(move.to_node)
    assert (move.from_node, move.from_devices) != (move.to_node, move.to_devices)
    if move.stop_first:  # said only where it must be
        assert move.from_node == move.to_node
        assert tuple(move.to_devices) not in slow.places(slow.nodes[target], task)
    slow.move(number, target, tuple(move.to_devices), move.stop_first)


def free(slow: Slow) -> int:
    """Return the milli-GPU nobody holds, on nodes that are down as well."""
    return sum(sum(node.free) for node in slow.nodes)


def single_moves(slow: Slow) -> Iterator[Slow]:
    """Give the cluster after every single move of a task that could be made."""
    for number, task in enumerate(slow.tasks):
        if not task.movable:
            continue
        for target in range(len(slow.nodes)):
            without = copy.deepcopy(slow)
            moved = without.tasks[number]
            without.put(without.nodes[moved.node], moved, moved.devices, -1)
            places = without.places(without.nodes[target], moved)
            if target == task.node:
                shares = task.gpus == 1 and task.milli < 1000
                places = [devices for devices in places if shares and devices != task.devices]
            elif task.gpus > 1 and task.milli < 1000 and places != [()]:
                # of a task that uses parts of several devices the fullest are taken
                free_of = without.nodes[target].free
                places = places and [min(places, key=lambda devices: sorted(free_of[d] for d in devices))]
            for devices in places:
                after = copy.deepcopy(without)
                after.put(after.nodes[target], moved, devices)
                yield after


@given(snapshots())
@settings(max_examples=150, deadline=None)
def test_every_move_can_be_made_and_frees_what_is_said(slow: Slow) -> None:
    plan = defragment(measured(slow), 4)
    assert len(plan.moves) <= 4
    assert 1000 * plan.stranded_before == EXACTLY(slow.stranded(), abs=1e-6)
    total, before = free(slow), slow.stranded()
    for move in plan.moves:
        assert 1000 * move.stranded_before == EXACTLY(before, abs=1e-6)
        make(slow, move)
        after = slow.stranded()
        assert after <= before - LEAST + 1e-6
        assert 1000 * move.stranded_after == EXACTLY(after, abs=1e-6)
        assert 1000 * move.frees_gpus == EXACTLY(before - after, abs=1e-6)
        assert free(slow) == total
        before = after
    assert 1000 * plan.stranded_after == EXACTLY(before, abs=1e-6)


@given(snapshots(most_nodes=3, most_tasks=8))
@settings(max_examples=80, deadline=None)
def test_no_single_move_frees_more(slow: Slow) -> None:
    best = min((after.stranded() for after in single_moves(slow)), default=slow.stranded())
    plan = defragment(measured(slow), 1)
    if slow.stranded() - best < LEAST - 1e-6:
        assert plan.moves == []
    elif slow.stranded() - best > LEAST + 1e-6:
        assert 1000 * plan.stranded_after == EXACTLY(best, abs=1e-5)


@given(snapshots(most_nodes=3, most_tasks=8))
@settings(max_examples=50, deadline=None)
def test_each_move_is_the_best_after_those_before_it(slow: Slow) -> None:
    """The same as above, several moves on: what is kept between moves is kept up to date."""
    for move in defragment(measured(slow), 4).moves:
        best = min(after.stranded() for after in single_moves(slow))
        assert 1000 * move.stranded_after == EXACTLY(best, abs=1e-5)
        make(slow, move)


def crowded(seed: int, nodes: int, wanted: int, tight: bool) -> Slow:
    """Return nodes of four devices on which `wanted` tasks were started at random, most of them shares."""
    random = Random(seed)
    cpu, memory = (12_000, 4_000) if tight else (1 << 40, 1 << 40)
    slow = Slow([Node(f"n{i}", 4, cpu, memory) for i in range(nodes)], [], [])

    def one() -> Task:
        gpus = random.choice((0, 1, 1, 1, 1, 1, 1, 2))
        milli = 1000 if gpus == 2 else random.choice((100, 200, 300, 400, 500, 600, 700, 1000)) if gpus else 0
        return Task(
            gpus, milli, random.randrange(0, 3000, 500) if tight else 0, random.choice((0, 300)) if tight else 0
        )

    for _ in range(wanted):
        task = one()
        places = [(n, devices) for n, node in enumerate(slow.nodes) for devices in slow.places(node, task)]
        if places:
            task.node, task.devices = random.choice(places)
            slow.put(slow.nodes[task.node], task, task.devices)
            slow.tasks.append(task)
    slow.workload.extend(one() for _ in range(10))
    return slow


def best_gain(slow: Slow) -> float:
    """Return by how much the best single move shrinks F(M): every task to every place, two nodes at a time."""
    before = [slow.stranded(node) for node in slow.nodes]
    best = 0.0
    for task in slow.tasks:
        home, old = slow.nodes[task.node], task.devices
        slow.put(home, task, old, -1)
        left = slow.stranded(home)
        for target, node in zip(range(len(slow.nodes)), slow.nodes):
            for devices in slow.places(node, task):
                if node is home and (devices == old or task.milli in (0, 1000)):
                    continue
                slow.put(node, task, devices)
                gain = before[task.node] - left + before[target] - slow.stranded(node)
                best = max(best, gain if node is not home else before[target] - slow.stranded(node))
                slow.put(node, task, devices, -1)
        slow.put(home, task, old)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_many_moves_on_a_crowded_cluster_are_each_the_best(seed: int) -> None:
    """What is kept from move to move (worth of leaving, best places, bounds) must be what it would be anew."""
    slow = crowded(seed, nodes=8, wanted=45, tight=seed % 2 == 1)
    moves = defragment(measured(slow), 12).moves
    assert len(moves) > 2
    for move in moves:
        assert 1000 * move.frees_gpus == EXACTLY(best_gain(slow), abs=1e-6)
        make(slow, move)
    if len(moves) < 12:
        assert best_gain(slow) <= LEAST + 1e-6


def test_room_on_crowded_nodes_is_made_by_moves_that_can_be_made() -> None:
    """Few nodes, so that tasks go to other devices of their own node, beside others that have not gone yet."""
    stayed = several = 0
    for seed in range(300):
        gpus, milli = ((1, 1000), (2, 1000), (1, 600), (3, 1000), (2, 500))[seed % 5]
        slow = crowded(seed, nodes=1 + seed % 2, wanted=9, tight=seed % 3 == 0)
        plan = make_room(measured(slow), Demand(gpus, milli))
        for move in plan.moves:
            make(slow, move)
            stayed += move.from_node == move.to_node
        several += len(plan.moves) > 1
        if plan.node is not None:
            node = next(node for node in slow.nodes if node.name == plan.node)
            assert tuple(plan.devices) in slow.places(node, Task(gpus, milli, 0))
    assert stayed > 20
    assert several > 10


@st.composite
def demands(draw: st.DrawFn, slow: Slow) -> tuple[Demand, Task]:
    """Return a demand and the same as a task; sometimes larger than any node."""
    tight = any(node.cpu < 1 << 30 for node in slow.nodes)
    picky = any(node.model for node in slow.nodes)
    task = draw(tasks(tight, False, False))
    models = ("V100",) if picky and any(n.model == "V100" for n in slow.nodes) and draw(st.booleans()) else ()
    group = draw(st.sampled_from([None, "red", "other"])) if slow.divided else None
    task.models, task.group = models, group or ""
    return Demand(task.gpus, task.milli, task.cpu, task.memory, models, group), task


def fits_somewhere(slow: Slow, task: Task, any_group: bool) -> bool:
    """Whether the task could be started now."""
    for node in slow.nodes:
        task.group = node.group or "" if any_group else task.group
        if slow.places(node, task):
            return True
    return False


@given(snapshots(most_nodes=3, most_tasks=10), st.data())
@settings(max_examples=200, deadline=None)
def test_room_is_made_with_moves_that_can_be_made(slow: Slow, data: st.DataObject) -> None:
    demand, task = data.draw(demands(slow))
    any_group = demand.group is None
    plan = make_room(measured(slow), demand)
    already = fits_somewhere(slow, task, any_group)
    assert (plan.node is not None and not plan.moves) == already
    one_is_enough = any(fits_somewhere(after, task, any_group) for after in single_moves(slow))
    if not already and one_is_enough:
        assert len(plan.moves) == 1
    if not already and len(plan.moves) == 1:
        assert one_is_enough
    if plan.node is None:
        assert plan.moves == []
        assert plan.reason
        return
    assert len({move.job_id for move in plan.moves}) == len(plan.moves)
    for move in plan.moves:
        assert move.from_node == plan.node
        assert 1000 * move.stranded_before == EXACTLY(slow.stranded(), abs=1e-6)
        make(slow, move)
    assert 1000 * plan.stranded_after == EXACTLY(slow.stranded(), abs=1e-6)
    node = next(node for node in slow.nodes if node.name == plan.node)
    task.group = node.group or "" if any_group else task.group
    assert tuple(plan.devices) in slow.places(node, task)


@given(snapshots(most_nodes=3, most_tasks=6), st.data())
@settings(max_examples=60, deadline=None)
def test_no_two_moves_from_one_node_are_overlooked(slow: Slow, data: st.DataObject) -> None:
    """Where any two tasks that leave a node at once make room, and each has an empty node to go to, that is found."""
    assume(len(slow.nodes) > 1 and not slow.divided and all(t.movable and not t.models for t in slow.tasks))
    demand, task = data.draw(demands(slow))
    # a roomy node of a model that the demand may not use
    slow.nodes.append(copy.deepcopy(slow.nodes[0]))
    last = slow.nodes[-1]
    last.name, last.gpus, last.model, last.pooled, last.up = "roomy", 32, "other", False, True
    last.cpu = last.total_cpu = last.memory = last.total_memory = 1 << 40
    last.free = [1000] * 32
    for node in slow.nodes[:-1]:
        node.model = "V100"
    task.models = ("V100",)
    demand = Demand(demand.gpus, demand.gpu_milli, demand.cpu_milli, demand.memory_mib, ("V100",))
    least = None
    for size in range(len(slow.tasks) + 1):
        for some in itertools.combinations(range(len(slow.tasks)), size):
            if len({slow.tasks[i].node for i in some}) > 1 or (least is not None and least <= size):
                continue
            after = copy.deepcopy(slow)
            for i in some:
                after.put(after.nodes[after.tasks[i].node], after.tasks[i], after.tasks[i].devices, -1)
            if fits_somewhere(after, task, False):
                least = size
    plan = make_room(measured(slow), demand)
    if least is None:
        assert plan.node is None
    elif least <= 3:
        assert len(plan.moves) == least
    else:
        assert plan.node is not None
        assert len(plan.moves) >= least


def two_halves() -> Gauge:
    """Return two nodes of one GPU, each half used, where whole GPUs are asked for."""
    halves = {"job_id": ["a", "b"], "node": ["node-0000", "node-0001"], "devices": ["0", "0"], "gpu_milli": [500, 500]}
    whole = Workload.of(pl.DataFrame({"submit_s": [0.0], "duration_s": [1.0]}))
    return gauge(ap.parse_cluster("2x1"), pl.DataFrame(halves), whole)


def test_two_halves_become_a_whole() -> None:
    plan = defragment(two_halves())
    assert [(m.job_id, m.from_node, m.to_node, m.to_devices, m.frees_gpus) for m in plan.moves] == [
        ("a", "node-0000", "node-0001", [0], 1.0)
    ]
    assert plan.table["frees_gpus"].to_list() == [1.0]
    assert make_room(two_halves(), "gpus=1").node == "node-0000"
    assert plan_lines(plan) == [
        "",
        "1 move that frees 1 GPU (stranded 1 to 0)",
        "  1. move job a (row 1; 0.5 GPU) from node-0000 device 0 to node-0001 device 0: frees 1 GPU (1 to 0)",
    ]


def test_a_task_without_gpus_is_moved_out_of_the_way() -> None:
    cluster = Cluster.of(pl.DataFrame({"node": ["gpu", "cpu"], "gpus": [4, 0], "cpu_milli": [8000, 8000]}))
    running = pl.DataFrame({"job_id": ["etl"], "node": ["gpu"], "gpus": [0], "cpu_milli": [8000]})
    typical = Workload.of(pl.DataFrame({"submit_s": [0.0], "duration_s": [1.0], "cpu_milli": [1000]}))
    found = gauge(cluster, running, typical)
    assert found.stranded_gpus == 4
    plan = defragment(found)
    assert [(m.job_id, m.to_node, m.from_devices, m.to_devices) for m in plan.moves] == [("etl", "cpu", [], [])]
    assert plan.stranded_after == 0


def test_a_task_that_must_stop_first_says_so() -> None:
    """The only other device is on its own node, whose CPU does not suffice for both."""
    cluster = Cluster.of(pl.DataFrame({"gpus": [2], "cpu_milli": [3000]}))
    rows = {"job_id": ["a", "b"], "devices": ["0", "1"], "gpu_milli": [500, 500], "cpu_milli": [2000, 500]}
    running = pl.DataFrame(rows | {"movable": [True, False]}).with_columns(node=pl.lit("node-0000"))
    whole = Workload.of(pl.DataFrame({"submit_s": [0.0], "duration_s": [1.0]}))
    for plan in (defragment(gauge(cluster, running, whole)), make_room(gauge(cluster, running, whole), "gpus=1")):
        (move,) = plan.moves
        assert (move.job_id, move.to_devices, move.stop_first) == ("a", [1], True)
        assert "must stop before it starts again" in plan_lines(plan)[2]
    more = cluster.table.with_columns(cpu_milli=pl.lit(4500))
    (move,) = defragment(gauge(Cluster.of(more), running, whole)).moves
    assert not move.stop_first


def test_what_may_not_move_stays() -> None:
    halves = {"node": ["node-0000", "node-0001"], "devices": ["0", "0"], "gpu_milli": [500, 500]}
    fixed = pl.DataFrame(halves | {"movable": [False, False]})
    whole = Workload.of(pl.DataFrame({"submit_s": [0.0], "duration_s": [1.0]}))
    found = gauge(ap.parse_cluster("2x1"), fixed, whole)
    assert defragment(found).moves == []
    assert plan_lines(defragment(found)) == ["", "no single move of a task would free GPUs"]
    plan = make_room(found, "gpus=1")
    assert (plan.node, plan.reason) == (None, "no node would have room, even if all its movable tasks left")


def test_a_drained_node_can_be_emptied_but_takes_nothing() -> None:
    halves = {"job_id": ["a", "b"], "node": ["node-0000", "node-0001"], "devices": ["0", "0"], "gpu_milli": [500, 500]}
    whole = Workload.of(pl.DataFrame({"submit_s": [0.0], "duration_s": [1.0]}))
    found = gauge(ap.parse_cluster("2x1"), pl.DataFrame(halves), whole, down=["node-0000"])
    (move,) = defragment(found).moves
    assert (move.job_id, move.to_node, move.frees_gpus) == ("a", "node-0001", 0.5)


def test_emptying_a_node_takes_as_many_moves_as_it_has_tasks() -> None:
    """More tasks than sets are tried for: the built set is still the right one."""
    busy = [("n0", d) for d in range(8)] + [("n1", d) for d in range(6)]
    cluster = Cluster.of(pl.DataFrame({"node": ["n0", "n1", "n2"], "gpus": [8, 8, 8]}))
    rows = [(f"j{i}", node, str(d)) for i, (node, d) in enumerate(busy)] + [("k", "n2", "0")]
    running = pl.DataFrame(rows, schema=["job_id", "node", "devices"], orient="row")
    plan = make_room(gauge(cluster, running), "gpus=8")
    assert (plan.node, [m.job_id for m in plan.moves]) == ("n2", ["k"])
    stuck = running.with_columns(movable=pl.col("job_id") != "k")
    plan = make_room(gauge(cluster, stuck), "gpus=8")
    assert (plan.node, len(plan.moves), {m.from_node for m in plan.moves}) == ("n1", 6, {"n1"})
    assert make_room(gauge(cluster, stuck), "gpus=8", 5).reason == "no way was found in up to 5 moves from one node"
    full = make_room(gauge(cluster, pl.concat([stuck, stuck.head(0)])), "gpus=9")
    assert full.reason == "no node would have room, even if all its movable tasks left"


@pytest.mark.parametrize(
    ("text", "demand"),
    [
        ("gpus=8", Demand(8)),
        ("gpus=1, gpu_milli=500 ,cpu_milli=4000", Demand(1, 500, 4000)),
        ("cpu_milli=9,memory_mib=7,gpus=0", Demand(0, 1000, 9, 7)),
        ("gpu_models=A100|V100,group=red", Demand(gpu_models=("A100", "V100"), group="red")),
    ],
)
def test_demands_are_read(text: str, demand: Demand) -> None:
    assert parse_demand(text) == demand
    assert parse_demand(str(demand)) == demand


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu=8", "did you mean 'gpus'"),
        ("8", "expected each of gpus, gpu_milli"),
        ("", "expected each of gpus, gpu_milli"),
        ("gpus=8,gpus=4", "each of .* once"),
        ("gpus=many", "found gpus=many .*whole number"),
        ("gpus=0.5", "found gpus=0.5 .*whole number"),
        ("gpu_milli=2000", "whole number of at most 1000"),
        ("gpus=-1", "whole number"),
    ],
)
def test_a_demand_that_is_none(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_demand(text)


def test_a_demand_for_what_the_cluster_does_not_have() -> None:
    with pytest.raises(InputError, match=r"gpu_models=H100.*\(none are given\)"):
        make_room(two_halves(), "gpus=1,gpu_models=H100")
    with pytest.raises(InputError, match="at least 0"):
        defragment(two_halves(), -1)


def test_advice_is_written_as_a_table() -> None:
    plan: Plan = make_room(two_halves(), "gpus=1")
    written = plan.to_dict()
    assert written["for"] == "gpus=1"
    assert written["node"] == "node-0000"
    assert written["moves"][0]["job_id"] == "a"
    assert written["moves"][0]["frees_gpus"] == 1.0
