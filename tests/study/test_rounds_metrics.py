"""Metrics of runs in rounds against worlds small enough to count by hand, and against sums over all pairs."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.study.rounds_metrics import turns


def play(policy: str, cluster: str, rules: str | None = None, **columns: list[object]) -> ap.Result:
    workload = ap.Workload.of(pl.DataFrame(columns))
    return ap.simulate(workload, ap.parse_cluster(cluster), policy, check=True, rules=rules)


@pytest.fixture(scope="module")
def taking_turns() -> ap.Result:
    """Two jobs of 20 s on one GPU in turns of 10 s: they end after 30 and 40 s."""
    return play("round-robin[quantum=10]", "1x1", submit_s=[0.0, 0.0], duration_s=[20.0, 20.0], gpus=[1, 1])


def test_fairness_by_both_definitions(taking_turns: ap.Result) -> None:
    # two jobs of the trace on one GPU; the second has the system for itself in the last 10 of its 40 s
    assert taking_turns.jobs["ftf"].to_list() == [30 / 40, 40 / 40]
    assert taking_turns.jobs["ftf_contention"].to_list() == pytest.approx([30 / 40, 40 / (20 * 1.75)])
    ftf = taking_turns.summary()["ftf"]
    assert ftf["worst"] == 1.0
    assert ftf["unfair_fraction"] == 0.0
    assert ftf["contention"] == {"worst": pytest.approx(40 / 35), "unfair_fraction": 0.5}


def test_rounds_envy_and_leases(taking_turns: ap.Result) -> None:
    rounds = taking_turns.summary()["rounds"]
    assert rounds["count"] == rounds["decisions"] == 4
    # the first ran in 2 of the 3 rounds of its life, the second in 2 of 4
    assert rounds["envy"] == {"mean": pytest.approx(1 / 6), "max": pytest.approx(1 / 6)}
    assert rounds["lease_extension"] == 0.0
    assert rounds["busy"] == 1.0
    assert rounds["jct_s"]["geometric_mean"] == pytest.approx(math.sqrt(1200))
    assert rounds["jct_s"]["harmonic_mean"] == pytest.approx(2 / (1 / 30 + 1 / 40))


def test_who_goes_on_keeps_its_lease() -> None:
    result = play("round-robin[quantum=10]", "1x1", submit_s=[0.0], duration_s=[35.0], gpus=[1])
    assert result.summary()["rounds"]["count"] == 4
    assert result.summary()["rounds"]["lease_extension"] == 1.0


def test_gpu_models_are_told_apart() -> None:
    rounds = play(
        "round-robin[quantum=100]",
        "1x2:V100+1x2:K80",
        submit_s=[0.0, 0.0],
        duration_s=[10.0, 5.0],
        gpus=[2, 2],
        gpu_models=[["V100"], ["K80"]],
    ).summary()["rounds"]
    assert rounds["busy_by_model"] == {"V100": 1.0, "K80": 0.5}
    assert rounds["busy"] == 0.75


def test_work_in_steps_is_busy_only_while_it_steps() -> None:
    # the round lasts as long as its last job, 360 s; the other is done after 100
    result = play("gandiva-fair", "pool:2", "gavel", submit_s=[0.0, 0.0], duration_s=[100.0, 360.0], gpus=[1, 1])
    assert result.summary()["rounds"]["busy"] == pytest.approx(460 / 720)


@pytest.mark.parametrize("rules", [None, "gavel", "shockwave"])
def test_any_run_against_sums_over_all_pairs(rules: str | None) -> None:
    trace = ap.load("synthetic:philly?jobs=120&load=1.5&seed=4")
    result = ap.simulate(trace.workload, ap.parse_cluster("pool:40"), "gandiva-fair", rules=rules, check=True)
    # one job, whose steps are fewer than its GPUs, is given up under Gavel's rules; it was there all the same
    here = result.jobs.filter((pl.col("gpus") > 0) & (pl.col("status") != "rejected"))
    jobs = here.filter(pl.col("status") == "completed")
    assert here.height - jobs.height == (rules == "gavel")
    start, end, run = (jobs[name].to_numpy() for name in ("submit_s", "end_s", "duration_s"))
    there = here.height / 40
    assert np.allclose(jobs["ftf"].to_numpy(), (end - start) / (run * max(1, there)))
    overlap = np.minimum(end[:, None], here["end_s"].to_numpy()) - np.maximum(
        start[:, None], here["submit_s"].to_numpy()
    )
    mean = overlap.clip(min=0).sum(axis=1) / (end - start)
    assert np.allclose(jobs["ftf_contention"].to_numpy(), (end - start) / (run * np.maximum(1, mean / 40)))
    part = turns(result, np.array(result.facts["rounds"].starts))
    part = part[~np.isnan(part)]
    assert np.all((part >= 0) & (part <= 1))
    differences = np.abs(part[:, None] - part)[np.triu_indices(part.size, 1)]
    envy = result.summary()["rounds"]["envy"]
    assert envy["mean"] == pytest.approx(differences.mean())
    assert envy["max"] == pytest.approx(differences.max())


def test_an_order_has_no_rounds_and_is_measured_by_fairness_beside_an_allocator() -> None:
    trace = ap.load("synthetic:philly?jobs=60&seed=4")
    alone, *beside = (
        ap.compare(trace, ["fifo"]).results[0],
        *ap.compare(trace, ["fifo", "gandiva-fair"]).results,
    )
    assert "ftf" not in alone.jobs.columns
    assert "ftf" not in alone.summary()
    assert all("ftf" in result.summary() for result in beside)
    assert ["rounds" in result.summary() for result in beside] == [False, True]
    assert set(beside[1].summary()["engine"]["decide_s"]) == {"median", "p95", "max"}


def test_a_job_that_did_not_end_has_no_ratio() -> None:
    workload = ap.Workload.of(pl.DataFrame({"submit_s": [0.0, 0.0], "duration_s": [10.0, 900.0], "gpus": [1, 1]}))
    result = ap.simulate(workload, ap.parse_cluster("1x2"), "gandiva-fair", until=100.0, check=True)
    assert result.jobs["ftf"].to_list() == [1.0, None]
    assert result.jobs["ftf_contention"].is_not_null().to_list() == [True, False]
    assert result.summary()["ftf"]["worst"] == 1.0
