"""Pairs of jobs on the same GPUs: what programs say of them against a solver that sees every pair, and how they run."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import apportion as ap
from apportion.engine.pairs import Pairs
from apportion.model.errors import PolicyError
from apportion.model.profiles import ALONE, PAIRS, Profiles
from apportion.policies.allocators.gavel import Gavel
from apportion.policies.allocators.gavel_fifo import pack
from apportion.policies.allocators.gavel_packed import deal
from apportion.policies.registry import parse_policy

TYPES = ("a", "b", "c")
MODELS = ("V100", "K80")


def profiles(rng: np.random.Generator, widths: tuple[int, ...] = (1, 2)) -> Profiles:
    """Speeds of three types of job; some pairs go well together, some do not go at all."""
    alone, pairs = [], []
    for width, gpu in itertools.product(widths, MODELS):
        speed = rng.uniform(1, 10, len(TYPES))
        alone += [(gpu, name, width, float(s)) for name, s in zip(TYPES, speed, strict=True)]
        for (i, one), (k, other) in itertools.combinations_with_replacement(enumerate(TYPES), 2):
            kept = rng.uniform(0.3, 1.0, 2) * (rng.random() < 0.8)
            kept = kept if i != k else np.full(2, kept[0])
            pairs.append((gpu, one, other, width, kept[0] * speed[i], kept[1] * speed[k]))
            if i != k:
                pairs.append((gpu, other, one, width, kept[1] * speed[k], kept[0] * speed[i]))
    return Profiles(pl.DataFrame(alone, schema=ALONE, orient="row"), pl.DataFrame(pairs, schema=PAIRS, orient="row"))


def workload(rng: np.random.Generator, jobs: int) -> ap.Workload:
    known = profiles(rng)
    names, widths = rng.choice(TYPES, jobs).tolist(), rng.choice([1, 1, 2], jobs).tolist()
    speed = known.speeds(names, widths, MODELS)[:, 0]
    seconds = rng.uniform(500, 20_000, jobs)
    table = pl.DataFrame(
        {
            "job_id": [str(i) for i in range(jobs)],
            "submit_s": np.sort(rng.uniform(0, 5_000, jobs)),
            "gpus": widths,
            "duration_s": seconds,
            "profile": names,
            "job_type": names,
            "total_steps": np.maximum(1, seconds * speed).astype(int),
            "steps_per_s": speed,
        }
    )
    return ap.Workload.of(table, name="pairs", profiles=known)


CLUSTER = "2x2:V100+1x4:K80"
POLICIES = (
    "gandiva",
    "gavel[packed=yes]",
    "gavel[packed=yes,filling=no]",
    "gavel[packed=yes,owner=user]",
    "gavel[packed=yes,parts=2]",
    "gavel[objective=makespan,packed=yes]",
    "gavel[objective=ftf,packed=yes]",
    "gavel[objective=throughput,packed=yes]",
    "gavel[objective=cost,prices=V100:3/K80:1,packed=yes]",
    "gavel[objective=fifo,packed=yes]",
)


@pytest.mark.parametrize("rules", [None, "gavel"])
@pytest.mark.parametrize("policy", POLICIES)
def test_everyone_ends_and_no_gpu_is_given_to_three(policy: str, rules: str | None) -> None:
    work = workload(np.random.default_rng(3), 30)
    result = ap.simulate(work, ap.parse_cluster(CLUSTER), policy, rules=rules, check=True)
    assert result.summary()["completed"] == 30
    runs = result.placements.filter(pl.col("end_s") > pl.col("start_s"))
    guests = runs.filter(pl.col("gpus") == 0)
    for start, end, node, devices in guests.select("start_s", "end_s", "node", "devices").iter_rows():
        # whoever stands beside another shares all of its devices, and with nobody else
        there = runs.filter(pl.col("node") == node, pl.col("start_s") <= start, pl.col("end_s") > start)
        hosts = there.filter(pl.col("gpus") > 0, pl.col("devices") == devices)
        assert hosts.height == 1
        assert there.filter(pl.col("gpus") == 0, pl.col("devices") == devices).height == 1
        assert hosts["end_s"][0] >= end or rules == "gavel"


def test_work_is_what_the_speeds_say() -> None:
    """Two jobs share a GPU from the beginning; when one is done the other goes on alone, at once."""
    known = Profiles(
        pl.DataFrame([("V100", "a", 1, 10.0), ("V100", "b", 1, 4.0)], schema=ALONE, orient="row"),
        pl.DataFrame([("V100", "a", "b", 1, 8.0, 3.0), ("V100", "b", "a", 1, 3.0, 8.0)], schema=PAIRS, orient="row"),
    )
    table = pl.DataFrame(
        {
            "job_id": ["0", "1"],
            "submit_s": [0.0, 0.0],
            "gpus": [1, 1],
            "duration_s": [100.0, 250.0],
            "profile": ["a", "b"],
            "job_type": ["a", "b"],
            "total_steps": [1000, 1000],
            "steps_per_s": [10.0, 4.0],
        }
    )
    for order in ([0, 1], [1, 0]):
        work = ap.Workload.of(table[order], name="two", profiles=known)
        result = ap.simulate(work, ap.parse_cluster("1x1:V100"), "gavel[packed=yes]", check=True)
        ends = dict(result.jobs.select("job_id", "end_s").iter_rows())
        assert ends["0"] == pytest.approx(125.0)
        assert ends["1"] == pytest.approx(125.0 + (1000 - 375) / 4.0)
        assert result.jobs["preemptions"].sum() == 0
        held = (result.placements["gpus"] * (result.placements["end_s"] - result.placements["start_s"])).sum()
        assert held == pytest.approx(ends["1"])


def best_max_min(work: ap.Workload, capacity: dict[str, int]) -> float:
    """Return the level of max-min over every single pair of jobs."""
    assert work.profiles is not None
    table, jobs = work.table, len(work)
    names, width = table["profile"].to_list(), table["gpus"].to_numpy()
    alone = work.profiles.speeds(names, width.tolist(), MODELS)
    kind, beside = work.profiles.beside(names, width.tolist(), MODELS)
    combos = [(i, -1) for i in range(jobs)]
    combos += [(i, k) for i, k in itertools.combinations(range(jobs), 2) if width[i] == width[k]]
    room = np.array([capacity[m] for m in MODELS], float)
    equal = alone @ (room / room.sum())
    columns = len(combos) * len(MODELS)
    level, time = np.zeros((jobs, columns + 1)), np.zeros((jobs, columns + 1))
    used = np.zeros((len(MODELS), columns + 1))
    level[:, -1] = 1.0
    for c, ((i, k), m) in enumerate(itertools.product(combos, range(len(MODELS)))):
        used[m, c] = width[i]
        speeds = (alone[i, m],) if k < 0 else beside[kind[i], kind[k], m]
        for job, speed in zip((i, k), speeds):
            time[job, c] = 1.0
            # who would stand still in a pair is not in it
            level[job, c] = -speed * width[job] / equal[job] if min(speeds) > 0 else 0.0
    found = linprog(
        np.append(np.zeros(columns), -1.0),
        np.vstack([level, time, used]),
        np.concatenate([np.zeros(jobs), np.ones(jobs), room]),
        bounds=[(0, None)] * columns + [(None, None)],
    )
    return float(-found.fun)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9))
def test_a_variable_for_each_kind_is_as_good_as_one_for_each_pair(seed: int, jobs: int) -> None:
    work = workload(np.random.default_rng(seed), jobs)
    table = work.table.with_columns(submit_s=pl.lit(0.0))
    work = ap.Workload.of(table, name="pairs", profiles=work.profiles)
    seen = {}

    class Watching(Gavel):
        def decide(self, view):  # type: ignore[no-untyped-def]
            shares = super().decide(view)
            if not seen:
                seen["view"], seen["shares"] = view, shares
            return shares

    for filling in (False, True):
        seen.clear()
        policy = replace(parse_policy("gavel[packed=yes]"), order=Watching(packed=True, filling=filling))
        ap.simulate(work, ap.parse_cluster("1x2:V100+1x2:K80"), policy)
        view, shares = seen["view"], seen["shares"]
        whole = shares.whole
        width = view.gpus
        used = (shares.share * width[:, None]).sum(axis=0)
        got = (shares.share * view.speed).sum(axis=1)
        for (i, k), time in zip(shares.pairs.tolist(), shares.together, strict=True):
            assert i < k
            assert width[i] == width[k]
            used = used + time * width[i]
            both = view.beside[view.kind[i], view.kind[k]]
            got[i] += both[:, 0] @ time
            got[k] += both[:, 1] @ time
        assert (used <= view.capacity + 1e-6).all()
        assert (whole.sum(axis=1) <= 1 + 1e-6).all()
        equal = view.speed @ (view.capacity / view.capacity.sum())
        best = best_max_min(work, {"V100": 2, "K80": 2})
        assert (got * width / equal).min() == pytest.approx(best, rel=1e-4)


@given(st.integers(1, 9), st.floats(0.01, 1.0))
def test_time_among_jobs_of_one_kind_is_dealt_evenly(jobs: int, time: float) -> None:
    if jobs == 1:
        return
    pairs, together = deal(np.full((jobs, 1), time), np.zeros(jobs, int), np.zeros((jobs, 1), int), 1)
    got = np.zeros(jobs)
    for side in (0, 1):
        np.add.at(got, pairs[:, side], together[:, 0])
    assert got == pytest.approx(np.full(jobs, time))


def test_pairs_come_and_go_in_order_of_age() -> None:
    pairs = Pairs(1, 180.0)
    pairs.meet(np.array([0, 1, 2]), np.array([1.0, 1.0, 2.0]))
    assert list(zip(pairs.older, pairs.younger)) == [(0, 1)]
    pairs.meet(np.array([0, 2, 3, 4]), np.array([1.0, 2.0, 1.0, 2.0]))
    assert list(zip(pairs.older, pairs.younger)) == [(0, 3), (2, 4)]
    # what is new was given no share and no time yet, and is owed half a round
    assert np.isnan(pairs.share).all()
    pairs.reset(360.0, np.array([[2, 4]]), np.array([[0.5]]))
    assert pairs.deficit[:, 0].tolist() == [180.0, 180.0]
    assert pairs.share[:, 0].tolist() == [0.0, 0.5]


def test_packing_in_order_of_arrival_holds_the_line() -> None:
    x = np.array([[1.0], [1.0], [0.0], [0.0]])
    speed, width = np.full((4, 1), 10.0), np.array([1.0, 1.0, 1.0, 1.0])
    beside = np.zeros((2, 2, 1, 2))
    beside[1, 0] = beside[0, 1] = 8.0
    # the third finds the first, and the fourth finds nobody that pays
    alone, pairs, together = pack(x, speed, width, np.array([0, 0, 1, 0]), beside)
    assert pairs.tolist() == [[0, 2]]
    assert together.tolist() == [[1.0]]
    assert alone[:, 0].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_without_speeds_of_pairs_nobody_shares() -> None:
    trace = ap.load("synthetic:philly?jobs=60&seed=1")
    with pytest.raises(PolicyError, match="speeds of jobs that share GPUs"):
        ap.simulate(trace.workload, trace.cluster, "gavel[packed=yes]")
    result = ap.simulate(trace.workload, ap.parse_cluster("2x8"), "gandiva", check=True)
    assert result.summary()["completed"] + result.summary()["rejected"] == 60
    assert (result.placements["gpus"] > 0).all()


@pytest.mark.parametrize("policy", ["gavel[packed=yes,aware=no]", "gavel[objective=truthful,packed=yes]"])
def test_what_cannot_be_packed(policy: str) -> None:
    with pytest.raises(PolicyError, match="packed=yes"):
        parse_policy(policy)
