"""A workload fitted to a trace against that trace: the distances that `generate --like` prints."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest

from apportion.model.errors import InputError
from apportion.model.workload import Workload
from apportion.traces.generator.fit import curve, fit
from apportion.traces.generator.generate import generate
from apportion.traces.generator.likeness import SIZES, Distance, dispersion, ks, likeness, top_users
from apportion.traces.registry import load

SPECS = {
    "venus": "synthetic:venus?jobs=20000&seed=3",
    "pai": "synthetic:pai?jobs=20000&seed=3",
    "openb": "synthetic:openb?jobs=6000&seed=3",
}


@cache
def pair(name: str, seed: int = 0) -> tuple[Workload, Workload]:
    original = load(SPECS[name])
    made = generate(fit(original.workload, original.cluster), jobs=len(original.workload), seed=seed)
    return original.workload, made.workload


def distances(name: str) -> dict[str, Distance]:
    return {line.what: line for line in likeness(*pair(name))}


@pytest.mark.parametrize("name", SPECS)
def test_run_times_and_gpu_time_by_size(name: str) -> None:
    found = distances(name)
    assert found["run times"].distance == pytest.approx(0, abs=0.03)
    original, generated = found["GPU-hours"].original, found["GPU-hours"].generated
    # A tenth of the GPU time of pai lies in a few gangs of hundreds, whose run times are drawn.
    assert generated == pytest.approx(original, rel=0.1 if name == "pai" else 0.05)
    size = pair(name)[0].gpu_demand
    for what, line in found.items():
        if what.startswith("share of GPU time"):
            assert line.generated == pytest.approx(line.original, abs=0.04), what
        if what.startswith("run times,"):
            low, high = next((low, high) for low, high, label in SIZES if what == f"run times, {label} GPUs")
            jobs = int(((size > low) & (size <= high) | ((size == 0) & (high == 0))).sum())
            assert line.distance == pytest.approx(0, abs=0.03 + 1 / np.sqrt(jobs)), what


@pytest.mark.parametrize("name", SPECS)
def test_submissions_users_and_states(name: str) -> None:
    found = distances(name)
    assert found["hours of the day"].distance == pytest.approx(0, abs=0.06)
    bursts = found["dispersion of 10-minute counts"]
    assert bursts.original is not None
    assert bursts.generated == pytest.approx(bursts.original, rel=0.5)
    skew = found["GPU time of the top 5 % of users"]
    assert skew.generated == pytest.approx(skew.original, abs=0.15)
    if name != "pai":
        done = found["share of completed jobs"]
        assert done.generated == pytest.approx(done.original, abs=0.03)


def test_days_come_in_order_when_the_span_is_the_same() -> None:
    original, generated = pair("venus")
    # From midnight to midnight of the same calendar; a day holds as many jobs, up to a batch on its edge.
    daily = [np.bincount((w.table["submit_s"].to_numpy() // 86_400).astype(np.int64)) for w in (original, generated)]
    assert np.corrcoef(*daily)[0, 1] > 0.95
    heavy = [
        np.bincount(
            (w.table["submit_s"].to_numpy() // 86_400).astype(np.int64),
            weights=(w.gpu_demand * w.table["duration_s"]).to_numpy(),
        )
        for w in (original, generated)
    ]
    assert np.corrcoef(*heavy)[0, 1] > 0.85


def test_other_lengths_and_loads_are_honoured() -> None:
    original = load(SPECS["venus"])
    assert original.cluster is not None
    preset = fit(original.workload, original.cluster)
    made = generate(preset, days=60, seed=1)
    assert made.workload.table["submit_s"].max() == pytest.approx(60 * 86_400, abs=2)
    assert len(made.workload) == pytest.approx(60 * preset.arrivals.jobs_per_day, rel=0.01)
    loaded = generate(preset, jobs=5000, load=1.3, cluster=original.cluster).workload
    held = float((loaded.gpu_demand * loaded.table["duration_s"]).sum())
    assert held / (original.cluster.gpus * loaded.table["submit_s"].max()) == pytest.approx(1.3, rel=0.02)


def test_same_seed_same_bytes() -> None:
    preset = fit(load("synthetic:venus?jobs=3000").workload)
    first, again, other = (generate(preset, jobs=3000, seed=s).workload.table for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_no_job_of_the_trace_is_kept() -> None:
    original, generated = pair("venus")
    both = [
        set(w.table.filter(pl.col("duration_s") > 600).select("submit_s", "duration_s").rows()) for w in pair("venus")
    ]
    assert len(both[0] & both[1]) < 0.01 * len(original)
    assert len(original) == len(generated)


@pytest.mark.parametrize(
    "rows",
    [
        {"submit_s": [0.0, 5.0], "duration_s": [10.0, 10.0]},
        {"submit_s": [0.0, 0.0, 9e5], "duration_s": [1.0, 2.0, 3.0]},
    ],
)
def test_very_few_jobs(rows: dict[str, list[float]]) -> None:
    work = Workload.of(pl.DataFrame(rows))
    made = generate(fit(work), jobs=len(work)).workload
    assert len(made) == len(work)
    assert made.table["submit_s"].max() == work.table["submit_s"].max()


def test_one_job_is_not_enough() -> None:
    with pytest.raises(InputError, match="at least 2"):
        fit(Workload.of(pl.DataFrame({"submit_s": [0.0], "duration_s": [1.0]})))


def test_curve_has_the_mean_and_the_quantiles_of_the_values() -> None:
    values = np.exp(np.random.default_rng(1).normal(6, 2, 5000))
    found = curve(values)
    assert found.mean() == pytest.approx(np.mean(values), rel=0.01)
    assert found.at(np.array([0.25, 0.5, 0.9])) == pytest.approx(np.quantile(values, (0.25, 0.5, 0.9)), rel=0.1)
    assert len(found.levels) < 150


def test_distances_of_known_samples() -> None:
    assert ks(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    assert ks(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1
    assert ks(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0])) == 0.5
    assert dispersion(np.array([0.0, 1.0, 2.0, 700.0])) == pytest.approx(0.5)
    work = Workload.of(
        pl.DataFrame({"user": ["a", "b", "b"], "submit_s": [0.0, 1.0, 2.0], "duration_s": [6.0, 1.0, 1.0]})
    )
    assert top_users(work) == pytest.approx(0.75)
