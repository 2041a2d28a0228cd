"""The reference simulator against cases small enough to work out by hand, one for each rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from reference import JobRecord, JobSpec, Node, NodeSpec, Settings, Shape, World, simulate, take, utilisation
from worlds import to_cluster, to_node_events, to_workload, worlds

Spans = dict[int, list[tuple[float, float | None]]]


def played(nodes: list[NodeSpec], jobs: list[JobSpec], **how: Any) -> tuple[Spans, list[JobRecord]]:
    """Return (start, end) of every run of every job that ran, and the records of all jobs."""
    runs, records = simulate(World(tuple(nodes), tuple(jobs), Settings(**how)))
    spans: Spans = {}
    for run in runs:
        spans.setdefault(run.job, []).append((run.start, run.end))
    return spans, records


def places(nodes: list[NodeSpec], jobs: list[JobSpec], **how: Any) -> list[tuple[tuple[int, int, int], ...]]:
    """Return (node, device bit set, GPUs) of the pieces of every run, in order of start."""
    runs, _ = simulate(World(tuple(nodes), tuple(jobs), Settings(**how)))
    return [run.pieces for run in runs]


FOUR = [NodeSpec(gpus=4)]

THREE_JOBS = [
    JobSpec(submit=0, duration=10, gpus=2),
    JobSpec(submit=1, duration=5, gpus=4),
    JobSpec(submit=2, duration=8, gpus=2),
]


def test_skip_lets_a_job_that_fits_pass_one_that_does_not() -> None:
    spans, _ = played(FOUR, THREE_JOBS)
    assert spans == {0: [(0, 10)], 1: [(10, 15)], 2: [(2, 10)]}


def test_strict_lets_nobody_pass() -> None:
    spans, _ = played(FOUR, THREE_JOBS, backfill="strict")
    assert spans == {0: [(0, 10)], 1: [(10, 15)], 2: [(15, 23)]}


def test_strict_blocks_only_the_partition_of_the_job_that_does_not_fit() -> None:
    nodes = [NodeSpec(gpus=2, group="red"), NodeSpec(gpus=2, group="blue")]
    jobs = [
        JobSpec(duration=10, gpus=2, group="red"),
        JobSpec(duration=1, gpus=2, group="red"),
        JobSpec(duration=1, gpus=1, group="blue"),
    ]
    spans, _ = played(nodes, jobs, backfill="strict")
    assert spans == {0: [(0, 10)], 1: [(10, 11)], 2: [(0, 1)]}


def test_easy_lets_pass_what_ends_before_the_reservation() -> None:
    longer = [*THREE_JOBS, JobSpec(submit=2, duration=9, gpus=2)]
    spans, _ = played(FOUR, longer, backfill="easy")
    assert spans[1] == [(10, 15)] and spans[2] == [(2, 10)]
    assert spans[3] == [(15, 24)]
    spans, _ = played(FOUR, [THREE_JOBS[0], THREE_JOBS[1], longer[3]], backfill="easy")
    assert spans == {0: [(0, 10)], 1: [(10, 15)], 2: [(15, 24)]}


def test_easy_lets_pass_what_has_room_beside_the_reserved_job() -> None:
    nodes = [NodeSpec(gpus=4), NodeSpec(gpus=2)]
    jobs = [
        JobSpec(submit=0, duration=10, gpus=3),
        JobSpec(submit=1, duration=5, gpus=4),
        JobSpec(submit=2, duration=100, gpus=1),
        JobSpec(submit=3, duration=100, gpus=2),
    ]
    # at 2 first-fit picks the last GPU of the node that is reserved from 10 on, so job 2 waits
    spans, _ = played(nodes, jobs, backfill="easy")
    assert spans == {0: [(0, 10)], 1: [(10, 15)], 2: [(15, 115)], 3: [(3, 103)]}
    # worst-fit picks the other node for job 2 (2 GPUs free against 1), which leaves no room for job 3
    spans, _ = played(nodes, jobs, backfill="easy", placement="worst-fit")
    assert spans == {0: [(0, 10)], 1: [(10, 15)], 2: [(2, 102)], 3: [(15, 115)]}


def test_easy_believes_the_estimates() -> None:
    jobs = [
        JobSpec(submit=0, duration=10, estimate=20, gpus=2),
        JobSpec(submit=1, duration=5, gpus=4),
        JobSpec(submit=2, duration=18, gpus=2),
    ]
    # expected to end at 20 = the shadow time; job 2 ends at 20 and delays job 1 beyond the true 10
    spans, _ = played(FOUR, jobs, backfill="easy")
    assert spans == {0: [(0, 10)], 1: [(20, 25)], 2: [(2, 20)]}


def test_easy_expects_an_overdue_job_to_end_now() -> None:
    jobs = [
        JobSpec(submit=0, duration=10, estimate=1, gpus=2),
        JobSpec(submit=5, duration=5, gpus=4),
        JobSpec(submit=5, duration=1, gpus=2),
    ]
    spans, _ = played(FOUR, jobs, backfill="easy")
    assert spans == {0: [(0, 10)], 1: [(10, 15)], 2: [(15, 16)]}


def test_easy_expects_all_overdue_jobs_to_end_together() -> None:
    nodes = [NodeSpec(gpus=3), NodeSpec(gpus=3)]
    jobs = [
        JobSpec(submit=0, duration=10, estimate=2, gpus=2),
        JobSpec(submit=0, duration=10, estimate=1, gpus=2),
        JobSpec(submit=5, duration=5, gpus=3),
        JobSpec(submit=5, duration=100, gpus=1),
    ]
    # job 2 is reserved node 0, where first-fit would put job 3, which therefore waits
    spans, _ = played(nodes, jobs, backfill="easy")
    assert spans == {0: [(0, 10)], 1: [(0, 10)], 2: [(10, 15)], 3: [(10, 110)]}


def test_easy_counts_what_was_let_in_beside_the_reserved_job() -> None:
    jobs = [
        JobSpec(submit=0, duration=10, gpus=4),
        JobSpec(submit=1, duration=5, gpus=6),
        JobSpec(submit=2, duration=100, gpus=2),
        JobSpec(submit=2, duration=100, gpus=2),
    ]
    # of the 8 GPUs 2 are left beside job 1, though 4 are idle now
    spans, _ = played([NodeSpec(gpus=8)], jobs, backfill="easy")
    assert spans == {0: [(0, 10)], 1: [(10, 15)], 2: [(2, 102)], 3: [(15, 115)]}


def test_a_head_that_fits_nowhere_holds_nobody_back() -> None:
    nodes = [NodeSpec(gpus=4), NodeSpec(gpus=2)]
    jobs = [JobSpec(submit=1, duration=5, gpus=4), JobSpec(submit=1, duration=100, gpus=1)]
    spans, records = played(nodes, jobs, backfill="easy", failures=((0, 0, False),))
    assert spans == {1: [(1, 101)]}
    assert records[0].state == "unfinished"


@pytest.mark.parametrize(
    ("order", "starts"),
    [
        ("fifo", [1, 2, 3, 4]),
        ("sjf", [3, 2, 1, 4]),
        ("ljf", [1, 4, 2, 3]),
        ("estimate sjf", [2, 4, 3, 1]),
        ("smallest", [2, 4, 1, 3]),
        ("priority", [4, 1, 2, 3]),
    ],
)
def test_static_orders(order: str, starts: list[int]) -> None:
    # job 0 holds the cluster until the others wait together; any two of them exclude each other
    jobs = [
        JobSpec(submit=0, duration=2, gpus=4),
        JobSpec(submit=1, duration=5, estimate=9, gpus=4, priority=1),
        JobSpec(submit=1, duration=4, estimate=1, gpus=3, gpu_milli=900, priority=1),
        JobSpec(submit=1, duration=3, gpus=4),
        JobSpec(submit=1, duration=5, estimate=1, gpus=3, priority=2),
    ]
    runs, _ = simulate(World(tuple(FOUR), tuple(jobs), Settings(order=order, backfill="strict")))
    assert [run.job for run in runs] == [0, *starts]


def test_fair_serves_the_least_served_user() -> None:
    one = [NodeSpec(gpus=1)]
    jobs = [
        JobSpec(submit=0, duration=4, user="u"),
        JobSpec(submit=1, duration=4, user="u"),
        JobSpec(submit=2, duration=3, user="v"),
        JobSpec(submit=2, duration=3, user="v"),
        JobSpec(submit=2, duration=3, user="v"),
    ]
    # served at 4: u 4, v 0; at 7: 4, 3; at 10: 4, 6; at 14: 8, 6
    spans, _ = played(one, jobs, order="fair[user]")
    assert spans == {0: [(0, 4)], 1: [(10, 14)], 2: [(4, 7)], 3: [(7, 10)], 4: [(14, 17)]}
    spans, _ = played(one, jobs, order="fair[group]")
    assert [spans[job][0][0] for job in range(5)] == [0, 4, 8, 11, 14]


def test_fair_counts_what_still_runs() -> None:
    nodes = [NodeSpec(gpus=3)]
    jobs = [
        JobSpec(submit=0, duration=20, gpus=2, user="u"),
        JobSpec(submit=0, duration=5, gpus=1, user="v"),
        JobSpec(submit=1, duration=1, gpus=1, user="u"),
        JobSpec(submit=2, duration=1, gpus=1, user="v"),
    ]
    spans, _ = played(nodes, jobs, order="fair[user]")
    assert spans[3] == [(5, 6)] and spans[2] == [(6, 7)]


def test_a_gang_starts_whole_or_not_at_all() -> None:
    nodes = [NodeSpec(gpus=2), NodeSpec(gpus=2)]
    jobs = [
        JobSpec(submit=0, duration=10, gpus=1),
        JobSpec(submit=1, duration=5, gpus=2, tasks=2),
        JobSpec(submit=2, duration=3, gpus=2),
    ]
    spans, _ = played(nodes, jobs)
    assert spans == {0: [(0, 10)], 1: [(10, 15)], 2: [(2, 5)]}
    assert places(nodes, jobs) == [((0, 1, 1),), ((1, 3, 2),), ((0, 3, 2), (1, 3, 2))]


def test_a_task_larger_than_every_node_is_cut() -> None:
    eights = [NodeSpec(gpus=4)] + [NodeSpec(gpus=8)] * 2
    assert places(eights, [JobSpec(gpus=12)]) == [((1, 255, 8), (0, 15, 4))]
    assert places(eights, [JobSpec(gpus=16)]) == [((1, 255, 8), (2, 255, 8))]
    assert places(eights, [JobSpec(gpus=16), JobSpec(gpus=8, tasks=2)])[1] == ((1, 255, 8), (2, 255, 8))
    _, records = played(eights, [JobSpec(gpus=12, tasks=2), JobSpec(gpus=24)])
    assert [record.state for record in records] == ["rejected", "rejected"]


def test_pieces_take_cpu_and_memory_in_proportion_rounded_up() -> None:
    # 10 GPUs over nodes of 4: pieces of 4, 4, 2 with ceil(1001 * 0.4) = 401, 401, ceil(200.2) = 201
    enough = [NodeSpec(gpus=4, cpu_milli=401, memory_mib=4)] * 2 + [NodeSpec(gpus=2, cpu_milli=201, memory_mib=2)]
    short = [*enough[:2], NodeSpec(gpus=2, cpu_milli=200, memory_mib=2)]
    job = JobSpec(gpus=10, cpu_milli=1001, memory_mib=10)
    assert played(enough, [job])[1][0].state == "completed"
    assert played(short, [job])[1][0].state == "rejected"


def test_the_largest_node_counts_only_if_the_job_may_use_it() -> None:
    nodes = [NodeSpec(gpus=8, gpu_model="V100"), *[NodeSpec(gpus=4, gpu_model="T4")] * 2]
    assert places(nodes, [JobSpec(gpus=8, gpu_models=("T4",))]) == [((1, 15, 4), (2, 15, 4))]


def test_models_and_groups_decide_where_a_job_may_run() -> None:
    nodes = [
        NodeSpec(gpus=1, gpu_model="V100", group="red"),
        NodeSpec(gpus=1, gpu_model="T4"),
        NodeSpec(gpus=1),
    ]
    jobs = [
        JobSpec(group="red"),
        JobSpec(group="blue", gpu_models=("V100",)),
        JobSpec(group="blue", gpu_models=("V100", "T4")),
        JobSpec(group=""),
    ]
    runs, records = simulate(World(tuple(nodes), tuple(jobs)))
    assert [(run.job, run.pieces[0][0]) for run in runs] == [(0, 0), (2, 1), (3, 2)]
    assert records[1].state == "rejected"


def test_shares_fill_the_fullest_device_first() -> None:
    jobs = [
        JobSpec(duration=9, gpu_milli=600),
        JobSpec(duration=9, gpu_milli=500),
        JobSpec(duration=9, gpu_milli=400),
        JobSpec(duration=9, gpu_milli=300),
        JobSpec(duration=9, gpus=2, gpu_milli=200),
        JobSpec(duration=9, gpus=2),
    ]
    # free after each: 400; 400 500; 0 500; 0 200; the two-device job takes device 1 (200) and an idle one;
    # two whole devices are no longer idle
    assert places(FOUR, jobs) == [
        ((0, 1, 1),),
        ((0, 2, 1),),
        ((0, 1, 1),),
        ((0, 2, 1),),
        ((0, 2 + 4, 2),),
        ((0, 1 + 2, 2),),
    ]


def test_a_pool_is_one_divisible_amount() -> None:
    pool = [NodeSpec(gpus=3, pooled=True)]
    jobs = [
        JobSpec(duration=5, gpu_milli=700),
        JobSpec(duration=5, gpus=2),
        JobSpec(duration=5, gpu_milli=301),
    ]
    spans, _ = played(pool, jobs)
    assert spans == {0: [(0, 5)], 1: [(0, 5)], 2: [(5, 10)]}
    assert places(pool, jobs)[0] == ((0, 0, 1),)
    assert places([NodeSpec(gpus=400, pooled=True)], [JobSpec(gpus=399)]) == [((0, 0, 399),)]


@pytest.mark.parametrize("need", [{"gpus": 0}, {"gpu_milli": 0}])
def test_no_gpu_need_runs_without_gpus(need: dict[str, Any]) -> None:
    nodes = [NodeSpec(gpus=0, cpu_milli=1000)]
    jobs = [JobSpec(duration=5, cpu_milli=600, **need), JobSpec(duration=5, cpu_milli=600, **need)]
    spans, _ = played(nodes, jobs)
    assert spans == {0: [(0, 5)], 1: [(5, 10)]}


@pytest.mark.parametrize(
    ("placement", "chosen"),
    [
        ("first-fit", [0, 0, 1]),
        ("best-fit", [1, 1, 0]),
        ("worst-fit", [0, 0, 0]),
        ("load-balance", [0, 1, 0]),
        ("spread", [0, 1, 0]),
    ],
)
def test_placements(placement: str, chosen: list[int]) -> None:
    # worst-fit: 4 against 2 free, then 3 against 2, then 2 against 2, a tie
    # load-balance: 0 against 0; 25/2 -> 12 against 0; 12 against 25
    nodes = [NodeSpec(gpus=4), NodeSpec(gpus=2)]
    jobs = [JobSpec(duration=9), JobSpec(duration=9), JobSpec(duration=9)]
    if placement == "first-fit":
        jobs[1] = JobSpec(duration=9, gpus=3)
    assert [pieces[0][0] for pieces in places(nodes, jobs, placement=placement)] == chosen


def test_utilisation_rounds_half_to_even() -> None:
    nodes = [Node(NodeSpec(gpus=4, cpu_milli=0)), Node(NodeSpec(gpus=0, cpu_milli=1000))]
    take(nodes, 0, Shape(gpus=1, milli=1000, cpu=0, memory=0))
    take(nodes, 1, Shape(gpus=0, milli=0, cpu=625, memory=0))
    assert [utilisation(node) for node in nodes] == [12, 62]
    take(nodes, 0, Shape(gpus=2, milli=1000, cpu=0, memory=0))
    assert utilisation(nodes[0]) == 38


def test_at_one_moment_ends_come_first_and_the_pass_last() -> None:
    jobs = [
        JobSpec(submit=0, duration=5, gpus=4),
        JobSpec(submit=5, duration=1, gpus=4),
        JobSpec(submit=5, duration=0, gpus=4),
    ]
    assert played(FOUR, jobs)[0] == {0: [(0, 5)], 1: [(5, 6)], 2: [(6, 6)]}
    assert played(FOUR, jobs, order="sjf")[0] == {0: [(0, 5)], 1: [(5, 6)], 2: [(5, 5)]}
    failures = ((5, 0, False), (5, 0, True))
    assert played(FOUR, jobs, failures=failures)[1][0] == JobRecord("completed", 0, 0)


def test_granularity_acts_at_whole_seconds_only() -> None:
    jobs = [JobSpec(submit=0.25, duration=1.5, gpus=4), JobSpec(submit=0.5, duration=1, gpus=4)]
    spans, _ = played(FOUR, jobs, granularity=1)
    assert spans == {0: [(1, 2.5)], 1: [(3, 4)]}


def test_until_ends_the_story() -> None:
    jobs = [JobSpec(duration=5, gpus=4), JobSpec(duration=5, gpus=4), JobSpec(submit=7, duration=1, gpus=4)]
    spans, records = played(FOUR, jobs, until=6)
    assert spans == {0: [(0, 5)], 1: [(5, None)]}
    assert [record.state for record in records] == ["completed", "unfinished", "unfinished"]
    assert played(FOUR, jobs, until=5)[0] == {0: [(0, 5)], 1: [(5, None)]}


def test_a_failure_costs_what_came_after_the_last_checkpoint() -> None:
    nodes = [NodeSpec(gpus=1), NodeSpec(gpus=1)]
    jobs = [JobSpec(duration=10, tasks=2), JobSpec(submit=1, duration=2)]
    failures = ((7.0, 1, False), (20.0, 1, True))
    # kept: 6 of 7 s at an interval of 3; 4 s are left; the gang needs both nodes, so job 1 goes first
    spans, records = played(nodes, jobs, failures=failures, checkpoint_interval=3)
    assert spans == {0: [(0, 7), (20, 24)], 1: [(7, 9)]}
    assert records[0] == JobRecord("completed", 0, 1)
    spans, _ = played(nodes, jobs, failures=failures)
    assert spans[0] == [(0, 7), (20, 30)]


def test_a_failed_job_keeps_its_place_in_the_queue() -> None:
    one = [NodeSpec(gpus=1)]
    jobs = [JobSpec(duration=10), JobSpec(submit=1, duration=2)]
    spans, _ = played(one, jobs, failures=((5, 0, False), (5, 0, False), (6, 0, True), (6, 0, True)))
    assert spans == {0: [(0, 5), (6, 16)], 1: [(16, 18)]}


def test_srtf_preempts_the_longer_job_and_charges_the_checkpoint() -> None:
    jobs = [JobSpec(duration=10, gpus=4), JobSpec(submit=4, duration=3, gpus=4)]
    spans, records = played(FOUR, jobs, order="srtf", checkpoint_cost=2)
    assert spans == {0: [(0, 4), (7, 15)], 1: [(4, 7)]}
    assert records[0] == JobRecord("completed", 1, 0)


def test_ties_favour_the_running_job_unless_told_otherwise() -> None:
    jobs = [JobSpec(duration=10, gpus=4), JobSpec(submit=4, duration=6, gpus=4)]
    assert played(FOUR, jobs, order="srtf")[0] == {0: [(0, 10)], 1: [(10, 16)]}
    assert played(FOUR, jobs, order="srtf", queued_first=True)[0] == {0: [(0, 4), (10, 16)], 1: [(4, 10)]}


def test_who_must_not_be_preempted_is_not() -> None:
    jobs = [JobSpec(duration=10, gpus=4, preemptible=False), JobSpec(submit=4, duration=3, gpus=4)]
    assert played(FOUR, jobs, order="srtf")[0] == {0: [(0, 10)], 1: [(10, 13)]}


def test_las_shares_by_quanta() -> None:
    jobs = [JobSpec(duration=6, gpus=4), JobSpec(duration=4, gpus=4)]
    # 0-2 job 0; 2-4 job 1 (0 against 8); at 4 both 8: the running one stays; at 6 job 1 (16) has ended
    spans, _ = played(FOUR, jobs, order="las", quantum=2)
    assert spans == {0: [(0, 2), (6, 10)], 1: [(2, 6)]}
    assert played(FOUR, jobs, order="las")[0] == {0: [(0, 6)], 1: [(6, 10)]}
    # nobody who was planned lacked a place, so no timer is set
    assert played(FOUR, jobs, order="las", quantum=2, quantum_when_stuck=True)[0] == {
        0: [(0, 6)],
        1: [(6, 10)],
    }


def test_the_plan_counts_gpus_and_the_placement_decides() -> None:
    # the 3 GPUs of job 0 are cut into 2 + 1; at 1 job 1 takes 2 of 4, so job 0 is preempted and lacks room
    nodes = [NodeSpec(gpus=2), NodeSpec(gpus=2)]
    jobs = [JobSpec(duration=20, gpus=3), JobSpec(submit=1, duration=5, gpus=2)]
    spans, _ = played(nodes, jobs, order="srtf")
    assert spans == {0: [(0, 1), (6, 25)], 1: [(1, 6)]}


CPU_BOUND = [
    JobSpec(duration=20, gpus=1, preemptible=False, cpu_milli=600),
    JobSpec(duration=20, gpus=1, cpu_milli=100),
    JobSpec(submit=1, duration=5, gpus=1, cpu_milli=600),
]
"""On 2 GPUs and 1 core job 2 cannot run beside job 0, though the GPUs would do: no place for a plan."""


def test_conserve_gives_what_the_plan_left_over_to_the_next_in_line() -> None:
    nodes = [NodeSpec(gpus=2, cpu_milli=1000)]
    how = {"order": "srtf", "checkpoint_cost": 1}
    # at 1 job 1 is outside the plan, but job 2 would find no place without it either: it goes on
    spans, records = played(nodes, CPU_BOUND, **how)
    assert spans == {0: [(0, 20)], 1: [(0, 20)], 2: [(20, 25)]}
    assert records[1].preemptions == 0
    spans, _ = played(nodes, CPU_BOUND, conserve=False, **how)
    assert spans == {0: [(0, 20)], 1: [(0, 1), (20, 40)], 2: [(20, 25)]}


def test_a_quantum_for_the_stuck_is_set_when_a_planned_job_found_no_place() -> None:
    nodes = [NodeSpec(gpus=2, cpu_milli=1000)]
    how = {"order": "srtf", "conserve": False, "quantum_when_stuck": True}
    # preempted at 1 with 19 s left for job 2, which is stuck; at 15 job 0 is done in 5 s as job 2 is, and goes first
    spans, records = played(nodes, CPU_BOUND, quantum=7, **how)
    assert spans == {0: [(0, 20)], 1: [(0, 1), (20, 39)], 2: [(20, 25)]}
    assert records[1].preemptions == 1


def test_the_quota_counts_nodes_that_are_up_and_may_be_used() -> None:
    jobs = [
        JobSpec(duration=20, gpus=2, group="blue"),
        JobSpec(submit=1, duration=5, gpus=2, group="blue"),
    ]
    one_of_two = {0: [(0, 1), (6, 25)], 1: [(1, 6)]}
    failed = ((0.0, 1, False),)
    assert played([NodeSpec(gpus=2)] * 2, jobs, order="srtf", failures=failed)[0] == one_of_two
    assert played([NodeSpec(gpus=2, group="red"), NodeSpec(gpus=2)], jobs, order="srtf")[0] == one_of_two


MODELS = [NodeSpec(gpus=2, gpu_model="V100"), NodeSpec(gpus=2, gpu_model="A100")]


def test_the_plan_counts_the_gpus_of_each_model() -> None:
    # the idle A100 are of no use to job 1
    jobs = [
        JobSpec(duration=20, gpus=2, gpu_models=("V100",)),
        JobSpec(submit=1, duration=5, gpus=2, gpu_models=("V100",)),
    ]
    assert played(MODELS, jobs, order="srtf")[0] == {0: [(0, 1), (6, 25)], 1: [(1, 6)]}


def test_a_job_that_may_run_elsewhere_leaves_the_model_that_another_is_bound_to() -> None:
    jobs = [JobSpec(duration=20, gpus=2), JobSpec(submit=1, duration=5, gpus=2, gpu_models=("V100",))]
    assert played(MODELS, jobs, order="srtf")[0] == {0: [(0, 1), (1, 20)], 1: [(1, 6)]}
    # but not for one that is less urgent
    jobs[1] = JobSpec(submit=1, duration=50, gpus=2, gpu_models=("V100",))
    assert played(MODELS, jobs, order="srtf")[0] == {0: [(0, 20)], 1: [(20, 70)]}


def test_groups_have_their_own_quota() -> None:
    nodes = [NodeSpec(gpus=2, group="red"), NodeSpec(gpus=2)]
    jobs = [
        JobSpec(duration=20, gpus=2, group="red"),
        JobSpec(duration=20, gpus=2, group="blue"),
        JobSpec(submit=1, duration=5, gpus=2, group="red"),
    ]
    # red may use 4 GPUs, so nobody is preempted for job 2, which finds them taken by blue
    spans, records = played(nodes, jobs, order="srtf")
    assert spans == {0: [(0, 20)], 1: [(0, 20)], 2: [(20, 25)]}
    assert [record.preemptions for record in records] == [0, 0, 0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_every_world_can_be_played_and_written_as_tables(world: World) -> None:
    runs, records = simulate(world)
    assert len(to_cluster(world)) == len(world.nodes)
    assert to_workload(world).table["duration_s"].to_list() == [job.duration for job in world.jobs]
    events = to_node_events(world)
    assert (0 if events is None else len(events.nodes)) == len(world.settings.failures)
    for row, (job, record) in enumerate(zip(world.jobs, records)):
        mine = [run for run in runs if run.job == row]
        assert len(mine) == 0 or record.state != "rejected"
        assert all(run.start >= job.submit for run in mine)
        if record.state == "completed":
            assert len(mine) == 1 + record.preemptions + record.restarts
            worked = sum(run.end - run.start for run in mine if run.end is not None)
            assert worked >= job.duration + world.settings.checkpoint_cost * record.preemptions * (not record.restarts)
