"""Metrics of rounds against what Shockwave's authors published for 120 jobs on 32 GPUs.

Jobs' completion times and finish-time ratios are in the shared data; the other figures are those of the pickles that
the released code ships with its results (Zheng et al., NSDI 2023, simulation of 32 GPUs).
"""

from __future__ import annotations

import json

import numpy as np
import pytest

import apportion as ap
from inputs import real_data


@pytest.fixture(scope="module")
def gandiva_fair() -> ap.Result:
    trace = real_data("shockwave", "120_jobs.trace")
    throughputs = real_data("shockwave", "tacc_throughputs.json")
    workload = ap.load(f"shockwave:{trace}?throughputs={throughputs}").workload
    return ap.simulate(workload, ap.parse_cluster("pool:32"), "gandiva-fair", rules="shockwave", check=True)


def test_finish_time_fairness_of_every_job(gandiva_fair: ap.Result) -> None:
    published = json.loads(real_data("shockwave", "published_120_jobs_32_gpus.json").read_text())["gandiva_fair"]
    assert np.array_equal(gandiva_fair.jobs["jct_s"].to_numpy(), published["jct_s"])
    # published with five decimals
    assert np.array_equal(gandiva_fair.jobs["ftf"].to_numpy().round(5), published["ftf_static"])


def test_the_published_row(gandiva_fair: ap.Result) -> None:
    summary = gandiva_fair.summary()
    rounds = summary["rounds"]
    assert round(summary["makespan_s"]) == 32367
    assert round(summary["jct_s"]["mean"], 1) == 12574.3
    assert round(rounds["jct_s"]["geometric_mean"]) == 10735
    assert round(rounds["jct_s"]["harmonic_mean"]) == 8361
    assert round(summary["ftf"]["worst"], 3) == 1.854
    assert round(100 * summary["ftf"]["unfair_fraction"], 2) == 51.67
    assert round(rounds["busy"], 4) == 0.6105
    assert rounds["count"] == 270
