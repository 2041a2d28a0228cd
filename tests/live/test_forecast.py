"""When a job starts: exact where nothing is left to chance, later never with more nodes, honest after calibration."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import busy_run, nodes, running, situation, waiting

import apportion as ap
from apportion.engine.layout import EASY, SKIP, STRICT
from apportion.live.changes import parse_change
from apportion.live.forecast import predict_start, predict_starts, quantiles_of
from apportion.live.futures import Futures
from apportion.live.situation import PENDING
from apportion.model.errors import InputError
from apportion.policies.registry import parse_policy
from apportion.predict.arrivals import DAY_S, Arrivals
from apportion.predict.calibration import Calibration, level_of, read_off
from apportion.predict.run_time import RunTimes
from apportion.study.simulate import BACKFILL
from apportion.study.situation_at import history_at, situation_at


def regular(jobs: int, seed: int) -> ap.Workload:
    """Return jobs of three kinds, all of a kind of the same length."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 3, jobs)
    table = pl.DataFrame(
        {
            "submit_s": np.sort(random.integers(0, 20 * jobs, jobs)).astype(float),
            "gpus": np.array([1, 2, 4])[kind],
            "duration_s": np.array([60.0, 100.0, 250.0])[kind],
            "user": np.array(["a", "b", "c"])[kind],
        }
    )
    return ap.Workload.of(table.with_columns(estimate_s="duration_s"))


ORDERED = ["fifo", "sjf[on=estimate]+best-fit", "smallest"]
"""Orders whose first job keeps its place, so that EASY can make a reservation for it."""


@pytest.mark.parametrize(
    ("policy", "backfill"),
    [(policy, "skip") for policy in [*ORDERED, "fair", "srtf", "las[quantum=30]"]]
    + [(policy, "easy") for policy in ORDERED],
)
def test_known_run_times_give_the_simulators_own_start(policy: str, backfill: str) -> None:
    workload = regular(300, 3)
    submitted = 3000.0
    known = ap.Workload(workload.table.filter(pl.col("submit_s") <= submitted))
    result = ap.simulate(known, ap.parse_cluster("1x8"), policy, backfill=backfill)
    at = situation_at(result, submitted)
    jobs = at.jobs.filter(pl.col("state") == PENDING)["job_id"].to_list()[:12]
    assert jobs
    found = predict_starts(
        at, parse_policy(policy), jobs, history_at(result, submitted), draws=3, arrivals=False,
        backfill=BACKFILL[backfill], run_times=RunTimes(doubt=0.0),
    )  # fmt: skip
    for forecast in found:
        job = result.jobs.row(by_predicate=pl.col("job_id") == forecast.job_id, named=True)
        if job["preemptions"]:
            continue  # the table holds its very first start
        assert forecast.waits_s == pytest.approx(np.full(3, job["start_s"] - submitted), abs=1e-6)
        assert list(forecast.quantiles.values()) == pytest.approx([job["start_s"] - submitted] * 3, abs=1e-6)


def test_more_nodes_do_not_start_jobs_later_on_average() -> None:
    result = busy_run(1500, 5)
    time = float(result.workload.table["submit_s"][1400])
    at = situation_at(result, time)
    jobs = at.jobs.filter(pl.col("state") == PENDING)["job_id"].to_list()
    policy = parse_policy("fifo")
    means = []
    for more in (None, "+4x8", "+16x8"):
        changed = parse_change(more, at).apply(at) if more else at
        futures = Futures.of(at, history_at(result, time), draws=10)
        found = predict_starts(changed, policy, jobs, futures=futures)
        means.append(np.mean([np.minimum(f.waits_s, 30 * DAY_S).mean() for f in found]))
    assert means[0] >= means[1] >= means[2]


def test_requests_running_jobs_and_jobs_that_never_fit() -> None:
    at = situation(nodes({"gpus": 8}), [running("a", 6, "n0"), waiting("x", 4)])
    policy = parse_policy("fifo")
    assert predict_start(at, policy, {"gpus": 2}, draws=3).waits_s.tolist() == [0, 0, 0]
    assert predict_start(at, policy, {"gpus": 2}, draws=3, backfill=STRICT).waits_s[0] > 0
    assert predict_start(at, policy, "a").state == "running"
    never = predict_start(at, policy, {"gpus": 2, "gpu_models": ["T4"]}, draws=3)
    assert never.impossible and np.isinf(list(never.quantiles.values())).all()
    assert never.summary()["wait_s"]["p50"] is None
    json.dumps(never.summary())
    for wrong, told in (
        ({"gpu": 2}, "did you mean 'gpus'"),
        ({"gpus": "many"}, "request: found"),
        ({"gpus": -1}, "expected at least 0"),
        ("y", "found no job 'y'"),
    ):
        with pytest.raises(InputError, match=told):
            predict_start(at, policy, wrong, draws=1)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_answer() -> None:
    at = situation(nodes({"gpus": 8}), [running("a", 6, "n0"), waiting("x", 4), waiting("y", 8)])
    first, second = (predict_start(at, parse_policy("sjf"), "y", draws=5, seed=7).waits_s for _ in range(2))
    assert first.tolist() == second.tolist()
    assert first.tolist() != predict_start(at, parse_policy("sjf"), "y", draws=5, seed=8).waits_s.tolist()


