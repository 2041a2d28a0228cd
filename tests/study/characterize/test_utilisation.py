"""How busy held GPUs were."""

from __future__ import annotations

import polars as pl
import pytest

from apportion.model.trace import Trace
from apportion.model.workload import Workload
from apportion.study.characterize import utilisation
from apportion.study.characterize.subject import lacking, prepare

JOBS = pl.DataFrame(
    {
        "submit_s": [0.0, 1.0, 2.0, 3.0],
        "duration_s": [100.0, 300.0, 100.0, 50.0],
        "gpus": [1, 1, 4, 0],
        "gpu_util": [0.0, 80.0, 40.0, None],
        "cpu_util": [10.0, 30.0, 20.0, 99.0],
        "status": ["failed", "completed", "completed", "completed"],
    }
)


def test_over_jobs_and_over_time() -> None:
    section = utilisation.look(prepare(Trace(Workload.of(JOBS))))
    numbers = section.numbers
    assert numbers["gpu_util_mean_pct"] == pytest.approx(40)
    assert numbers["gpu_time_mean_util_pct"] == pytest.approx((0 * 100 + 80 * 300 + 40 * 400) / 800)
    assert numbers["idle_jobs_share"] == pytest.approx(1 / 3)
    assert numbers["idle_gpu_time_share"] == pytest.approx(100 / 800)
    assert numbers["low_gpu_time_share"] == pytest.approx(500 / 800)
    assert numbers["jobs_share"] == 0.75
    assert numbers["cpu_util_mean_pct"] == pytest.approx(20)
    assert section.tables["cdf"].filter(gpu_util_pct=40.0).row(0) == pytest.approx((40, 2 / 3, 500 / 800))
    assert section.tables["by_size"]["size"].to_list() == ["1", "3-4"]
    assert "ended as failed used their GPUs least" in " ".join(section.sentences)
    assert "Smaller requests" in " ".join(section.sentences)


def test_a_trace_without_the_column_says_so() -> None:
    subject = prepare(Trace(Workload.of(JOBS.drop("gpu_util"))))
    assert "gpu_util" in lacking(subject, utilisation.ANALYSES[0])
