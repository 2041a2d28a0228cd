"""Gavel's programs: what they promise, against another solver and by definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

import apportion as ap
from apportion.engine.layout import F8
from apportion.engine.turns import Turns
from apportion.engine.view import Shares
from apportion.model.errors import PolicyError
from apportion.policies.allocators import gavel_programs as programs
from apportion.policies.allocators.gavel_case import Case
from apportion.policies.allocators.gavel_filling import fill
from apportion.policies.allocators.gavel_programs import fairness_rows
from apportion.policies.allocators.gavel_truthful import nash, truthful
from apportion.policies.registry import parse_policy

SEEDS = st.integers(0, 10_000)


def case_of(seed: int, jobs: int | None = None, models: int = 3) -> Case:
    rng = np.random.default_rng(seed)
    n = jobs or int(rng.integers(1, 12))
    speed = rng.uniform(0.1, 3.0, (n, models)) * (rng.random((n, models)) < 0.9)
    speed[:, 0] = np.maximum(speed[:, 0], 0.05)
    width = rng.choice([1.0, 2.0, 4.0], n)
    return Case(speed, width, rng.integers(4, 9, models).astype(float), np.ones(n), rng.choice([1.0, 2.0, 5.0], n))


def rows_of(case: Case) -> tuple[F8, F8]:
    """Return capacity and time as rows over X, job by job."""
    jobs, models = case.speed.shape
    room = np.hstack([np.eye(models) * w for w in case.width])
    time = np.kron(np.eye(jobs), np.ones(models))
    return np.vstack([room, time]), np.concatenate([case.capacity, np.ones(jobs)])


def best_of(case: Case, gain: F8, floor: F8) -> float:
    """Return the largest z with gain_m X_m >= floor_m + z for the jobs whose floor is finite, by another solver."""
    rows, limit = rows_of(case)
    levels = np.zeros((gain.shape[0], gain.size))
    for m, row in enumerate(gain):
        levels[m, m * row.size : (m + 1) * row.size] = -row
    whole = np.vstack([np.hstack([rows, np.zeros((len(rows), 1))]), np.hstack([levels, np.ones((len(gain), 1))])])
    found = linprog(np.r_[np.zeros(gain.size), -1.0], whole, np.r_[limit, -floor], bounds=[(0, None)] * (gain.size + 1))
    assert found.status == 0
    return float(-found.fun)


def holds(case: Case, x: F8) -> None:
    assert (x >= 0).all() and (x.sum(axis=1) <= 1 + 1e-6).all()
    assert ((case.width * case.count) @ x <= case.capacity + 1e-6).all()


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_max_min_is_the_largest_least_level(seed: int) -> None:
    case = case_of(seed)
    gain = fairness_rows(case)
    best = best_of(case, gain, np.zeros(len(gain)))
    for x in (programs.max_min(case), fill(case)):
        assert x is not None
        holds(case, x)
        assert (gain * x).sum(axis=1).min() == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize(
    ("seed", "models", "capacity"), [(0, 3, 0.25), (1, 1, 0.5), (2, 4, 0.1), (3, 2, 1.0), (4, 3, 3.0)]
)
def test_filling_many_jobs_begins_near_the_optimum_and_ends_in_it(
    seed: int, models: int, capacity: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of(seed, 400, models)
    case = replace(case, capacity=np.full(models, 400 * capacity), weight=np.ones(400))
    gain = fairness_rows(case) / case.width[:, None]
    near = fill(case)
    monkeypatch.setattr("apportion.policies.allocators.gavel_start.SAMPLE", 10**6)
    plain = fill(case)
    assert near is not None and plain is not None
    holds(case, near)
    assert (gain * near).sum(axis=1) == pytest.approx((gain * plain).sum(axis=1), rel=1e-6)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_filling_leaves_nobody_who_could_have_more_without_taking_from_one_with_less(seed: int) -> None:
    case = case_of(seed)
    gain = fairness_rows(case)
    x = fill(case)
    assert x is not None
    level = (gain * x).sum(axis=1)
    rows, limit = rows_of(case)
    for m in range(level.size):
        # those with less keep it, those with more keep at least as much as m has: how far can m go? (what little they
        # may lose for rounding can be worth thousands of times as much to m)
        keep = np.flatnonzero(np.arange(level.size) != m)
        floors = np.zeros((keep.size, gain.size))
        for r, k in enumerate(keep):
            floors[r, k * 3 : k * 3 + 3] = -gain[k]
        cost = np.zeros(gain.size)
        cost[m * 3 : m * 3 + 3] = -gain[m]
        found = linprog(cost, np.vstack([rows, floors]), np.r_[limit, -np.minimum(level[keep], level[m]) * (1 - 1e-8)])
        assert -found.fun <= level[m] * (1 + 2e-3) + 1e-6


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_makespan(seed: int) -> None:
    case = case_of(seed)
    left = np.random.default_rng(seed).uniform(1e3, 1e5, len(case.width))
    best = 1 / best_of(case, case.speed / left[:, None], np.zeros(len(left)))
    for search, within in ((programs.makespan, 1.0001), (programs.makespan_by_halves, 1.0501)):
        x = search(case, left)
        assert x is not None
        holds(case, x)
        assert best * 0.9999 <= (left / (case.speed * x).sum(axis=1)).max() <= best * within


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_finish_time_fairness_cannot_be_bettered(seed: int) -> None:
    case = case_of(seed)
    rng = np.random.default_rng(seed)
    n = len(case.width)
    left, elapsed, alone = rng.uniform(1e3, 1e4, n), rng.uniform(0, 1e3, n), rng.uniform(1e3, 1e4, n)
    x = programs.finish_time(case, left, elapsed, alone)
    assert x is not None
    holds(case, x)
    rho = ((elapsed + left / (case.speed * x).sum(axis=1)) / alone).max()
    smaller = rho * 0.999 * alone - elapsed
    if (smaller > 0).all():
        assert best_of(case, case.speed / (left / smaller)[:, None], np.zeros(n)) < 1.0


def worst(case: Case, times: tuple[F8, F8, F8], x: F8) -> float:
    left, elapsed, alone = times
    return float(((elapsed + left / (case.speed * x).sum(axis=1)) / alone).max())


def times_of(seed: int, n: int) -> tuple[F8, F8, F8]:
    rng = np.random.default_rng(seed)
    return rng.uniform(1e3, 1e4, n), rng.uniform(0, 1e3, n), rng.uniform(1e3, 1e4, n)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_finish_times_on_one_model_are_those_of_a_program(seed: int) -> None:
    """A second model that nobody can use makes no difference, but is no longer seen through at once."""
    case = case_of(seed, models=1)
    case = replace(case, capacity=case.capacity / 2)
    n = len(case.width)
    two = replace(case, speed=np.hstack([case.speed, np.zeros((n, 1))]), capacity=np.append(case.capacity, 1.0))
    times = times_of(seed, n)
    one, other = programs.finish_time(case, *times), programs.finish_time(two, *times)
    assert one is not None and other is not None
    holds(case, one)
    assert worst(case, times, one) == pytest.approx(worst(two, times, other), rel=2e-4)
    assert one.sum() == pytest.approx(other[:, 0].sum(), rel=1e-2)


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_finish_times_of_many_jobs_cannot_be_bettered(share: float) -> None:
    """So many that the search begins at what a sample says; by halving rho with another solver."""
    case = case_of(7, 320)
    case = replace(case, capacity=case.capacity * 20 * share)
    times = left, elapsed, alone = times_of(7, 320)
    x = programs.finish_time(case, *times)
    assert x is not None
    holds(case, x)
    found = worst(case, times, x)
    at_best = float(((elapsed + left / case.speed.max(axis=1)) / alone).max())
    assert found >= at_best * (1 - 1e-6)
    if found > at_best * (1 + 1e-6):
        needs = left / (found * (1 - 2e-4) * alone - elapsed)
        rows, limit = rows_of(case)
        levels = np.zeros((320, case.speed.size))
        for m, row in enumerate(case.speed):
            levels[m, m * row.size : (m + 1) * row.size] = -row
        assert linprog(np.zeros(levels.shape[1]), np.vstack([rows, levels]), np.r_[limit, -needs]).status == 2


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_throughput_and_deadlines(seed: int) -> None:
    case = case_of(seed)
    n = len(case.width)
    rows, limit = rows_of(case)
    found = linprog(-case.speed.ravel(), rows, limit)
    x = programs.throughput(case, np.ones(3), np.zeros(n))
    assert x is not None
    holds(case, x)
    assert (case.speed * x).sum() == pytest.approx(-found.fun, rel=1e-6)
    # what an even split reaches can be asked for, and is kept; what nobody can reach is dropped
    least = 0.5 * (case.speed * programs.even(case.width, case.capacity)).sum(axis=1)
    kept = programs.throughput(case, np.ones(3), least)
    assert kept is not None and ((case.speed * kept).sum(axis=1) >= least * (1 - 1e-6)).all()
    dropped = programs.throughput(case, np.ones(3), np.full(n, 1e6))
    assert dropped is not None and (case.speed * dropped).sum() == pytest.approx(-found.fun, rel=1e-6)


def test_a_cheaper_model_is_used_more() -> None:
    case = Case(np.ones((4, 2)), np.ones(4), np.array([2.0, 2.0]), np.ones(4), np.ones(4))
    one = Case(case.speed[:1], case.width[:1], case.capacity, np.ones(1), np.ones(1))
    x = programs.throughput(one, np.array([3.0, 1.0]), np.zeros(1))
    assert x is not None
    np.testing.assert_allclose(x, [[0.0, 1.0]], atol=1e-9)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_nobody_gains_by_a_lie(seed: int) -> None:
    case = case_of(seed, jobs=int(np.random.default_rng(seed).integers(2, 6)))
    rng = np.random.default_rng(seed + 1)
    honest = truthful(case.speed, case.width, case.capacity, case.weight)
    holds(case, honest)
    for _ in range(3):
        m = int(rng.integers(len(case.width)))
        told = case.speed.copy()
        told[m] *= rng.uniform(0.1, 5.0, 3)
        lie = truthful(told, case.width, case.capacity, case.weight)
        assert case.speed[m] @ lie[m] <= case.speed[m] @ honest[m] * (1 + 1e-5)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_the_geometric_mean_is_largest(seed: int) -> None:
    case = case_of(seed, jobs=3, models=2)
    x = nash(case.speed, case.width, case.capacity, case.weight)
    holds(case, x)
    rows, limit = rows_of(case)

    def value(flat: F8) -> float:
        t = (case.speed * flat.reshape(3, 2)).sum(axis=1)
        return -float((case.weight * np.log(np.maximum(t, 1e-12))).sum())

    start = np.minimum(0.3 / case.width[:, None], 0.3) * np.ones((3, 2))
    inside = {"type": "ineq", "fun": lambda flat: limit - rows @ flat}
    other = minimize(value, start.ravel(), bounds=[(1e-9, 1)] * 6, constraints=[inside], method="SLSQP")
    assert value(x.ravel()) <= other.fun + 1e-5


def test_a_users_weight_is_split_over_his_jobs() -> None:
    case = Case(np.ones((4, 1)), np.ones(4), np.array([1.0]), np.ones(4), np.ones(4))
    owner = np.array([0, 0, 0, 1])
    fair = fill(case, owner)
    assert fair is not None
    np.testing.assert_allclose(fair[:, 0], [1 / 6, 1 / 6, 1 / 6, 1 / 2], atol=1e-6)
    first = fill(case, owner, first=True)
    assert first is not None
    np.testing.assert_allclose(first[:, 0], [1 / 2, 0, 0, 1 / 2], atol=1e-6)
    # what one cannot use goes to the others
    wide = Case(np.ones((4, 1)), np.ones(4), np.array([3.0]), np.ones(4), np.ones(4))
    shared = fill(wide, owner)
    assert shared is not None
    np.testing.assert_allclose(shared[:, 0], [2 / 3, 2 / 3, 2 / 3, 1.0], atol=1e-6)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_no_gpu_idles_while_somebody_waits_who_fits(seed: int) -> None:
    case = case_of(seed)
    n = len(case.width)
    turns = Turns(n, 3, 360.0)
    x = fill(case)
    assert x is not None
    turns.reset(0.0, np.arange(n), Shares(x))
    picked = turns.pick(np.arange(n), case.width, case.speed, case.capacity)
    free = case.capacity.copy()
    for i, beside, model in picked:
        assert beside == -1
        free[model] -= case.width[i]
    waits = np.setdiff1d(np.arange(n), [i for i, _, _ in picked])
    assert (free >= 0).all()
    assert not ((case.width[waits][:, None] <= free) & (case.speed[waits] > 0)).any()


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_a_solve_that_begins_where_the_last_ended_ends_as_well(seed: int) -> None:
    case = case_of(seed, jobs=12)
    memory: dict[bytes, np.ndarray] = {}
    for keep in (np.arange(0, 9), np.arange(2, 12)):
        part = Case(
            case.speed[keep], case.width[keep], case.capacity, np.ones(keep.size), case.weight[keep],
            names=tuple(i.tobytes() for i in keep), memory=memory,
        )  # fmt: skip
        x = programs.max_min(part)
        assert x is not None
        gain = fairness_rows(part)
        assert (gain * x).sum(axis=1).min() == pytest.approx(best_of(part, gain, np.zeros(keep.size)), rel=1e-5)


@pytest.mark.parametrize(
    "policy",
    [
        "gavel", "gavel[filling=no]", "gavel[aware=no]", "gavel[parts=3]", "gavel[owner=user]",
        "gavel[owner=group,inside=fifo]", "gavel[objective=makespan]", "gavel[objective=makespan,released=yes]",
        "gavel[objective=ftf]", "gavel[objective=throughput,deadlines=yes]", "gavel[objective=truthful]",
        "gavel[objective=fifo]", "gavel[objective=fifo,aware=no]", "gavel[objective=isolated]",
        "gavel[objective=proportional]", "gavel[objective=cost,prices=V100:3/P100:1]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("rules", [None, "gavel"])
def test_every_objective_finishes_every_job(policy: str, rules: str | None) -> None:
    trace = ap.load("synthetic:philly?jobs=60&seed=3")
    cluster = ap.parse_cluster("4x8:V100+4x8:P100")
    result = ap.simulate(trace.workload, cluster, policy, rules=rules, check=True)
    assert result.summary()["completed"] + result.summary()["rejected"] == 60


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("objective=fair", "max-min"),
        ("solver=cplex", "highs or ecos"),
        ("objective=fifo,solver=ecos", "solver=ecos"),
        ("deadlines=yes", "throughput or cost"),
        ("owner=user,filling=no", "filling"),
        ("objective=cost", "prices=MODEL:USD"),
        ("objective=cost,prices=V100:0", "above 0"),
        ("parts=0", "at least 1"),
    ],
)
def test_wrong_parameters_say_what_is_right(text: str, says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        parse_policy(f"gavel[{text}]")


def test_with_nothing_to_run_the_next_shares_do_not_wait() -> None:
    rows = {"job_id": ["a", "b", "c"], "submit_s": [0.0] * 3, "duration_s": [100.0] * 3, "gpus": [8] * 3}
    workload = ap.Workload.of(pl.DataFrame(rows))
    result = ap.simulate(workload, ap.parse_cluster("1x8:V100"), "gavel[objective=fifo]", rules="gavel")
    assert result.jobs["end_s"].to_list() == [100.0, 200.0, 300.0]