def test_predictions_cover_the_truth_after_calibration() -> None:
    """A small cousin of `bench.predict_coverage`, whose figures the documents quote."""
    result = busy_run(4000, 2)
    end = float(result.workload.table["submit_s"][-1])
    asked = result.jobs.filter((pl.col("wait_s") > 300) & pl.col("submit_s").is_between(0.4 * end, 0.9 * end))
    asked = asked.sample(min(100, asked.height), seed=1).sort("submit_s")
    pairs = []
    for number, (job, submit, start) in enumerate(asked.select("job_id", "submit_s", "start_s").iter_rows()):
        now = submit + 0.3 * (start - submit)
        at = situation_at(result, now)
        found = predict_start(at, parse_policy("fifo"), job, history_at(result, now), draws=16, seed=number)
        pairs.append((found.waits_s, start - now))
    learnt, tested = Calibration.fit(pairs[::2]), pairs[1::2]
    inside = np.mean([low <= actual <= high for (waits, actual) in tested
                      for low, high in [learnt.quantiles(waits, (0.1, 0.9))]])  # fmt: skip
    assert 0.65 <= inside <= 0.95


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=20, unique=True), st.floats(-2, 3))
def test_levels_and_waits_are_inverse(waits: list[float], level: float) -> None:
    ordered = np.sort(np.array(waits))
    wait = float(read_off(ordered, [level])[0])
    again = float(read_off(ordered, [level_of(ordered, wait)])[0])
    assert again == pytest.approx(wait, rel=1e-6, abs=1e-3)


def test_calibration_of_biased_predictions() -> None:
    random = np.random.default_rng(0)
    pairs = [(random.lognormal(8, 0.3, 50), random.lognormal(9, 1.0)) for _ in range(2000)]
    learnt = Calibration.from_dict(json.loads(json.dumps(Calibration.fit(pairs[:1000]).to_dict())))
    inside = [low <= actual <= high for waits, actual in pairs[1000:]
              for low, high in [learnt.quantiles(waits, (0.1, 0.9))]]  # fmt: skip
    assert 0.76 <= np.mean(inside) <= 0.84
    with pytest.raises(InputError, match="calibration"):
        Calibration.from_dict({})


def test_quantiles_of_waits_that_may_be_infinite() -> None:
    waits = np.array([1.0, 2.0, 3.0, np.inf, np.inf])
    assert quantiles_of(waits, [0.25, 0.5, 0.6, 0.9]).tolist() == [2.0, 3.0, np.inf, np.inf]


def test_arrivals_keep_their_rate_and_hours() -> None:
    # by day a job a minute, by night none
    minutes = np.arange(0, 10 * 1440)
    submit = minutes[(minutes % 1440) < 720] * 60.0
    arrivals = Arrivals(submit, 0.0, 10 * DAY_S)
    rows, at = arrivals.draw((1,), 12 * DAY_S)
    assert np.all(np.diff(at) >= 0) and at.min() > 10 * DAY_S and at.max() < 12 * DAY_S
    assert np.all(at % DAY_S < DAY_S / 2)
    assert abs(at.size - 2 * 720) <= 4
    sooner, _ = arrivals.draw((1,), 11 * DAY_S)
    assert sooner.tolist() == rows[: sooner.size].tolist()


def test_run_times_are_drawn_from_those_that_ran_longer() -> None:
    history = pl.DataFrame({"user": ["a"] * 50 + ["b"] * 50, "duration_s": [100.0] * 50 + [900.0] * 50})
    jobs = pl.DataFrame({"user": ["a", "a", "b", "c"]})
    times = RunTimes(levels=(("user",), ()), doubt=1.0)
    drawn = times.sampler(history, jobs, np.array([0.0, 200.0, 0.0, 1000.0]))
    random = np.random.default_rng(1)
    values = np.array([drawn.draw(random) for _ in range(500)])
    assert np.mean(values[:, 0] == 100.0) > 0.95  # its user's, but for a doubt
    assert np.all(values[:, 1] == 900.0)  # none of its user's ran so long
    assert np.mean(values[:, 2] == 900.0) > 0.95
    assert np.all((values[:, 3] >= 1000.0) & (values[:, 3] <= 3600.0))  # nobody's did


def test_a_moment_of_a_run_is_what_the_run_went_on_from() -> None:
    workload = regular(200, 1)
    for policy, backfill in (("fifo", SKIP), ("srtf", SKIP), ("sjf", EASY)):
        name = {value: key for key, value in BACKFILL.items()}[backfill]
        result = ap.simulate(workload, ap.parse_cluster("1x8"), policy, backfill=name)
        at = situation_at(result, 1500.0, truth=True)
        placed = result.placements.filter(
            (pl.col("start_s") <= 1500) & (pl.col("end_s").is_null() | (pl.col("end_s") > 1500))
        )
        assert at.count("running") == placed["job"].n_unique()
        assert at.count("ended") == int((result.jobs["end_s"] <= 1500).sum())
        assert at.count("running") + at.count("pending") + at.count("ended") == int(
            (workload.table["submit_s"] <= 1500).sum()
        )
