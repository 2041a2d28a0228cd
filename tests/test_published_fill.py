"""The packing experiments of the FGD paper (Weng et al., ATC 2023): its numbers, digit by digit.

All runs but those that draw at random are the published ones, to the arrival. The random ones can only agree in the
mean; what is drawn here is not what was drawn there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.engine.encode import encode
from apportion.engine.fragment import split
from apportion.engine.jit import entry
from apportion.engine.layout import BUCKETS
from apportion.engine.state import State
from apportion.engine.target import typical_tasks
from apportion.engine.world import buckets
from apportion.policies.registry import parse_placement
from apportion.study.fill import Filler
from apportion.traces.arrivals import Arrivals, inflate
from fill_figures import (
    ALLOCATION,
    BY_POPULARITY,
    CURVES,
    DETERMINISTIC,
    FINAL,
    FINAL_DEFAULT,
    FRAG_AMOUNT,
    FRAG_RATIO,
    RANDOM,
    RATIOS_OF_RUNS,
    SEEDS,
    TYPICAL,
    VARIANTS,
    Pair,
)
from inputs import real_data

HALF_A_DIGIT = 0.005 + 1e-9


class Filled(NamedTuple):
    """What is kept of a filling; `curve` is column -> values at 0, 1, .. 130 % of load."""

    used: int
    failed: int
    curve: dict[str, list[float]]


@cache
def openb(variant: str) -> ap.Trace:
    return ap.load(f"openb:{real_data('openb')}?pods={variant}&pending=keep")


@cache
def filler(variant: str) -> Filler:
    trace = openb(variant)
    assert trace.cluster is not None
    return Filler(trace.workload, trace.cluster)


@cache
def filled(variant: str, placement: str, seed: int) -> Filled:
    """Fill once; tests of the same process share it."""
    run = filler(variant).run(placement, seed)
    return Filled(int(run.used[-1]), int((~run.placed).sum()), run.curve.to_dict(as_series=False))


def at(variant: str, placement: str, column: str, load: int) -> list[float]:
    """Return a value of each of the ten runs; the published allocations are rounded to two decimals."""
    values = [filled(variant, placement, seed).curve[column][load] for seed in SEEDS]
    return [round(value, 2) for value in values] if column == "allocated_pct" else values


def difference(found: list[float], published: float, placement: str, spread: float = 0.0) -> str | None:
    """Return how the mean of ten runs differs from a published one, None where it does not.

    Under random placement the two are means of ten draws each: within three standard errors of their difference.
    `spread` is what is known of the published standard deviation.
    """
    margin = HALF_A_DIGIT
    if placement == RANDOM:
        margin = max(margin, 3 * max(spread, stdev(found)) * math.sqrt(2 / len(found)))
    if abs(mean(found) - published) <= margin:
        return None
    return f"found {mean(found):.4f}, published {published:.2f}"


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_final_states_of_the_default_trace(seed: int) -> None:
    found = {name: filled("default", name, seed)[:2] for name in DETERMINISTIC}
    assert found == FINAL_DEFAULT[str(seed)]


@pytest.mark.parametrize("variant", FINAL)
def test_final_states_of_the_other_traces(variant: str) -> None:
    assert {name: filled(variant, name, 42)[:2] for name in DETERMINISTIC} == FINAL[variant]


def mean_differences(variant: str) -> Iterator[tuple[str, int, str, str | None]]:
    """Compare all that is published of a trace in tables of means."""
    for i, load in enumerate(ALLOCATION):
        for placement, (expected, deviation) in ALLOCATION[load][variant].items():
            found = at(variant, placement, "allocated_pct", load)
            yield placement, load, "allocation", difference(found, expected, placement, deviation)
            if placement != RANDOM and abs(stdev(found) - deviation) > HALF_A_DIGIT:
                yield placement, load, "deviation", f"found {stdev(found):.4f}, published {deviation:.2f}"
            # the amount varies as the allocation does; the standard deviations of the ratio are "mostly 0.2 to 0.9"
            for column, table, spread in (("frag_pct", FRAG_AMOUNT, deviation), ("frag_ratio_pct", FRAG_RATIO, 0.2)):
                found = at(variant, placement, column, load)
                pair: Pair = table[variant][placement]
                yield placement, load, column, difference(found, pair[i], placement, spread)


@pytest.mark.parametrize("variant", VARIANTS)
def test_means_of_ten_runs(variant: str) -> None:
    """Allocation, its standard deviation, fragments: six placements, at a load of 100 and of 130."""
    assert [found for found in mean_differences(variant) if found[-1]] == []


@pytest.mark.parametrize("column", CURVES)
def test_curves_of_the_default_trace(column: str) -> None:
    found = [
        (placement, load, difference(at("default", placement, column, load), expected, placement))
        for placement, points in CURVES[column].items()
        for load, expected in points.items()
    ]
    assert [one for one in found if one[-1]] == []


@pytest.mark.parametrize(("placement", "seed"), RATIOS_OF_RUNS)
def test_fragments_of_single_runs_to_the_last_digit(placement: str, seed: int) -> None:
    curve = filled("cpu100", placement, seed).curve["frag_ratio_pct"]
    for first, published in RATIOS_OF_RUNS[placement, seed].items():
        assert curve[first : first + len(published)] == pytest.approx(published, abs=1e-9)


@pytest.mark.parametrize("variant", TYPICAL)
def test_number_of_typical_tasks(variant: str) -> None:
    trace = openb(variant)
    assert trace.cluster is not None
    assert typical_tasks(encode(trace.workload, trace.cluster)).size == TYPICAL[variant]


def test_the_most_typical_tasks() -> None:
    trace = openb("default")
    assert trace.cluster is not None
    first = typical_tasks(encode(trace.workload, trace.cluster))[:5]
    tasks = 8152
    assert first["cpu"].tolist() == [3152, 11300, 11400, 3152, 11908]
    assert first["milli"].tolist() == [810, 1000, 1000, 1000, 470]
    covered = [count / tasks / 0.9526 for count in (1047, 874, 599, 470, 388)]
    assert first["share"].tolist() == pytest.approx(covered, rel=1e-4)


@pytest.mark.parametrize("popularity", BY_POPULARITY)
def test_how_many_tasks_are_typical(popularity: float) -> None:
    """These allocations are of one arrival at a load of 100, not of their mean: within a hundredth."""
    trace = openb("default")
    assert trace.cluster is not None
    classes, allocated = BY_POPULARITY[popularity]
    assert typical_tasks(encode(trace.workload, trace.cluster), popularity).size == classes
    found = filler("default").run(f"fgd[popularity={popularity}]", 42).curve["allocated_pct"][100]
    assert found == pytest.approx(allocated, abs=0.01 + 1e-9)


# placement -> number of runs, the least and the largest allocation at a load of 100 as printed; default trace. The runs
# without chance are those of the first seeds, the others are draws of their own
TIES = {
    "fgd[ties=best-fit]": (3, "95.14", "95.27"),
    "fgd[score=exact]": (8, "94.0", "94.4"),
    "fgd[score=exact,ties=best-fit]": (3, "93.9", "94.2"),
    "fgd[ties=random]": (10, "89.2", "90.4"),
    "fgd[score=exact,ties=random]": (3, "89.5", "89.7"),
    "best-fit[ties=random]": (2, "92.8", "92.9"),
    "gpu-packing[ties=random]": (2, "88.7", "88.7"),
    "gpu-clustering[ties=random]": (2, "88.5", "88.5"),
}


@pytest.mark.parametrize("placement", TIES)
def test_ties_and_rounding_carry_the_result(placement: str) -> None:
    found = at("default", placement, "allocated_pct", 100)
    runs, least, most = TIES[placement]
    if "random" in placement:
        margin = 3 * stdev(found) * math.sqrt(1 / len(found) + 1 / runs)
        assert float(least) - margin <= mean(found) <= float(most) + margin
        return
    margin = 0.01 if len(least) == 5 else 0.05
    assert (min(found[:runs]), max(found[:runs])) == pytest.approx((float(least), float(most)), abs=margin + 1e-9)


def test_random_ties_cost_fgd_its_lead() -> None:
    drawn = at("default", "fgd[ties=random]", "allocated_pct", 100)
    assert mean(drawn) == pytest.approx(89.9, abs=3 * stdev(drawn) * math.sqrt(2 / len(drawn)))
    assert max(drawn) < min(at("default", "best-fit", "allocated_pct", 100))


def published_arrivals(trace: ap.Trace, seed: int) -> Arrivals:
    assert trace.cluster is not None
    table, nodes = trace.workload.table, trace.cluster.table["node"]
    capacity = trace.cluster.gpus * 1000
    return inflate(table["job_id"], table["gpus"], table["gpu_milli"], nodes, capacity_milli=capacity, seed=seed)


@cache
def simulated() -> tuple[ap.Result, ap.Trace]:
    """Let the tasks of seed 42 come second by second and never end: the same experiment without the clones."""
    trace = openb("default")
    assert trace.cluster is not None
    arrivals = published_arrivals(trace, 42)
    tasks = len(trace.workload)
    never = float(10 * tasks)
    table = trace.workload.table[arrivals.order[:tasks]].with_columns(
        submit_s=pl.int_range(tasks).cast(pl.Float64), duration_s=pl.lit(never), estimate_s=pl.lit(None, pl.Float64)
    )
    cluster = ap.Cluster.of(trace.cluster.table[arrivals.rank])
    return ap.simulate(ap.Workload.of(table), cluster, "fifo+fgd", until=tasks), trace


def test_first_placements() -> None:
    result = simulated()[0]
    first = result.placements.head(8)
    pods = result.workload.table["job_id"].gather(first["job"])
    nodes = result.cluster.table["node"].gather(first["node"])
    assert "".join(pods).replace("openb-pod-", " ") == " 0255 1685 6784 4463 0602 1564 3882 7257"
    assert "".join(nodes).replace("openb-node-", " ") == " 0260 1080 0260 0260 0260 0292 1141 0260"
    assert first["node"].to_list() == [0, 37, 0, 0, 0, 137, 170, 0]
    assert first["devices"].to_list() == [0, 1 << 0, 1 << 0, 1 << 1, 1 << 2, 1 << 0, 1 << 0, 1 << 3]


def test_a_simulation_places_what_a_filling_does() -> None:
    result, trace = simulated()
    run = filler("default").run("fgd", 42)
    tasks = len(trace.workload)
    assert result.jobs["start_s"].is_not_null().to_list() == run.placed[:tasks].tolist()


@entry
def split_all(root, nodes, found):
    """Add up the buckets of all nodes."""
    w = root[0]
    for n in range(nodes.size):
        split(w, nodes[n])
        for b in range(found.size):
            found[b] += buckets(w)[b]


def test_what_the_artifact_prints_of_a_run() -> None:
    """FGD, default trace, seed 42: F after the first arrivals, and the state of the cluster at the end."""
    trace = openb("default")
    assert trace.cluster is not None
    run = filler("default").run("fgd", 42)
    assert run.fragmented[:5].round(2).tolist() == [866232.55, 865816.03, 865680.05, 865544.07, 865408.10]

    nodes, idle = run.nodes, 292_590
    assert (run.used[-1], run.nodes["free_milli"].sum()) == (5_919_410, idle)
    assert round(100 * (1 - nodes["free_cpu"].sum() / nodes["cpu"].sum()), 1) == 84.0
    assert round(100 * (1 - nodes["free_memory"].sum() / nodes["memory"].sum()), 1) == 62.3
    assert round(run.fragmented[-1] / 1000, 2) == 291.36
    assert round(100 * run.fragmented[-1] / idle, 2) == 99.58

    found = np.zeros(len(BUCKETS))
    state = State(encode(trace.workload, trace.cluster), parse_placement("fgd").plan())
    split_all(state.root, nodes, found)
    thousands = dict(zip(BUCKETS, (found / 1000).round(2).tolist()))
    assert thousands == {"q1": 138.43, "q2": 85.86, "q3": 1.23, "q4": 27.28, "xl": 6.06, "xr": 33.73, "no_access": 0}
    assert found.sum() == pytest.approx(idle)

    failed = trace.workload.table[run.order[~run.placed]]
    assert dict(failed["gpus"].value_counts().sort("gpus").rows()) == {1: 1412 + 1099, 2: 6, 4: 6, 8: 9}
    assert (failed["gpu_milli"] < 1000).sum() == 1099
