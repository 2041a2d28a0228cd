"""Synthetic workloads against the published tables that they are calibrated to."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest

from apportion.model.errors import InputError
from apportion.model.trace import Trace
from apportion.traces.generator.presets import get_preset
from apportion.traces.generator.quantiles import Quantiles
from apportion.traces.generator.split import normal_cdf, normal_quantile, split_by_size
from apportion.traces.registry import load

JOBS = 100_000

# Percent of jobs that run at most 2^k s, k = 0, 2, 3, ... 19: Helios (SC'21) for Venus.
VENUS_CDF = (
    1.9,
    4.1,
    6.4,
    9.6,
    14.8,
    23.2,
    37.6,
    55.1,
    65.1,
    72.9,
    78.5,
    83.7,
    86.9,
    89.6,
    92.3,
    95.4,
    97.5,
    98.9,
)

# Cumulative percent of jobs and of GPU time with at most 1, 2, 4, ... GPUs.
VENUS_SIZES = {
    1: (51.8, 4.6),
    2: (57.4, 8.0),
    4: (64.8, 12.8),
    8: (90.0, 42.1),
    16: (94.1, 58.3),
    32: (97.8, 83.4),
}
PHILLY_SIZES = {1: (93.2, 18.4), 2: (95.4, 22.0), 4: (97.7, 39.9), 8: (99.7, 87.6), 16: (99.9, 97.6)}

# Median, P90 and P99 in seconds of Philly's jobs by size.
PHILLY_QUANTILES = {1: (1153, 8586, 129101), 4: (17226, 183505, 770518), 8: (23392, 316507, 916393)}

# Completed, cancelled, failed in percent of jobs and of GPU time.
STATES = {
    "philly": ((60.4, 9.0, 30.5), (32.1, 29.4, 38.6)),
    "venus": ((52.6, 27.2, 20.2), (51.6, 39.9, 8.5)),
}
NAMES = ("completed", "cancelled", "failed")


@cache
def trace(name: str, seed: int = 0) -> Trace:
    return load(f"synthetic:{name}?jobs={JOBS}&seed={seed}")


def columns(name: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = trace(name, seed).workload.table
    gpus, duration_s = table["gpus"].to_numpy(), table["duration_s"].to_numpy()
    return gpus, duration_s, gpus * duration_s


def offered_load(made: Trace) -> float:
    table = made.workload.table
    span_s = table["submit_s"].max() - table["submit_s"].min()
    assert made.cluster is not None
    return float((table["gpus"] * table["duration_s"]).sum() / (made.cluster.gpus * span_s))


def test_venus_durations_follow_the_published_curve() -> None:
    _, duration_s, _ = columns("venus")
    k = np.array([0, *range(2, 19)])
    below = 100 * np.mean(duration_s[:, None] <= 2.0**k, axis=0)
    assert np.max(np.abs(below - VENUS_CDF)[k >= 3]) < 0.7
    assert np.max(np.abs(below - VENUS_CDF)) < 2.5  # whole seconds: half of the jobs of 1-2 s become 1 s


def test_philly_durations_of_all_jobs_and_by_size() -> None:
    gpus, duration_s, _ = columns("philly")
    assert np.median(duration_s) == pytest.approx(1176, rel=0.05)
    assert np.quantile(duration_s, 0.9) == pytest.approx(11268, rel=0.05)
    assert np.mean(np.log(duration_s)) == pytest.approx(6.79, abs=0.1)
    assert np.std(np.log(duration_s)) == pytest.approx(2.16, abs=0.1)
    for size, published in PHILLY_QUANTILES.items():
        got = np.quantile(duration_s[gpus == size], (0.5, 0.9, 0.99))
        assert got == pytest.approx(published, rel=0.05)


@pytest.mark.parametrize(("name", "published"), [("venus", VENUS_SIZES), ("philly", PHILLY_SIZES)])
def test_demand_mix_and_gpu_time_by_size(name: str, published: dict[int, tuple[float, float]]) -> None:
    gpus, _, gpu_time = columns(name)
    for size, (jobs, time) in published.items():
        assert 100 * np.mean(gpus <= size) == pytest.approx(jobs, abs=0.2)
        assert 100 * np.sum(gpu_time[gpus <= size]) / np.sum(gpu_time) == pytest.approx(time, abs=2.5)


def test_venus_asks_for_as_many_gpus_as_its_submissions() -> None:
    assert np.mean(columns("venus")[0]) == pytest.approx(6.73, rel=0.02)


@pytest.mark.parametrize("name", STATES)
def test_states_by_jobs_and_by_gpu_time(name: str) -> None:
    _, duration_s, gpu_time = columns(name)
    state = trace(name).workload.table["status"].to_numpy()
    for word, jobs, time in zip(NAMES, *STATES[name], strict=True):
        assert 100 * np.mean(state == word) == pytest.approx(jobs, abs=1)
        assert 100 * np.sum(gpu_time[state == word]) / np.sum(gpu_time) == pytest.approx(time, abs=6)
    if name == "venus":
        assert np.median(duration_s[state == "failed"]) < 0.7 * np.median(duration_s[state == "completed"])


def test_venus_large_jobs_are_cancelled() -> None:
    gpus, _, _ = columns("venus")
    cancelled = trace("venus").workload.table["status"].to_numpy() == "cancelled"
    assert np.mean(cancelled[gpus >= 64]) > 2 * np.mean(cancelled[gpus == 1])


@pytest.mark.parametrize(("name", "low", "high"), [("venus", 0.45, 0.75), ("philly", 0.45, 0.75)])
def test_top_five_percent_of_users_hold_most_gpu_time(name: str, low: float, high: float) -> None:
    shares = []
    for seed in range(3):
        table = trace(name, seed).workload.table
        per_user = (
            table.group_by("user")
            .agg(held=(pl.col("gpus") * pl.col("duration_s")).sum())
            .sort("held", descending=True)["held"]
        )
        shares.append(per_user.head(15).sum() / per_user.sum())
    assert low < np.mean(shares) < high


@pytest.mark.parametrize(("name", "published", "mean"), [("venus", 15.4, 4.8), ("philly", 56.7, 6.4)])
def test_ten_minute_counts_are_as_bursty(name: str, published: float, mean: float) -> None:
    ratios = []
    for seed in range(3):
        submit_s = trace(name, seed).workload.table["submit_s"].to_numpy()
        counts = np.bincount((submit_s // 600).astype(np.int64))
        assert np.mean(counts) == pytest.approx(mean, rel=0.02)
        ratios.append(np.var(counts) / np.mean(counts))
    assert published / 1.3 < np.mean(ratios) < published * 1.3


def test_hours_of_the_day_keep_their_weights_at_another_load() -> None:
    wanted = np.array(get_preset("venus").arrivals.hours)
    for made in (trace("venus"), load(f"synthetic:venus?jobs={JOBS}&load=0.5")):
        hour = (made.workload.table["submit_s"].to_numpy() // 3600).astype(np.int64) % 24
        got = np.bincount(hour, minlength=24) / len(hour) * 24
        assert np.corrcoef(got, wanted)[0, 1] > 0.95


def test_groups_have_the_published_shares_of_jobs() -> None:
    table = trace("philly").workload.table
    share = dict(table["group"].value_counts(normalize=True).iter_rows())
    assert share["6214e9"] == pytest.approx(0.50, abs=0.03)
    assert share["11cb48"] == pytest.approx(0.20, abs=0.03)
    assert share["ee9e8c"] == pytest.approx(0.018, abs=0.01)
    assert table.group_by("user").agg(pl.col("group").n_unique())["group"].max() == 1


@pytest.mark.parametrize("name", STATES)
def test_history_of_a_job_name_predicts_its_duration(name: str) -> None:
    table = trace(name).workload.table
    often = pl.len().over("job_name") >= 5
    assert 0.5 < table.select(often.mean()).item() < 0.9
    near = (pl.col("duration_s").median().over("job_name") / pl.col("duration_s") - 1).abs() <= 0.25
    assert 0.7 < table.select(near.filter(often).mean()).item() < 0.9
    same = table.group_by("job_name").agg(pl.col("user").n_unique(), pl.col("gpus").n_unique())
    assert same["user"].max() == 1
    assert same["gpus"].max() == 1


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("target", [0.3, 0.9, 1.5])
def test_offered_load_is_what_was_asked(name: str, target: float) -> None:
    assert offered_load(load(f"synthetic:{name}?jobs=3000&load={target}")) == pytest.approx(target, rel=0.02)


def test_load_moves_the_same_jobs() -> None:
    slow, fast = (load(f"synthetic:philly?jobs=2000&load={x}").workload.table for x in (0.5, 1.0))
    assert sorted(slow["duration_s"]) == sorted(fast["duration_s"])
    assert slow["submit_s"].max() == pytest.approx(2 * fast["submit_s"].max(), rel=0.01)


def test_days_give_the_natural_number_of_jobs_or_what_the_load_needs() -> None:
    made = load("synthetic:philly?days=10")
    assert len(made.workload) == 9230
    assert made.workload.table["submit_s"].max() == pytest.approx(10 * 86400, abs=1)
    loaded = load("synthetic:philly?days=30&load=0.5")
    assert offered_load(loaded) == pytest.approx(0.5, rel=0.02)
    assert loaded.workload.table["submit_s"].max() == pytest.approx(30 * 86400, rel=0.1)


def test_the_demo_has_a_queue_that_drains() -> None:
    made = load("synthetic:philly?jobs=5000&load=0.9")
    assert made.cluster is not None
    table = made.workload.table
    submit_s, gpus = table["submit_s"].to_numpy(), table["gpus"].to_numpy()
    times = np.concatenate([submit_s, submit_s + table["duration_s"].to_numpy()])
    change = np.concatenate([gpus, -gpus])
    order = np.argsort(times, kind="stable")
    wanted = np.cumsum(change[order])[:-1]
    length = np.diff(times[order])
    inside = times[order][:-1] < submit_s.max()
    crowded = np.sum(length[inside & (wanted > made.cluster.gpus)]) / submit_s.max()
    assert 0.05 < crowded < 0.6
    assert wanted[-1] < made.cluster.gpus


@pytest.mark.parametrize("spec", ["philly?jobs=3000&seed=4", "venus?jobs=3000&seed=4&load=0.8&vcs=yes"])
def test_same_seed_same_bytes(spec: str) -> None:
    first, second = load(f"synthetic:{spec}"), load(f"synthetic:{spec}")
    assert first.workload.table.equals(second.workload.table)
    other = load(f"synthetic:{spec.replace('seed=4', 'seed=5')}")
    assert not first.workload.table.equals(other.workload.table)


def test_values_are_whole_seconds_in_order() -> None:
    table = trace("philly").workload.table
    assert table["submit_s"].is_sorted()
    assert table["submit_s"][0] == 0
    for column in ("submit_s", "duration_s"):
        assert (table[column] == table[column].round()).all()
    assert table["duration_s"].min() >= 1
    assert table["estimate_s"].null_count() == JOBS
    assert table["job_id"].n_unique() == JOBS


@pytest.mark.parametrize(("name", "gpus", "nodes"), [("philly", 480, 60), ("venus", 1080, 135)])
def test_cluster_as_one_and_divided(name: str, gpus: int, nodes: int) -> None:
    whole = load(f"synthetic:{name}?jobs=10").cluster
    made = load(f"synthetic:{name}?jobs=20000&vcs=yes")
    assert whole is not None
    assert made.cluster is not None
    assert (whole.gpus, len(whole)) == (made.cluster.gpus, len(made.cluster)) == (gpus, nodes)
    assert whole.table["group"].null_count() == nodes
    room = dict(made.cluster.table.group_by("group").agg(pl.col("gpus").sum()).iter_rows())
    asked = made.workload.table.group_by("group").agg(pl.col("gpus").max())
    assert all(most <= room[group] for group, most in asked.iter_rows())


def test_jobs_larger_than_the_cluster_are_left_out_and_reported() -> None:
    made = load("synthetic:venus?jobs=2000&gpus=36")
    assert made.cluster is not None
    assert made.cluster.table["gpus"].to_list() == [8, 8, 8, 8, 4]
    assert made.workload.table["gpus"].max() == 32
    assert made.report.jobs == 2000
    assert any("64, 96, 128 GPUs" in note for note in made.report.notes)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("venos", ("unknown preset 'venos'", "did you mean 'venus'", "philly, venus")),
        ("", ("expected", "synthetic:philly")),
        ("philly?jobs=0", ("jobs=0", "1 to 100,000,000")),
        ("philly?jobs=many", ("jobs=many", "a number")),
        ("philly?jobs=10&days=2", ("jobs=10 and days=2", "one of them")),
        ("philly?days=-1", ("days=-1", "more than 0")),
        ("philly?days=1e9", ("days=1e+09", "100,000,000 jobs")),
        ("philly?load=0", ("load=0", "0.01 to 100")),
        ("philly?gpus=0", ("gpus=0", "1 to 10,000,000")),
        ("philly?seed=-1", ("seed=-1", "at least 0")),
        ("philly?vcs=maybe", ("vcs=maybe", "yes, no")),
        ("philly?laod=0.9", ("unknown option 'laod'", "did you mean 'load'")),
    ],
)
def test_mistakes_get_one_line(spec: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        load(f"synthetic:{spec}")
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_very_few_jobs(jobs: int) -> None:
    for name in STATES:
        assert len(load(f"synthetic:{name}?jobs={jobs}&load=0.9").workload) == jobs


def test_split_keeps_the_common_curve_and_the_means() -> None:
    overall = Quantiles.of((0, 10, 50, 90, 100), (1, 10, 300, 20_000, 1_000_000))
    sizes, jobs, time = (1, 8, 64), (70.0, 25.0, 5.0), (10.0, 50.0, 40.0)
    tables = split_by_size(overall, sizes, jobs, time)
    held = np.array([g * p * t.mean() for g, p, t in zip(sizes, jobs, tables, strict=True)])
    assert held / np.sum(held) * 100 == pytest.approx(time, abs=0.5)
    levels = (np.arange(20_000) + 0.5) / 20_000
    mixed = np.concatenate([t.at(levels) for t in tables])
    weight = np.repeat(np.array(jobs) / np.sum(jobs) / len(levels), len(levels))
    for percent, seconds in ((10, 10), (50, 300), (90, 20_000)):
        assert 100 * np.sum(weight[mixed <= seconds]) == pytest.approx(percent, abs=0.7)


def test_normal_tables_are_inverse() -> None:
    assert normal_cdf(np.array([0.0, 1.0, -1.96])) == pytest.approx([0.5, 0.841345, 0.024998], abs=1e-5)
    assert normal_cdf(normal_quantile(np.array([0.01, 0.5, 0.9]))) == pytest.approx([0.01, 0.5, 0.9], abs=1e-6)
