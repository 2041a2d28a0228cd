"""The placement `completion`: its value table against a slow one, what it leaves over, and that it runs everywhere."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.policies.placements.completion import FULL, STEP, value_table
from apportion.study.fill import Filler
from inputs import real_data

VARIANTS = (
    "default", "cpu050", "cpu100", "cpu200", "gpushare40", "gpushare80", "gpushare100", "gpuspec10", "gpuspec20",
    "gpuspec33", "multigpu20", "multigpu30", "multigpu50",
)  # fmt: skip


@cache
def filler(variant: str) -> Filler:
    trace = ap.load(f"openb:{real_data('openb')}?pods={variant}&pending=keep")
    assert trace.cluster is not None
    return Filler(trace.workload, trace.cluster)


def unallocated(variant: str, policy: str, seed: int) -> float:
    return 100 - float(filler(variant).run(policy, seed).curve["allocated_pct"][100])


def test_a_fifth_less_is_left_over_than_by_fgd() -> None:
    seeds = range(42, 52)
    ours = np.mean([unallocated("default", "completion", seed) for seed in seeds])
    fgd = np.mean([unallocated("default", "fgd", seed) for seed in seeds])
    assert ours <= 0.8 * fgd


@pytest.mark.parametrize("variant", VARIANTS)
def test_less_is_left_over_on_every_trace(variant: str) -> None:
    for seed in (42, 47):
        ours = unallocated(variant, "completion", seed)
        assert ours < unallocated(variant, "fgd", seed)
        assert ours < unallocated(variant, "best-fit", seed)


def slow_value(
    h: int, classes: list[tuple[int, int, float, float, float]], price: float, rho: float, r: float
) -> float:
    """Return v(h) by its definition; classes: (size, gpus, cpu, frequency, share of demand)."""
    offers = []
    for size, gpus, cpu, frequency, demand in classes:
        if size <= h and (h == FULL or gpus == 1):
            rest = slow_value(h - size, classes, price, rho, r)
            offers.append((size * STEP - price * cpu / gpus + rest, r * demand if h == FULL else rho * frequency))
    left = 1.0
    total = 0.0
    for gain, most in sorted(offers, reverse=True):
        if gain > 0:
            total += min(most, left) * gain
            left -= min(most, left)
    return total


def test_the_value_table_is_the_recursion() -> None:
    classes = [(81, 1, 3152.0, 0.3, 0.2), (47, 1, 11908.0, 0.2, 0.1), (23, 1, 4000.0, 0.2, 0.1)]
    classes += [(100, 1, 11300.0, 0.2, 0.4), (100, 8, 96000.0, 0.1, 0.2)]
    size, gpus, cpu, frequency, demand = (np.array(column) for column in zip(*classes, strict=True))
    prices = np.array([0.0, 0.05, 0.2])
    table = value_table(size, gpus, cpu, frequency, demand, prices, 2.0, 3.0)
    for p, price in enumerate(prices):
        for h in (0, 10, 23, 46, 47, 70, 81, 94, 99, 100):
            assert table[p, h] == pytest.approx(slow_value(h, classes, price, 2.0, 3.0), abs=1e-9)


@pytest.mark.parametrize("policy", ["fifo+completion", "srtf+completion", "fair+completion[ties=random]"])
def test_it_runs_with_departures_gangs_pools_and_models(policy: str) -> None:
    random = np.random.default_rng(3)
    n = 120
    gpus = random.choice([0, 1, 1, 2, 8], n)
    jobs = pl.DataFrame(
        {
            "submit_s": np.sort(random.integers(0, 400, n)).astype(float),
            "duration_s": random.integers(1, 200, n).astype(float),
            "tasks": random.choice([1, 1, 2], n),
            "gpus": gpus,
            "gpu_milli": np.where(gpus == 1, random.choice([1000, 470, 250], n), 1000),
            "cpu_milli": random.choice([0, 4000, 12000], n),
            "gpu_models": [[["A100"], ["V100"], [], []][k] for k in random.integers(0, 4, n)],
            "user": random.choice(["a", "b"], n),
        }
    )
    cluster = ap.Cluster.of(
        pl.DataFrame(
            {
                "gpus": [8, 8, 4, 4, 12],
                "gpu_model": ["A100", "A100", "V100", "V100", None],
                "cpu_milli": [64000, 96000, 96000, 32000, 64000],
                "pooled": [False, False, False, False, True],
            }
        )
    )
    result = ap.simulate(ap.Workload.of(jobs), cluster, policy, check=True)
    assert result.summary()["unfinished"] == 0


def test_nothing_to_learn_from() -> None:
    jobs = pl.DataFrame({"submit_s": [0.0, 0.0], "duration_s": [1.0, 1.0], "gpus": [0, 0], "cpu_milli": [1000, 1000]})
    result = ap.simulate(ap.Workload.of(jobs), ap.parse_cluster("2x4"), "completion", check=True)
    assert result.summary()["completed"] == 2
