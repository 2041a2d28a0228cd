"""Runs of Gavel's policies against figures of the released simulators (Gavel, OSDI 2020; Shockwave, NSDI 2023).

Gavel's rows were measured with its code at c4fa400 and its three traces of a physical cluster; Shockwave's JCTs were
published with its code, its other rows were measured. Programs have many optima, and who is next hangs on small
entries: the same digits need the solver that those runs used.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

import apportion as ap
from inputs import real_data

GAVEL = {
    "minimize_makespan": {
        "objective=fifo,aware=no,released=yes": (253362.5, 170091.2),
        "objective=fifo": (87502.2, 38540.1),
        "aware=no,released=yes,solver=ecos": (80738.5, 33192.9),
        "solver=ecos": (67093.4, 33346.9),
        "objective=makespan,aware=no,released=yes,solver=ecos": (74561.0, 69155.5),
        "objective=makespan,released=yes,solver=ecos": (62657.1, 61369.4),
        "objective=ftf,aware=no,released=yes,solver=ecos": (76809.8, 34808.6),
        "objective=ftf,released=yes,solver=ecos": (68731.6, 33736.1),
        "objective=throughput,solver=ecos": (80293.9, 33601.6),
        "gandiva": (75341.7, 35181.6),
    },
    "max_min_fairness": {
        "objective=fifo,aware=no,released=yes": (191978.8, 35449.6),
        "objective=fifo": (68321.3, 18643.4),
        "aware=no,released=yes,solver=ecos": (70929.1, 18705.4),
        "solver=ecos": (61591.2, 13766.0),
        "objective=makespan,aware=no,released=yes,solver=ecos": (70491.9, 19861.9),
        "objective=makespan,released=yes,solver=ecos": (58494.1, 21391.9),
        "objective=ftf,aware=no,released=yes,solver=ecos": (72761.4, 18517.8),
        "objective=ftf,released=yes,solver=ecos": (61833.4, 14170.5),
        "objective=throughput,solver=ecos": (63445.3, 15665.5),
        "gandiva": (64183.1, 17128.8),
    },
    "artifact_evaluation": {
        "objective=makespan,released=yes,solver=ecos": (5338.3, 4589.1),
        "objective=makespan,aware=no,released=yes,solver=ecos": (6335.5, 5265.6),
        "solver=ecos": (5868.784, 4060.783),
        "aware=no,released=yes,solver=ecos": (7124.9, 5254.2),
        "objective=fifo": (12880.3, 6552.9),
    },
}
GENERATED = {
    ("no", "objective=fifo,aware=no,released=yes,seed=1"): (588918.9, 87847.3),
    ("no", "objective=makespan,released=yes,solver=ecos"): (561200.5, 70895.3),
    ("yes", "objective=fifo,aware=no,released=yes,seed=1"): (640754.5, 109071.8),
    ("yes", "objective=makespan,released=yes,solver=ecos"): (561197.2, 78572.1),
}
"""100 generated jobs that are all there at the start, of one or of up to eight GPUs; seed 1 throughout."""

SHOCKWAVE = {
    "max_min_fairness": "aware=no,released=yes,solver=ecos",
    "max_sum_throughput_perf": "objective=throughput,solver=ecos",
    "min_total_duration": "objective=makespan,aware=no,released=yes,solver=ecos",
    "finish_time_fairness": "objective=ftf,aware=no,released=yes,solver=ecos",
}
MEASURED = {
    (220, 64, "max_min_fairness"): (33632, 9233.1),
    (220, 64, "max_sum_throughput_perf"): (35819, 9243.0),
    (220, 64, "min_total_duration"): (25076, 19748.6),
    (220, 64, "finish_time_fairness"): (33752, 9597.1),
    (460, 128, "max_min_fairness"): (34153, 10479.2),
    (460, 128, "max_sum_throughput_perf"): (33792, 9237.4),
    (460, 128, "min_total_duration"): (25881, 22377.4),
    (900, 256, "max_min_fairness"): (33910, 10769.4),
    (900, 256, "max_sum_throughput_perf"): (34305, 9364.7),
}


@pytest.mark.parametrize(("trace", "policy"), [(t, p) for t, rows in GAVEL.items() for p in rows])
def test_gavels_physical_traces(trace: str, policy: str) -> None:
    if "ecos" in policy:
        pytest.importorskip("ecos")
    table = real_data("gavel", "physical_cluster_throughputs.json")
    loaded = ap.load(f"gavel:{real_data('gavel', f'physical_{trace}.trace')}?throughputs={table}")
    gpus = {"v100": 2, "k80": 4} if trace == "artifact_evaluation" else {"v100": 8, "p100": 16, "k80": 24}
    cluster = ap.parse_cluster("+".join(f"1x{count}:{model}" for model, count in gpus.items()))
    result = ap.simulate(
        loaded.workload, cluster, policy if policy == "gandiva" else f"gavel[{policy}]", rules="gavel", check=True
    ).summary()
    makespan, mean = GAVEL[trace][policy]
    assert result["makespan_s"] == pytest.approx(makespan, abs=0.06)
    assert result["jct_s"]["mean"] == pytest.approx(mean, abs=0.06)


@pytest.mark.parametrize(("multi", "policy"), GENERATED)
def test_gavels_generated_jobs(multi: str, policy: str) -> None:
    if "ecos" in policy:
        pytest.importorskip("ecos")
    table = real_data("gavel", "simulation_throughputs.json")
    jobs = ap.load(f"gavel-jobs:{table}?jobs=100&seed=1&multi={multi}").workload
    cluster = ap.parse_cluster("36x1:v100+36x1:p100+36x1:k80")
    result = ap.simulate(jobs, cluster, f"gavel[{policy}]", rules="gavel", seed=1).summary()
    makespan, mean = GENERATED[(multi, policy)]
    assert result["makespan_s"] == pytest.approx(makespan, abs=0.06)
    assert result["jct_s"]["mean"] == pytest.approx(mean, abs=0.06)


def shockwave(jobs: int, gpus: int, table: str, policy: str) -> ap.Result:
    speeds = real_data("shockwave", f"{table}_throughputs.json")
    loaded = ap.load(f"shockwave:{real_data('shockwave', f'{jobs}_jobs.trace')}?throughputs={speeds}")
    return ap.simulate(loaded.workload, ap.parse_cluster(f"pool:{gpus}"), f"gavel[{policy}]", rules="shockwave")


@pytest.mark.parametrize("name", SHOCKWAVE)
def test_shockwaves_published_jcts(name: str) -> None:
    pytest.importorskip("ecos")
    published = json.loads(real_data("shockwave", "published_120_jobs_32_gpus.json").read_text())[name]
    result = shockwave(120, 32, "tacc", SHOCKWAVE[name])
    jct = result.jobs["jct_s"].to_numpy()
    if name == "finish_time_fairness":
        # not even the released code repeats these to the digit with another build of the solver: 32 329 and 11 386.1
        assert jct.mean() == pytest.approx(np.mean(published["jct_s"]), rel=0.01)
        assert jct.mean() == pytest.approx(11386.1, abs=0.06)
        assert result.summary()["makespan_s"] == pytest.approx(32329, abs=1)
    else:
        np.testing.assert_allclose(jct, published["jct_s"], rtol=1e-9)


@pytest.mark.parametrize(("jobs", "gpus", "name"), MEASURED)
def test_shockwaves_larger_clusters(jobs: int, gpus: int, name: str) -> None:
    pytest.importorskip("ecos")
    result = shockwave(jobs, gpus, "wisr", SHOCKWAVE[name])
    makespan, mean = MEASURED[(jobs, gpus, name)]
    assert result.summary()["makespan_s"] == pytest.approx(makespan, abs=0.6)
    assert result.summary()["jct_s"]["mean"] == pytest.approx(mean, abs=0.06)


def test_another_solver_is_as_good_on_the_whole() -> None:
    """Corners instead of the inside of the optimal face: other turns, much the same outcome."""
    published = json.loads(real_data("shockwave", "published_120_jobs_32_gpus.json").read_text())
    for name, policy in (("max_min_fairness", "aware=no"), ("max_sum_throughput_perf", "objective=throughput")):
        jct = shockwave(120, 32, "tacc", policy).jobs["jct_s"].to_numpy()
        assert jct.mean() == pytest.approx(np.mean(published[name]["jct_s"]), rel=0.01)
