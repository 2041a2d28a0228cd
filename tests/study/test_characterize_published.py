"""The report on public traces, against values that were computed from the same files by other means, or published."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from test_characterize import looked

from apportion.study.characterize import figures
from apportion.study.characterize.section import Section, Subject
from apportion.study.characterize.subject import prepare
from apportion.traces.registry import load
from inputs import real_data


@cache
def philly() -> dict[str, Section]:
    return looked(load(f"philly:{real_data('philly', 'philly.csv')}"))


@cache
def philly_window() -> dict[str, Section]:
    """From 2017-09-25, where the file becomes dense: the part that the published quantiles are of."""
    return looked(load(f"philly:{real_data('philly', 'philly.csv')}?from=2017-09-25"))


@cache
def openb(query: str) -> tuple[Subject, dict[str, Section]]:
    trace = load(f"openb:{real_data('openb')}?{query}")
    return prepare(trace), looked(trace)


def test_philly_in_all() -> None:
    numbers = philly()["overview"].numbers
    assert numbers["jobs"] == 82_247 and numbers["groups"] == 15
    assert numbers["gpu_h"] == pytest.approx(978_078, abs=1)
    assert numbers["asked_gpus"] == pytest.approx(375, abs=1)
    assert numbers["gpus_max"] == 128


def test_philly_run_times() -> None:
    numbers = philly()["durations"].numbers
    assert (round(numbers["ln_mean"], 2), round(numbers["ln_sd"], 2)) == (6.79, 2.16)
    shares = {"1h": (0.227, 0.98), "1d": (0.032, 0.84), "1w": (0.0029, 0.28)}
    for name, (jobs, time) in shares.items():
        assert numbers[f"over_{name}_share"] == pytest.approx(jobs, abs=6e-4)
        assert numbers[f"over_{name}_gpu_time_share"] == pytest.approx(time, abs=6e-3)
    for part, time in ((1, 0.67), (5, 0.93), (10, 0.96)):
        assert numbers[f"top_{part}pct_gpu_time_share"] == pytest.approx(time, abs=6e-3)


@pytest.mark.parametrize(
    ("size", "quantiles", "mean"),
    [
        ("1", (52, 62, 118, 1153, 2732, 8586, 19168, 129101), 7565),
        ("2", (9, 11, 16, 21, 83, 73625, 197198, 524434), 31062),
        ("3-4", (75, 138, 764, 17226, 89235, 183505, 265545, 770518), 75548),
        ("5-8", (104, 211, 1602, 23392, 169066, 316507, 467426, 916393), 115061),
    ],
)
def test_philly_run_times_by_size(size: str, quantiles: tuple[int, ...], mean: int) -> None:
    table = philly_window()["durations"].tables["by_size"]
    row = table.filter(pl.col("size") == size).row(0, named=True)
    for level, expected in zip(figures.LEVELS, quantiles, strict=True):
        assert row[figures.name(level)] == pytest.approx(expected, abs=0.6)
    assert row["mean"] == pytest.approx(mean, abs=0.6)


def test_philly_sizes() -> None:
    exact = {row["gpu_demand"]: row for row in philly()["sizes"].tables["exact"].iter_rows(named=True)}
    published = {1: (93.2, 18.1), 2: (2.2, 3.2), 4: (2.3, 16.7), 8: (2.0, 48.4), 16: (0.24, 11.5), 32: (0.08, 1.8)}
    for gpus, (jobs, time) in published.items():
        assert 100 * exact[gpus]["share"] == pytest.approx(jobs, abs=0.06)
        assert 100 * exact[gpus]["gpu_time_share"] == pytest.approx(time, abs=0.1)
    assert exact[64]["jobs"] + exact[128]["jobs"] == 9


def test_philly_virtual_clusters() -> None:
    rows = {row["group"]: row for row in philly()["groups"].tables["by_group"].iter_rows(named=True)}
    published = {
        "6214e9": (50, 10), "11cb48": (20, 3), "6c71a0": (12, 8), "b436b2": (9, 13), "103959": (2.4, 4.4),
        "ee9e8c": (1.8, 26), "0e4a51": (1.7, 8), "ed69ec": (1.4, 0.9), "7f04ca": (0.9, 17), "2869ce": (0.5, 8),
        "e13805": (0.5, 1.4),
    }  # fmt: skip
    for name, (jobs, time) in published.items():
        assert 100 * rows[name]["share"] == pytest.approx(jobs, abs=0.6), name
        assert 100 * rows[name]["gpu_time_share"] == pytest.approx(time, abs=0.6), name
    assert philly()["users"].skipped


def test_philly_rhythm() -> None:
    section = philly_window()["rhythm"]
    numbers = section.numbers
    assert numbers["dispersion_10min"] == pytest.approx(56.7, abs=0.05)
    assert numbers["jobs_in_10min_mean"] == pytest.approx(6.4, abs=0.05)
    assert (numbers["jobs_in_10min_p90"], numbers["jobs_in_10min_p99"]) == (9, 88)
    assert (numbers["gap_p50_s"], numbers["gap_p90_s"]) == (8, 362)
    assert numbers["gap_cv"] == pytest.approx(10, abs=0.05) and numbers["gap_zero_share"] == pytest.approx(
        0.08, abs=5e-3
    )
    hours = (1.29, 1.00, 1.13, 1.12, 0.71, 1.17, 1.69, 2.11, 1.12, 1.02, 1.04, 0.88,
             0.76, 0.71, 0.50, 0.56, 0.88, 0.67, 0.81, 0.73, 1.02, 0.92, 1.14, 1.02)  # fmt: skip
    assert section.tables["hours"]["weight"].to_list() == pytest.approx(hours, abs=6e-3)
    months = dict(section.tables["months"].select("month", "jobs").rows())
    assert [round(months[f"2017-{m}"] / 1000, 1) for m in (10, 11, 12)] == [47.2, 21.3, 8.1]


def test_philly_days() -> None:
    """The published quantiles are of days with jobs; one of the 89 has none."""
    days = philly_window()["rhythm"].tables["days"]
    busy = days.filter(pl.col("jobs") > 0)["jobs"]
    assert (days.height, len(busy), busy.max()) == (89, 88, 3712)
    assert [round(float(busy.quantile(q, "linear") or 0)) for q in (0.25, 0.5, 0.75)] == pytest.approx(
        [318, 563, 1286], abs=1
    )


def test_openb_run_times_and_waits() -> None:
    subject, _ = openb("pods=default")
    found = figures.quantiles(subject.jobs["duration_s"])
    expected = {"p5": 50, "p25": 175, "p50": 616, "p75": 2241, "p90": 7764, "p95": 18064, "p99": 114_348}
    assert {key: round(found[key]) for key in expected} == expected
    wait = figures.quantiles(subject.jobs["wait_s"])
    assert (wait["p50"], wait["p90"], round(wait["p99"])) == (2, 106, 890)


def test_openb_requests_and_shares() -> None:
    subject, sections = openb("pods=default&pending=keep")
    by_size = dict(sections["sizes"].tables["by_size"].select("size", "share").rows())
    assert [round(100 * by_size[size], 2) for size in ("0", "2", "3-4", "5-8")] == [13.35, 0.20, 0.18, 0.54]
    assert round(100 * by_size["<1"], 1) == 37.8 and round(100 * (by_size["<1"] + by_size["1"]), 2) == 85.73
    exact = {
        round(row["gpu_demand"], 3): row["jobs"] for row in sections["sizes"].tables["exact"].iter_rows(named=True)
    }
    one = subject.jobs.filter(pl.col("gpus") == 1).height
    shares = [round(100 * exact[gpus] / one, 1) for gpus in (1.0, 0.81, 0.47, 0.32, 0.65, 0.23)]
    assert shares == [56.0, 15.4, 10.7, 4.7, 3.6, 2.0]
    kinds = dict(subject.jobs["kind"].value_counts(normalize=True).rows())
    assert [round(100 * kinds[kind], 1) for kind in ("LS", "BE", "Burstable")] == [57.0, 41.7, 1.2]
    numbers = sections["requests"].numbers
    assert round(numbers["cores_p50"], 1) == 11.3 and round(numbers["memory_gib_p50"], 1) == 30.5


def test_openb_nodes() -> None:
    _, sections = openb("pods=default&nodes=all_node")
    assert sections["machines"].numbers | {"models": 0} == {"nodes": 1523, "gpu_nodes": 1213, "gpus": 6212, "models": 0}
    kinds = sections["machines"].tables["kinds"].group_by("gpu_model", "gpus_per_node").agg(pl.col("nodes").sum())
    nodes = {(model, gpus): number for model, gpus, number in kinds.rows()}
    assert nodes[("G2", 8)] == 549 and nodes[("T4", 2)] == 387 and nodes[("V100M32", 8)] == 21
    assert nodes[("P100", 2)] == 131 and nodes[("V100M16", 1)] == 19 and sum(nodes.values()) == 1523


def test_openb_jobs_bound_to_models() -> None:
    _, sections = openb("pods=gpuspec33&pending=keep")
    section = sections["gpu_types"]
    assert section.numbers["constrained_jobs"] == 2388
    assert section.numbers["constrained_share"] == pytest.approx(2388 / 7064)
    jobs = dict(section.tables["by_model"].select("model", "jobs").rows())
    assert [jobs[m] for m in ("T4", "G2", "P100", "V100M16|V100M32")] == [1291, 331, 279, 141]


def test_pai_machines(tmp_path: Path) -> None:
    """The published machines, beside a job table of one job: the release's own are too large to keep."""
    shutil.copy(real_data("pai", "pai_machine_spec.csv"), tmp_path / "pai_machine_spec.csv")
    (tmp_path / "pai_job_table.csv").write_text("j1,i1,u1,Terminated,100,900\n")
    (tmp_path / "pai_task_table.csv").write_text("j1,worker,1,Terminated,120,900,600,29.3,50,T4\n")
    section = looked(load(f"pai:{tmp_path}"))["machines"]
    models = dict(section.tables["models"].select("gpu_model", "gpus").rows())
    assert models == {"MISC": 2240, "P100": 1596, "V100M32": 1080, "T4": 994, "V100": 832}
    assert (section.numbers["nodes"], section.numbers["gpus"]) == (1897, 6742)
    kinds = section.tables["kinds"].select("gpu_model", "gpus_per_node", "cores", "nodes").rows()
    assert ("P100", 2, 64.0, 798) in kinds and ("MISC", 8, 96.0, 280) in kinds and ("T4", 2, 96.0, 497) in kinds


def test_venus_node_counts_of_the_preset_are_those_published() -> None:
    section = looked(load("synthetic:venus?jobs=2000"))["machines"]
    assert (section.numbers["nodes"], section.numbers["gpus"]) == (135, 1080)
