"""AlloX, AFS, Optimus, Themis and Gandiva-fair: their equations on small cases, and what holds on any workload."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apportion as ap
from apportion.engine.scaling import Scaling
from apportion.engine.view import View
from apportion.policies.allocators.allox import matched
from apportion.policies.allocators.auction import Bids, auction
from apportion.policies.allocators.matching import match
from apportion.policies.allocators.tickets import entitled, fill, trade
from apportion.policies.registry import parse_policy
from inputs import real_data

POLICIES = [
    "allox",
    "allox[alpha=0.3]",
    "allox[compat=yes]",
    "afs",
    "optimus",
    "themis[lease=100]",
    "themis[lease=100,form=filter,round=10]",
    "gandiva-fair",
    "gandiva-fair[by=user,trade=yes]",
]
KEEPS_BUSY = ["allox", "afs", "themis[lease=100]"]
"""Those that are asked as soon as a GPU is free, or fill what is left in the same round."""


def view(**changes: Any) -> View:
    """Return what an allocator sees: two jobs of one GPU on four of one model."""
    n = len(changes.get("gpus", [1, 1]))
    given: dict[str, Any] = {
        "now_s": 0.0,
        "jobs": np.arange(n),
        "running": np.zeros(n, bool),
        "gpus": np.ones(n),
        "held": np.zeros(n),
        "submit_s": np.zeros(n),
        "attained_s": np.zeros(n),
        "remaining_s": np.full(n, 100.0),
        "user": np.arange(n),
        "group": np.zeros(n, np.int64),
        "nodes": np.zeros(0),
        "capacity_gpus": 4.0,
        "number": np.arange(n),
        "models": (None,),
        "capacity": np.array([4.0]),
        "speed": np.ones((n, 1)),
        "done": np.zeros(n),
        "weight": np.ones(n),
        "deadline_s": np.full(n, np.inf),
    }
    given |= {name: np.array(value) if isinstance(value, list) else value for name, value in changes.items()}
    given["least"] = np.array(changes.get("least", given["gpus"]), float)
    given["most"] = np.array(changes.get("most", given["gpus"]), float)
    given["left"] = given["remaining_s"]
    return View(**given)


def ask(policy: str, seen: View) -> list[float]:
    """Return the GPUs that a policy gives."""
    return list(parse_policy(policy).order.decide(seen).gpus)  # type: ignore[union-attr]


COSTS = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 9), min_size=6, max_size=6), min_size=n, max_size=n)
)


@settings(deadline=None)
@given(COSTS)
def test_a_matching_is_the_cheapest(rows: list[list[int]]) -> None:
    cost = np.array(rows, float)
    found = match(cost)
    assert len(set(found.tolist())) == len(rows)
    least = min(sum(r[c] for r, c in zip(rows, columns)) for columns in itertools.permutations(range(6), len(rows)))
    assert cost[np.arange(len(rows)), found].sum() == least


def test_allox_minimises_the_sum_of_completion_times_over_models() -> None:
    # A: 10 s on both, B: 2 s on the fast and 8 on the slow one, C: 3 and 12; one GPU of each model
    seen = view(
        gpus=[1, 1, 1],
        remaining_s=[10.0, 8.0, 12.0],
        models=("slow", "fast"),
        capacity=np.ones(2),
        capacity_gpus=2.0,
        speed=np.array([[1, 1], [1, 4], [1, 4]], float),
    )
    # A alone on the slow one, B then C on the fast one: 10 + 2 + 5
    taken, p_s = matched(seen, np.arange(3), np.ones(2))
    assert (taken.tolist(), p_s.tolist()) == ([0, 1, 1], [10, 2, 3])
    decision = parse_policy("allox").order.decide(seen)  # type: ignore[union-attr]
    assert decision.gpus.tolist() == [1, 1, 0]
    assert decision.model.tolist() == [0, 1, -1]


def test_allox_leaves_running_jobs_alone_and_looks_at_the_longest_waiting() -> None:
    running = view(
        gpus=[1, 4, 3], remaining_s=[999.0, 1.0, 5.0], running=[True, False, False], held=[1.0, 0, 0], on=[0, -1, -1]
    )
    assert ask("allox", running) == [1, 0, 3]
    many = view(gpus=[1] * 20, remaining_s=list(np.arange(20.0, 0, -1)))
    # half of twenty, the first ten: of those the four shortest
    assert np.flatnonzero(ask("allox[alpha=0.5]", many)).tolist() == [6, 7, 8, 9]


def test_optimus_gives_each_gpu_where_it_saves_the_most_time() -> None:
    # from 1 to 2 GPUs: 100 s become 50, 30 become 15; then 50 become 33: two more for the first
    seen = view(gpus=[1, 1], least=[1, 1], most=[8, 8], remaining_s=[100.0, 30.0])
    assert ask("optimus", seen) == [3, 1]
    assert ask("optimus", replace(seen, most=np.array([2.0, 8.0]))) == [2, 2]


MIXED = {
    "models": ("slow", "fast"),
    "capacity": np.array([4.0, 2.0]),
    "capacity_gpus": 6.0,
}


@pytest.mark.parametrize("policy", ["afs", "optimus"])
def test_jobs_are_sized_for_the_model_they_get(policy: str) -> None:
    # the first is ten times as fast on the fast model, and gets it: at that speed it has the least to gain
    seen = view(
        gpus=[1, 1], least=[1, 1], most=[8, 8], remaining_s=[100.0, 100.0],
        speed=np.array([[1, 10], [1, 1]], float), **MIXED,
    )  # fmt: skip
    decision = parse_policy(policy).order.decide(seen)  # type: ignore[union-attr]
    assert decision.model[0] == 1
    given = np.bincount(decision.model, decision.gpus, 2)
    assert (given <= seen.capacity).all()
    # no GPU is counted for who cannot have it: both models are full, or all on them are at their most
    assert decision.gpus.sum() == 2 + 4 or decision.model.tolist() == [1, 1]


@pytest.mark.parametrize("policy", ["afs", "optimus"])
def test_who_is_crowded_out_takes_what_is_left_on_another_model(policy: str) -> None:
    # all three run on the fast model only if they must: two fill it, the third finds room on the slow one
    seen = view(gpus=[1, 1, 1], remaining_s=[30.0, 20.0, 10.0], speed=np.array([[1, 2]] * 3, float), **MIXED)
    decision = parse_policy(policy).order.decide(seen)  # type: ignore[union-attr]
    assert decision.gpus.tolist() == [1, 1, 1]
    assert sorted(decision.model.tolist()) == [0, 1, 1]
    # one that no model has GPUs for waits
    wide = replace(seen, gpus=np.array([5.0, 1, 1]), least=np.array([5.0, 1, 1]), most=np.array([5.0, 1, 1]))
    assert parse_policy(policy).order.decide(wide).gpus.tolist() == [0, 1, 1]  # type: ignore[union-attr]


def test_afs_prefers_the_shorter_job_where_speed_grows_in_proportion() -> None:
    seen = view(gpus=[1, 1], least=[1, 1], most=[8, 8], remaining_s=[100.0, 30.0])
    # the shorter first; again, as 1 > 1 does not hold; the longer, as 1 > 1/2; the shorter, as 1/2 > 1/2 does not
    assert ask("afs", seen) == [1, 3]


def test_afs_gives_a_gpu_to_the_longer_job_once_the_shorter_makes_little_of_it() -> None:
    seen = view(gpus=[1, 1], least=[1, 1], most=[8, 8], remaining_s=[100.0, 30.0])
    slow = Scaling(np.ones(2), np.array([0.0, 0.9]), {})
    # the second: p(2) = 2 / 1.9; 0.05 more is less than what a first GPU is worth
    assert ask("afs", replace(seen, scaling=slow)) == [3, 1]


def tournament(seen: View, speed: np.ndarray) -> np.ndarray:
    """Share GPUs out one tournament after the other, every comparison from the speeds, as the paper puts it."""
    left, free, gpus = seen.remaining_s, seen.capacity_gpus, np.zeros(seen.jobs.size)

    def p(j: int, g: float) -> float:
        return 1.0 if g == seen.gpus[j] else float(speed[j, int(g)])

    def step(j: int) -> float:
        return float(seen.least[j]) if gpus[j] == 0 else 1.0

    def beats(a: int, b: int) -> bool:
        if gpus[a] == 0 and gpus[b] == 0:
            return bool(left[a] / p(a, seen.least[a]) < left[b] / p(b, seen.least[b]))
        ends = [left[j] / p(j, gpus[j]) if gpus[j] > 0 else np.inf for j in (a, b)]
        low, high = (a, b) if ends[0] < ends[1] else (b, a)
        now = p(high, gpus[high]) if gpus[high] > 0 else 0.0
        then = p(high, gpus[high] + step(high))
        gain = (p(low, gpus[low] + 1) - p(low, gpus[low])) / p(low, gpus[low])
        return (high if (then - now) / then / step(high) > gain else low) == a

    while True:
        open_to = [j for j in range(gpus.size) if gpus[j] < seen.most[j] and step(j) <= free]
        if not open_to:
            return gpus
        winner = open_to[0]
        for j in open_to[1:]:
            winner = j if beats(j, winner) else winner
        free -= step(winner)
        gpus[winner] += step(winner)


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_afs_holds_the_same_tournaments_from_what_it_keeps_of_each_job(seed: int, elastic: bool) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 25))
    asked = rng.choice([1.0, 2.0, 4.0, 8.0], n)
    grows = rng.random(n) < (0.6 if elastic else 0.0)
    least = np.where(grows, rng.integers(1, 3, n), asked).astype(float)
    most = np.where(grows, least + rng.integers(1, 8, n), asked)
    scaling = Scaling(asked, rng.choice([0.0, 0.1, 0.5], n), {})
    left = rng.integers(1, 8, n) * 10.0
    seen = view(
        gpus=asked, least=least, most=most, remaining_s=left, capacity_gpus=24.0, capacity=[24.0], scaling=scaling
    )
    assert ask("afs", seen) == tournament(seen, scaling.table(seen.jobs, np.arange(26.0))).tolist()


def test_a_job_of_fixed_size_has_its_whole_gang_as_the_first_step_of_optimus() -> None:
    # in the order of submission: the gang of three, then one GPU for the first of those that grow
    fixed = view(gpus=[3, 1, 1], least=[3, 1, 1], most=[3, 4, 4], capacity_gpus=4.0, capacity=[4.0])
    assert ask("optimus", fixed) == [3, 1, 0]
    # a gang that does not fit leaves its GPUs to those after it
    assert ask("optimus", replace(fixed, capacity_gpus=2.0, capacity=np.array([2.0]))) == [0, 1, 1]


def plainly(values: list[list[float]], offer: int) -> float:
    """Return the largest product of values, sizes being 0, 1, 2 ..."""
    found = [
        np.prod([v[g] for v, g in zip(values, sizes)])
        for sizes in itertools.product(*(range(len(v)) for v in values))
        if sum(sizes) <= offer
    ]
    return float(max(found))


BIDS = st.lists(st.lists(st.floats(0.1, 5), min_size=2, max_size=4), min_size=1, max_size=4)


@settings(deadline=None)
@given(BIDS, st.integers(0, 6))
def test_an_auction_is_proportionally_fair_and_winners_pay(bids: list[list[float]], offer: int) -> None:
    options = np.array([len(bid) for bid in bids])
    sizes = np.concatenate([np.arange(n) for n in options])
    won, keeps = auction(Bids(options, sizes, np.concatenate(bids)), offer)
    assert won.sum() <= offer
    value = [bid[g] for bid, g in zip(bids, won)]
    assert np.prod(value) == pytest.approx(plainly(bids, offer))
    for i in range(len(bids)):
        others = [bid for j, bid in enumerate(bids) if j != i]
        rest = np.prod(value) / value[i]
        assert keeps[i] == pytest.approx(min(rest / plainly(others, offer), 1) if others else 1)


def test_themis_serves_the_least_fair_first_and_keeps_leases() -> None:
    # on 4 GPUs: one has waited for long, one runs on a lease that has ended
    policy = parse_policy("themis[lease=100,f=0.5]").order
    first = view(gpus=[4, 4], submit_s=[0.0, 0.0], remaining_s=[500.0, 500.0])
    assert policy.decide(first).gpus.tolist() == [4, 0]  # type: ignore[union-attr]
    later = replace(first, now_s=50.0, running=np.array([True, False]), held=np.array([4.0, 0]), on=np.array([0, -1]))
    later = replace(later, attained_s=np.array([50.0, 0]), remaining_s=np.array([450.0, 500]))
    assert policy.decide(later).gpus.tolist() == [4, 0]  # type: ignore[union-attr]
    over = replace(later, now_s=101.0, attained_s=np.array([101.0, 0]), remaining_s=np.array([399.0, 500]))
    assert policy.decide(over).gpus.tolist() == [0, 4]  # type: ignore[union-attr]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.floats(10, 1000)), min_size=1, max_size=6),
    st.floats(0, 1e6),
    st.floats(0.01, 1),
)
def test_leases_end_together_and_never_early(jobs: list[tuple[int, float]], now_s: float, together: float) -> None:
    gpus, remaining_s = ([float(value[k]) for value in jobs] for k in (0, 1))
    seen = view(gpus=gpus, remaining_s=remaining_s, submit_s=[0.0] * len(jobs), now_s=now_s)
    alone, grouped = (parse_policy(f"themis[lease=100,together={part}]").order for part in (0, together))
    first, second = alone.decide(seen), grouped.decide(seen)  # type: ignore[union-attr]
    assert first.gpus.tolist() == second.gpus.tolist()
    leased = np.flatnonzero(first.gpus)
    longer = grouped._until.of(leased) - alone._until.of(leased)  # type: ignore[union-attr]
    step_s = 100 * together
    assert (longer >= 0).all() and (longer < step_s + 1e-6).all()
    ends = grouped._until.of(leased) / step_s  # type: ignore[union-attr]
    assert ends == pytest.approx(np.round(ends), abs=1e-6)


def test_leases_that_end_close_together_are_auctioned_at_once() -> None:
    trace = ap.load("synthetic:philly?jobs=200&load=1.3&seed=3").workload
    each, grouped = (
        ap.simulate(trace, ap.parse_cluster("pool:32"), f"themis[together={part}]", check=True).summary()
        for part in (0, 0.25)
    )
    assert grouped["rounds"]["count"] < each["rounds"]["count"]
    assert grouped["completed"] == each["completed"] == 200


@settings(deadline=None)
@given(st.lists(st.floats(0, 50), min_size=1, max_size=8), st.floats(0, 100))
def test_equal_parts_are_equal_and_waste_nothing(most: list[float], total: float) -> None:
    got = fill(np.array(most), total)
    assert got.sum() == pytest.approx(min(total, sum(most)))
    short = got[got < np.array(most) - 1e-9]
    assert short.size == 0 or np.allclose(short, got.max())


USERS = st.integers(1, 5).flatmap(
    lambda users: st.integers(1, 4).flatmap(
        lambda models: st.tuples(
            st.lists(st.floats(1, 40), min_size=users, max_size=users),
            st.lists(st.integers(0, 30), min_size=models, max_size=models),
            st.lists(
                st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]), min_size=models, max_size=models),
                min_size=users,
                max_size=users,
            ),
        )
    )
)


@settings(deadline=None)
@given(USERS)
def test_trading_loses_no_gpu_and_makes_nobody_poorer(case: tuple[list[float], list[int], list[list[float]]]) -> None:
    demand, capacity, rows = case
    speed = np.array(rows)
    before = entitled(np.array(demand), np.array(capacity, float))
    after = trade(before, speed)
    assert np.allclose(after.sum(axis=0), before.sum(axis=0))
    assert np.all(after >= -1e-9)
    assert np.all((after * speed).sum(axis=1) >= (before * speed).sum(axis=1) - 1e-9)


def test_the_price_is_what_the_next_bidder_gains() -> None:
    # gains 2, 3 and 5 on the fast model: the first sells one to the last for three slow ones, then 1.5 to the second
    # for its three, at its own gain, as nobody else bids
    after = trade(np.full((3, 2), 3.0), np.array([[1, 2], [1, 3], [1, 5.0]]))
    assert after[:, 1].tolist() == [0.5, 4.5, 4]
    assert after[:, 0].tolist() == [9, 0, 0]


def test_equal_users_get_equal_gpus_however_many_jobs_they_have() -> None:
    seen = view(gpus=[1] * 6, user=[0, 0, 0, 0, 0, 1], capacity_gpus=2.0, capacity=np.array([2.0]))
    share = parse_policy("gandiva-fair[by=user]").order.decide(seen).share  # type: ignore[union-attr]
    assert share[:, 0].tolist() == pytest.approx([0.2] * 5 + [1.0])


JOBS = st.lists(
    st.tuples(
        st.integers(0, 900), st.integers(1, 1500), st.sampled_from([1, 2, 4]), st.booleans(), st.sampled_from("abc")
    ),
    min_size=1,
    max_size=12,
)
CLUSTERS = st.sampled_from(["pool:4", "1x4:V100", "1x4:V100+1x4:K80", "4x1:V100+1x4:K80"])


@settings(deadline=None, max_examples=40)
@given(JOBS, CLUSTERS, st.sampled_from(POLICIES))
def test_everyone_ends_and_no_gpu_is_given_twice(
    rows: list[tuple[int, int, int, bool, str]], cluster: str, policy: str
) -> None:
    frame = pl.DataFrame(
        {
            "submit_s": [float(row[0]) for row in rows],
            "duration_s": [float(row[1]) for row in rows],
            "gpus": [row[2] for row in rows],
            "user": [row[4] for row in rows],
            "min_gpus": [1 if row[3] else None for row in rows],
            "max_gpus": [2 * row[2] if row[3] else None for row in rows],
            "serial_part": [0.1] * len(rows),
        },
        schema_overrides={"min_gpus": pl.Int32, "max_gpus": pl.Int32},
    )
    if cluster.startswith("4x1"):
        # a gang has to fit on the GPUs of one model: here it is one job of several pieces
        frame = frame.with_columns(tasks=pl.col("gpus"), gpus=1, min_gpus=None, max_gpus=None)
    result = ap.simulate(ap.Workload.of(frame), ap.parse_cluster(cluster), policy, check=True)
    assert result.jobs["status"].unique().to_list() == ["completed"]


@settings(deadline=None, max_examples=30)
@given(JOBS, st.sampled_from(KEEPS_BUSY))
def test_no_gpu_idles_at_a_decision_while_somebody_fits(
    rows: list[tuple[int, int, int, bool, str]], policy: str
) -> None:
    frame = pl.DataFrame(
        {
            "submit_s": [float(r[0]) for r in rows],
            "duration_s": [float(r[1]) for r in rows],
            "gpus": [r[2] for r in rows],
        }
    )
    workload = ap.Workload.of(frame)
    chosen = parse_policy(policy)
    inside, seen = chosen.order, []

    class Watched:
        round_s = inside.round_s  # type: ignore[union-attr]
        on_change = getattr(inside, "on_change", False)

        def decide(self, view: View) -> Any:
            decision = inside.decide(view)  # type: ignore[union-attr]
            seen.append((view.gpus.copy(), np.asarray(decision.gpus).copy()))
            return decision

    ap.simulate(workload, ap.parse_cluster("pool:4"), replace(chosen, order=Watched()), check=True)
    for asked, got in seen:
        free = 4 - got.sum()
        assert free >= 0
        assert np.all(asked[got == 0] > free)


def test_allox_as_published_within_a_percent() -> None:
    published = json.loads(real_data("shockwave", "published_120_jobs_32_gpus.json").read_text())["allox"]
    speeds = real_data("shockwave", "tacc_throughputs.json")
    trace = ap.load(f"shockwave:{real_data('shockwave', '120_jobs.trace')}?throughputs={speeds}")
    result = ap.simulate(
        trace.workload, ap.parse_cluster("pool:32"), "allox[alpha=0.2,compat=yes]", rules="shockwave", check=True
    )
    assert np.mean(published["jct_s"]) == pytest.approx(9_926.3, abs=0.05)
    assert result.jobs["jct_s"].mean() == pytest.approx(9_926.3, rel=0.01)
    assert result.jobs["end_s"].max() == pytest.approx(32_489, rel=0.01)


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        ("allox[alpha=0]", "more than 0 and at most 1"),
        ("themis[f=1]", "more than 0 and at most 1"),
        ("themis[form=lottery]", "auction or filter"),
        ("themis[lease=0]", "at least 1"),
        ("themis[together=2]", "0 to 1"),
        ("optimus[round=0]", "at least 1"),
        ("afs[round=0]", "at least 1"),
        ("gandiva-fair[by=group]", "job or user"),
        ("gandiva-fair[trade=yes]", "expected by=user"),
    ],
)
def test_wrong_parameters_are_refused_in_a_line(policy: str, what: str) -> None:
    with pytest.raises(ap.ApportionError, match=what):
        parse_policy(policy)
