"""Shockwave: what it expects, what it plans, and that the plan is the best one."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apportion as ap
from apportion.engine.encode import encode
from apportion.engine.layout import F8, I8
from apportion.model.errors import PolicyError
from apportion.policies.allocators.shockwave import Due
from apportion.policies.allocators.shockwave_counts import BREAKS, LOGS, Program, solve
from apportion.policies.allocators.shockwave_plan import place, place_rounds
from apportion.policies.allocators.shockwave_regimes import Regimes, course
from apportion.policies.protocol import Jobs
from apportion.policies.registry import parse_policy


def expected_left(batch: list[int], seconds: list[float], c: int) -> float:
    """The predictor in plain words, an epoch at a time."""
    epochs, modes = len(batch), sorted(set(batch))
    belief = dict.fromkeys(modes, epochs / len(modes))
    for b in batch[: c + 1]:
        belief[b] += 1
    total = sum(belief.values())
    left = {b: epochs * a / total for b, a in belief.items()}
    for b in batch[: c + 1]:
        if left[b] >= 1:
            left[b] -= 1
    inflated = max(int(sum(left.values()) + 1), epochs - c)
    mean = {b: np.mean([s for s, x in zip(seconds, batch, strict=True) if x == b]) for b in modes}
    return float(sum(left[b] * mean[b] for b in modes)) * (epochs - c) / inflated if c < epochs else 1.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([16, 32, 64]), st.integers(1, 90)), min_size=1, max_size=60))
def test_the_expectation_is_that_of_the_paper(epochs: list[tuple[int, int]]) -> None:
    batch, seconds = [b for b, _ in epochs], [float(s) for _, s in epochs]
    found = course(np.array(batch), np.array(seconds))
    assert found.left_s == pytest.approx([expected_left(batch, seconds, c) for c in range(len(batch) + 1)], rel=1e-9)
    assert found.ran_s[-1] == sum(seconds)
    assert found.mean_s[-1] == pytest.approx(np.mean(seconds))


def test_a_job_without_regimes_lasts_as_long_as_it_is_estimated_and_twice_as_long_when_that_is_over() -> None:
    rows = {"submit_s": [0.0] * 3, "duration_s": [100.0, 500.0, 100.0], "gpus": [1] * 3}
    workload = ap.Workload.of(pl.DataFrame(rows | {"estimate_s": [200.0, 100.0, None]}))
    regimes = Regimes(Jobs(workload, encode(workload, ap.parse_cluster("1x8")), 0))
    found = regimes.outlook(
        np.arange(3), np.array([50.0, 250.0, 40.0]), np.array([50.0, 250.0, 60.0]), np.full(3, np.nan)
    )
    assert found.length_s.tolist() == [200.0, 400.0, 100.0]
    assert found.left_s.tolist() == [150.0, 150.0, 60.0]
    assert found.progress.tolist() == [0.25, 0.625, 0.4]


def test_a_job_is_due_by_the_mean_of_its_estimates_over_time() -> None:
    due = Due(0.0, 0.0, 0.0)
    due.update(0.0, 1000.0)
    assert due.target(0.0) == 1000.0
    due.update(300.0, 2000.0)
    assert due.target(400.0) == pytest.approx(0.9 * (0.75 * 1000 + 0.25 * 2000) + 0.1 * 2000)


def instance(
    seed: int, jobs: int, gpus: int, rounds: int = 20, k: float = 1e-3, widths: tuple[int, ...] = (1, 2, 4, 8)
) -> Program:
    """Jobs in mid-life: a third are new, a third are behind."""
    rng = np.random.default_rng(seed)
    progress = np.where(rng.random(jobs) < 0.3, 0.0, rng.random(jobs) * 0.99)
    length = np.exp(rng.uniform(np.log(700), np.log(18_000), jobs))
    left = length * (1 - progress) * rng.uniform(0.7, 1.4, jobs)
    priority = np.where(rng.random(jobs) < 0.3, rng.uniform(1, 1.8, jobs) ** 12, 1.0)
    return Program(rng.choice(widths, jobs), left, progress, length, priority, float(gpus), rounds, 120.0, k)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6), st.sampled_from([0.0, 1e-3, 10.0, 1e5]))
def test_the_counts_of_jobs_of_one_gpu_are_the_best_of_all(seed: int, jobs: int, gpus: int, k: float) -> None:
    program = instance(seed, jobs, gpus, rounds=4, k=k, widths=(1,))
    counts = solve(program)
    assert (program.width * counts).sum() <= gpus * 4
    plans = [np.array(plan) for plan in product(range(5), repeat=jobs) if program.width @ plan <= gpus * 4]
    best = max(program.objective(plan) for plan in plans)
    # of jobs of one GPU the greedy choice is the best
    assert program.objective(counts) == pytest.approx(best, rel=1e-9, abs=1e-9)


def by_highs(program: Program) -> float:
    """Return the best value of the program in counts, as a mixed-integer program."""
    highspy: Any = pytest.importorskip("highspy")
    solver, jobs = highspy.Highs(), program.width.size
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("mip_rel_gap", 1e-6)
    count = [solver.addIntegral(0, program.rounds) for _ in range(jobs)]
    served = [solver.addVariable(0, x) for x in program.length_s * (1 - program.progress)]
    longest = solver.addVariable(0)
    solver.addConstr(sum(int(w) * n for w, n in zip(program.width, count)) <= program.gpus * program.rounds)
    total = -program.k * longest
    for j in range(jobs):
        point = [solver.addVariable(0) for _ in BREAKS]
        solver.addConstr(sum(point) == 1)
        part = sum(float(b) * x for b, x in zip(BREAKS, point))
        solver.addConstr(part - served[j] * (1 / program.length_s[j]) == program.progress[j])
        solver.addConstr(served[j] - program.round_s * count[j] <= 0)
        solver.addConstr(longest + served[j] >= program.left_s[j])
        weight = program.priority[j] / (jobs * program.rounds)
        total = total + sum(float(weight * y) * x for y, x in zip(LOGS, point))
    solver.maximize(total)
    return float(solver.getInfo().objective_function_value)


@pytest.mark.parametrize("k", [1e-3, 10.0])
@pytest.mark.parametrize("jobs", [12, 40])
@pytest.mark.parametrize("seed", range(4))
def test_the_counts_are_worth_what_the_solver_finds(seed: int, jobs: int, k: float) -> None:
    program = instance(seed, jobs, 16, k=k)
    best = by_highs(program)
    assert program.objective(solve(program)) >= best - 1e-3 * abs(best)


def test_an_empty_program_has_an_empty_plan() -> None:
    assert solve(instance(0, 0, 8)).size == 0


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_a_plan_keeps_to_the_gpus_and_grants_no_more_than_fits(seed: int) -> None:
    program = instance(seed, 12, 8)
    speed = np.random.default_rng(seed).choice([0.0, 1.0, 2.0], (12, 2))
    free = np.array([5.0, 3.0])
    plan = place(solve(program), program.width, program.priority, program.left_s, 20, 8, free, speed, np.full(12, -1))
    for model in plan:
        for m in range(2):
            assert program.width[model == m].sum() <= free[m]
            assert (speed[model == m, m] > 0).all()


def plan_of(counts: list[int], width: list[int], gpus: float, rounds: int) -> list[list[int]]:
    n = len(counts)
    left, ones = np.arange(n, 0, -1).astype(float), np.ones(n)
    speed, on = np.ones((n, 1)), np.full(n, -1)
    found = place(np.array(counts), np.array(width), ones, left, rounds, rounds, np.array([gpus]), speed, on)
    return [np.flatnonzero(who >= 0).tolist() for who in found]


def test_jobs_without_laxity_come_first() -> None:
    # the second has to run in all rounds, though the others are worth more for each of theirs
    assert plan_of([1, 3, 2], [1, 2, 1], 3.0, 3) == [[0, 1], [1, 2], [1, 2]]
    assert plan_of([1, 2], [2, 2], 2.0, 3) == [[0], [1], [1]]


def test_idle_gpus_are_filled_with_the_longest_remainder() -> None:
    assert plan_of([0, 0, 0], [1, 1, 2], 2.0, 1) == [[0, 1]]


def test_a_job_keeps_its_model_among_equals_and_takes_the_fastest() -> None:
    two, free = np.array([[1.0, 1.0], [1.0, 3.0]]), np.array([1.0, 1.0])
    ones: I8 = np.ones(2, np.int64)
    left: F8 = np.array([2.0, 1.0])
    assert place(ones, ones, np.ones(2), left, 1, 1, free, two, np.array([1, -1])).tolist() == [[1, 0]]
    assert place_rounds(np.array([[0, 1]]), ones, left, free, two, np.array([-1, -1])).tolist() == [[0, 1]]


@pytest.mark.parametrize("cluster", ["pool:24", "3x8:V100+2x4:P100"])
@pytest.mark.parametrize("policy", ["shockwave", "shockwave[since=submit,k=10,lambda=5,window=10,resolve=3]"])
def test_every_job_ends_in_rounds_of_a_clock(policy: str, cluster: str) -> None:
    trace = ap.load("synthetic:philly?jobs=120&seed=3")
    result = ap.simulate(trace.workload, ap.parse_cluster(cluster), policy, check=True)
    assert result.summary()["completed"] + result.summary()["rejected"] == 120
    again = ap.simulate(trace.workload, ap.parse_cluster(cluster), policy)
    assert again.jobs.equals(result.jobs)


def test_jobs_in_steps_without_epochs_are_one_regime(tmp_path: Path) -> None:
    # of this model it is known what an epoch is, but Gavel's traces do not say how many there are
    job = "ResNet-18 (batch size 128)"
    speeds = {"v100": 10.0, "k80": 2.0}
    table = {gpu: {str((job, 1)): {"null": speed}} for gpu, speed in speeds.items()}
    (tmp_path / "speeds.json").write_text(json.dumps(table))
    cells = (job, "python3 main.py", ".", "--num_steps", "1", "6000", "1", "1", "-1", "0")
    (tmp_path / "two.trace").write_text(2 * ("\t".join(cells) + "\n"))
    workload = ap.load(f"gavel:{tmp_path / 'two.trace'}?throughputs=speeds.json").workload
    for gpu, speed in speeds.items():
        result = ap.simulate(workload, ap.parse_cluster(f"2x1:{gpu}"), "shockwave", check=True)
        assert result.jobs["jct_s"].to_list() == [6000 / speed] * 2


def test_one_policy_object_runs_twice_alike() -> None:
    policy, cluster = parse_policy("shockwave"), ap.parse_cluster("pool:8")
    workload = ap.load("synthetic:philly?jobs=60&seed=4").workload
    first, second = (ap.simulate(workload, cluster, policy).jobs for _ in range(2))
    assert first.equals(second)


@pytest.mark.parametrize("k", [1e-3, 10.0])
def test_the_exact_program_plans_as_well(k: float) -> None:
    pytest.importorskip("highspy")
    from apportion.policies.allocators.shockwave_exact import rank, schedule

    program = instance(5, 10, 8, rounds=8, k=k)
    granted = schedule(program)
    assert (granted @ program.width).max() <= 8
    exact, counted = program.objective(granted.sum(axis=0)), program.objective(solve(program))
    assert exact == pytest.approx(counted, rel=2e-3)
    ranked = rank(program, granted)
    assert (ranked.sum(axis=0) == granted.sum(axis=0)).all()
    assert (ranked @ program.width).max() <= 8


def test_the_exact_program_runs() -> None:
    pytest.importorskip("highspy")
    workload = ap.load("synthetic:philly?jobs=12&seed=3").workload
    result = ap.simulate(workload, ap.parse_cluster("pool:4"), "shockwave[solver=exact,window=5]", check=True)
    assert result.summary()["completed"] + result.summary()["rejected"] == 12


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shockwave[window=0]", "found window=0, expected at least 1"),
        ("shockwave[lambda=-1]", "found lambda=-1, expected at least 0"),
        ("shockwave[k=much]", "found k=much, expected a number"),
        ("shockwave[cap=0.5]", "found cap=0.5, expected at least 1"),
        ("shockwave[solver=gurobi]", "found solver=gurobi, expected count or exact"),
        ("shockwave[since=birth]", "found since=birth, expected start or submit"),
        ("shockwave[_due=1]", "unknown parameter '_due'"),
    ],
)
def test_wrong_parameters(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as error:
        parse_policy(text)
    assert said in str(error.value)
