"""Jobs with a profile work at the speed of the GPUs they are given, under orders as under allocators."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

import apportion as ap
from apportion.engine.speeds import rates_of, where_it_runs
from apportion.model.profiles import ALONE, Profiles

SPEEDS = Profiles(
    pl.DataFrame(
        [
            ("V100", "net", 1, 10.0),
            ("K80", "net", 1, 2.5),
            ("V100", "net", 4, 30.0),
            ("K80", "net", 4, 15.0),
            ("V100", "large", 1, 5.0),
            ("K80", "large", 1, 0.0),
        ],
        schema=ALONE,
        orient="row",
    )
)


def workload(*jobs: tuple[str | None, int, float, float]) -> ap.Workload:
    """Jobs of (profile, GPUs, seconds on a V100, submission)."""
    known = {("net", 1): 10.0, ("net", 4): 30.0, ("large", 1): 5.0}
    speed = [known.get((name, gpus)) for name, gpus, _, _ in jobs]
    table = pl.DataFrame(
        {
            "job_id": [str(i) for i in range(len(jobs))],
            "submit_s": [submit for *_, submit in jobs],
            "gpus": [gpus for _, gpus, _, _ in jobs],
            "duration_s": [seconds for *_, seconds, _ in jobs],
            "profile": [name for name, *_ in jobs],
            "steps_per_s": speed,
            "total_steps": [s * seconds if s else None for s, (*_, seconds, _) in zip(speed, jobs, strict=True)],
        },
        schema_overrides={"profile": pl.String, "steps_per_s": pl.Float64, "total_steps": pl.Float64},
    )
    return replace(ap.Workload.of(table), profiles=SPEEDS)


def ends(work: ap.Workload, cluster: str, policy: str, **settings: str) -> list[float | None]:
    return ap.simulate(work, ap.parse_cluster(cluster), policy, check=True, **settings).jobs["end_s"].to_list()


@pytest.mark.parametrize(
    "policy", ["fifo", "sjf", "srtf", "las", "fair", "tiresias", "gavel", "gandiva-fair", "allox", "round-robin"]
)
def test_a_job_is_as_fast_as_its_gpus(policy: str) -> None:
    one = workload(("net", 1, 100.0, 0.0))
    assert ends(one, "1x4:V100", policy) == [pytest.approx(100.0)]
    assert ends(one, "1x4:K80", policy) == [pytest.approx(400.0)]
    wide = workload(("net", 4, 100.0, 0.0))
    assert ends(wide, "1x4:K80", policy) == [pytest.approx(200.0)]


@pytest.mark.parametrize("policy", ["fifo", "srtf", "gavel"])
def test_without_a_model_or_a_profile_run_times_hold(policy: str) -> None:
    assert ends(workload(("net", 1, 100.0, 0.0)), "1x4", policy) == [pytest.approx(100.0)]
    assert ends(workload((None, 1, 100.0, 0.0), ("net", 1, 100.0, 0.0)), "1x4:K80", policy) == [
        pytest.approx(100.0),
        pytest.approx(400.0),
    ]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("fifo", [100.0, 150.0]),
        ("sjf+worst-fit", [100.0, 150.0]),
        # the shorter one goes first
        ("srtf", [150.0, 51.0]),
        # the second has its turn when the next round begins
        ("gavel", [100.0, 410.0]),
    ],
)
def test_a_job_does_not_start_where_it_does_not_run(policy: str, expected: list[float]) -> None:
    work = workload(("large", 1, 100.0, 0.0), ("large", 1, 50.0, 1.0))
    assert ends(work, "1x1:V100+1x8:K80", policy) == pytest.approx(expected)
    bound = where_it_runs(work, ["V100", "K80"]).table["gpu_models"].to_list()
    assert bound == [["V100"], ["V100"]]


def test_a_gang_over_two_models_is_as_fast_as_its_slowest_part() -> None:
    work = workload(("net", 4, 100.0, 0.0))
    tasks = ap.Workload.of(work.table.with_columns(gpus=pl.lit(1), tasks=pl.lit(4)))
    # four tasks of one GPU each: the profile is of one GPU
    table = tasks.table.with_columns(steps_per_s=pl.lit(10.0), total_steps=pl.lit(1000.0))
    gang = replace(ap.Workload.of(table), profiles=SPEEDS)
    assert ends(gang, "1x2:V100+1x2:K80", "fifo") == [pytest.approx(400.0)]
    assert ends(gang, "1x4:V100+1x2:K80", "fifo+first-fit") == [pytest.approx(100.0)]


def test_what_was_done_is_kept_when_a_job_moves_to_other_gpus() -> None:
    # the long job begins on the V100, is preempted at 10 by the short one and goes on when that is done
    work = workload(("net", 1, 100.0, 0.0), ("net", 1, 20.0, 10.0))
    assert ends(work, "1x1:V100", "srtf") == [pytest.approx(120.0), pytest.approx(30.0)]


def test_easy_does_not_let_a_slow_run_delay_the_head() -> None:
    # on the K80 the third would run until 421 and hold what the second needs at 100; it must wait
    work = workload(("net", 4, 100.0, 0.0), (None, 5, 50.0, 1.0), ("net", 1, 90.0, 2.0))
    found = ends(work, "1x4:V100+1x1:K80", "fifo", backfill="easy")
    assert found[:2] == [pytest.approx(100.0), pytest.approx(150.0)]


def test_where_all_models_are_alike_nothing_is_kept() -> None:
    work = workload(("net", 1, 100.0, 0.0))
    assert rates_of(work, ["V100"]) is None
    assert rates_of(work, []) is None
    profile, rates = rates_of(work, ["K80", "V100"]) or (None, None)
    assert profile.tolist() == [0]
    assert rates.tolist() == [[0.25, 1.0]]
