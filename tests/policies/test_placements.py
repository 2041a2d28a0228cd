"""What each placement gives a node, on cases small enough to work out by hand; ties, chance and weighted sums."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.engine.encode import encode
from apportion.engine.fragment import fragment
from apportion.engine.jit import entry
from apportion.engine.layout import NODE, TARGET, TASK, Records
from apportion.engine.scoring import device_of, score_of
from apportion.engine.state import State
from apportion.engine.target import levels
from apportion.model.errors import PolicyError
from apportion.policies.registry import parse_placement, parse_policy

ANY = encode(ap.Workload.of(pl.DataFrame({"submit_s": [0.0], "duration_s": [1.0]})), ap.parse_cluster("1x8"))
POINTS = ("fgd", "best-fit", "dot-product", "gpu-packing", "gpu-clustering", "power")
"""Placements that give points and let ties be chosen."""


@entry
def ask(root, nodes, tasks, out):
    """Write the score, the device and the fragments of one node for one task."""
    w = root[0]
    out[0] = score_of(w, nodes[0], tasks[0])
    out[1] = device_of(w, nodes[0], tasks[0])
    out[2] = fragment(w, nodes[0])


def node(free: list[int], cpu: int = 128_000, guests: dict[int, int] | None = None) -> Records:
    """Return a node with so much free on each device; `guests` are numbers of tasks by devices used, 0 = sharing."""
    out = np.zeros(1, NODE)
    out["gpus"], out["free_milli"], out["idle"] = len(free), sum(free), free.count(1000)
    out["free_cpu"] = out["cpu"] = cpu
    out["model"] = out["group"] = -1
    out["up"] = 1
    out["free"][0, : len(free)] = free
    for devices, number in (guests or {}).items():
        out["guests"][0, devices] = number
    return out


def task(gpus: int, milli: int = 1000, cpu: int = 0) -> Records:
    """Return a task that any node may take."""
    out = np.zeros(1, TASK)
    out["gpus"], out["milli"], out["cpu"], out["group"] = gpus, milli if gpus else 0, cpu, -1
    return out


def asked(
    placement: str, at: Records, what: Records, *typical: tuple[float, int, int, int]
) -> tuple[float, int, float]:
    """Return the points of a node, the device and the fragments; typical tasks are (share, GPUs, milli, CPU)."""
    state = State(ANY, parse_placement(placement).plan())
    targets = np.zeros(len(typical), TARGET)
    targets["group"] = -1
    for target, (share, gpus, milli, cpu) in zip(targets, typical):
        target["share"], target["gpus"], target["milli"], target["cpu"] = share, gpus, milli, cpu
    targets["level"] = np.unique(targets["milli"], return_inverse=True)[1]
    assert levels(targets).size >= 1
    state.attach_targets(targets)
    out = np.zeros(3)
    ask(state.root, at, what, out)
    return -float(out[0]), int(out[1]), float(out[2])


BROKEN = [200, 1000, 1000, 500]


@pytest.mark.parametrize(
    ("free", "cpu", "typical", "expected"),
    [
        # the artifact's own cases: CPU lacks, so all of it; then only what is left on devices with too little
        (BROKEN, 1000, (0.0933, 1, 465, 6000), 251.91),
        (BROKEN, 9000, (1.0, 1, 1000, 0), 700.0),
        ([1000] * 4, 9000, (1.0, 1, 1000, 0), 0.0),
        (BROKEN, 9000, (1.0, 1, 200, 0), 0.0),
        # too few devices with so much free; a task without a GPU, whether its CPU fits or not
        (BROKEN, 9000, (1.0, 3, 1000, 0), 2700.0),
        (BROKEN, 9000, (0.5, 0, 0, 9000), 1350.0),
        (BROKEN, 9000, (0.5, 0, 0, 9001), 1350.0),
    ],
)
def test_fragments(free: list[int], cpu: int, typical: tuple[float, int, int, int], expected: float) -> None:
    assert asked("fgd", node(free, cpu), task(0), typical)[2] == pytest.approx(expected)


WHOLE_ONES = (1.0, 1, 1000, 0)


@pytest.mark.parametrize(
    ("free", "what", "typical", "points", "device"),
    [
        # on an idle device half of it becomes a fragment: 100 / (1 + e^0.5); on the half-full one a fragment goes
        ([1000], task(1, 500), WHOLE_ONES, 37, 0),
        ([500], task(1, 500), WHOLE_ONES, 62, 0),
        ([1000, 500], task(1, 500), WHOLE_ONES, 62, 1),
        ([500, 1000, 500], task(1, 500), WHOLE_ONES, 62, 0),
        # 600 of 1000 stay of use to the typical task, 300 of 700 would not: not the fullest device
        ([700, 1000], task(1, 400), (1.0, 1, 600, 0), 50, 1),
        # whole devices, shares of several, no GPU: there is no choice of one
        ([500, 1000], task(1), WHOLE_ONES, 50, -1),
        ([1000, 1000], task(2, 500), WHOLE_ONES, 26, -1),
        # without CPU for the typical task the idle device is a fragment too: 100 / (1 + e^1)
        ([1000], task(0, cpu=1000), (1.0, 1, 1000, 127_001), 26, -1),
        ([1000], task(0, cpu=1000), (1.0, 1, 1000, 127_000), 50, -1),
    ],
)
def test_fgd(free: list[int], what: Records, typical: tuple[float, int, int, int], points: int, device: int) -> None:
    assert asked("fgd", node(free), what, typical)[:2] == (points, device)


def test_fgd_without_rounding() -> None:
    exact, device, _ = asked("fgd[score=exact]", node([1000, 500]), task(1, 500), WHOLE_ONES)
    assert (exact, device) == (pytest.approx(100 / (1 + np.exp(-0.5))), 1)


def test_equal_gradients_tie_whatever_else_is_on_the_node() -> None:
    """The sums before and after are rounded differently on each node, their difference is the same."""
    typical = [(count / 125, 1, milli, 0) for count, milli in ((50, 1000), (1, 900), (45, 600), (29, 470))]
    others = ([], [299], [100, 99], [250, 250, 250], [0, 17], [10] * 9)
    found = [asked("fgd[score=exact]", node([1000, *other]), task(1, 300), *typical)[0] for other in others]
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("free", "what", "points"),
    [
        # the artifact's own cases
        (BROKEN, task(2), 48),
        ([1000] * 4, task(1), 29),
        ([1000] * 8, task(1), 25),
        (BROKEN, task(2, 200), 93),
        # 990 free count 99, the tenth of which is 9; at least 50; at least 33 where idle devices are taken
        ([990, 0], task(1, 100), 91),
        ([900] * 6, task(6, 100), 50),
        ([1000] * 19 + [500], task(19), 33),
        ([1000], task(1, 500), 32),
        (BROKEN, task(0), 0),
    ],
)
def test_gpu_packing(free: list[int], what: Records, points: int) -> None:
    assert asked("gpu-packing", node(free), what)[0] == points


@pytest.mark.parametrize(
    ("guests", "what", "points"),
    [
        # of 8000 milli-GPU 5000 are free: 25 * 3 / 8 = 9.4
        ({2: 2}, task(2), 75 + 9),
        ({2: 2, 0: 1}, task(2), 50 + 9),
        ({2: 2, 0: 1}, task(1, 300), 50 + 9),
        ({0: 3}, task(1, 300), 75 + 9),
        ({}, task(2), 25 + 9),
        ({1: 3}, task(2), 0 + 9),
        ({1: 3}, task(1, 300), 0 + 9),
        ({1: 3}, task(0), 0),
    ],
)
def test_gpu_clustering(guests: dict[int, int], what: Records, points: int) -> None:
    assert asked("gpu-clustering", node([1000] * 5, guests=guests), what)[0] == points


@pytest.mark.parametrize(
    ("placement", "free", "cpu", "what", "points"),
    [
        # 32 of 128 cores and 2 of 8 GPUs left
        ("best-fit", [1000] * 3, 64_000, task(1, cpu=32_000), 75),
        ("best-fit", [1000] * 8, 128_000, task(0), 0),
        ("best-fit", [300], 0, task(1, 200), 99),
        # (1/2 * 1/4 + 1/2 * 1/4) / 2 = 1/8
        ("dot-product", [1000] * 4, 64_000, task(2, cpu=32_000), 87),
        ("dot-product", [1000] * 8, 128_000, task(8, cpu=128_000), 0),
        ("dot-product", [1000] * 4, 64_000, task(0), 100),
    ],
)
def test_best_fit_and_dot_product(placement: str, free: list[int], cpu: int, what: Records, points: int) -> None:
    found, device, _ = asked(placement, node(free, cpu), what)
    assert found == points
    assert device == (0 if what["milli"][0] == 200 else -1)


@pytest.mark.parametrize("placement", [name for name in POINTS if name != "fgd"])
def test_the_fullest_device_is_shared(placement: str) -> None:
    assert asked(placement, node([1000, 400, 300, 400]), task(1, 350))[1] == 1


def play(jobs: list[dict[str, Any]], cluster: str | ap.Cluster, policy: str, seed: int = 0) -> pl.DataFrame:
    """Run jobs given as rows, by default one after the other; return their placements."""
    rows = [{"submit_s": 2.0 * i, "duration_s": 1.0, **job} for i, job in enumerate(jobs)]
    where = ap.parse_cluster(cluster) if isinstance(cluster, str) else cluster
    return ap.simulate(ap.Workload.of(pl.DataFrame(rows)), where, policy, seed=seed, check=True).placements


ALONE: list[dict[str, Any]] = [{"gpus": 1, "gpu_milli": 300}] * 400


@pytest.mark.parametrize("placement", [*(f"{name}[ties=random]" for name in POINTS), "random"])
def test_chance_has_no_favourites_and_a_seed(placement: str) -> None:
    """400 jobs, one after the other, on four idle nodes: 100 each, with a standard deviation of 8.7."""
    drawn = [play(ALONE, "4x2", f"fifo+{placement}", seed) for seed in (1, 1, 2)]
    nodes = [placed["node"].to_list() for placed in drawn]
    assert all(65 <= Counter(chosen)[node] <= 135 for chosen in nodes for node in range(4))
    assert drawn[0].equals(drawn[1])
    assert nodes[0] != nodes[2]
    devices = Counter(drawn[0]["devices"])
    assert devices == {1: 400} if placement != "random" else 160 <= devices[1] <= 240


def test_neighbouring_seeds_draw_different_numbers() -> None:
    one, two = (play(ALONE, "4x2", "fifo+best-fit[ties=random]", seed)["node"].to_list() for seed in (1, 2))
    assert sum(a == b for a, b in zip(one[1:], two[:-1])) < 135
    assert sum(a == b for a, b in zip(one, two)) < 135


@pytest.mark.parametrize("placement", [name for name in POINTS if name != "best-fit"])
def test_ties_by_best_fit(placement: str) -> None:
    """Two idle nodes that differ in cores alone, which a task without CPU demand leaves equal."""
    cluster = ap.Cluster.of(pl.DataFrame({"gpus": [8, 8], "cpu_milli": [128_000, 64_000]}))
    jobs = [{"gpus": 1}]
    assert play(jobs, cluster, f"fifo+{placement}")["node"].to_list() == [0]
    assert play(jobs, cluster, f"fifo+{placement}[ties=best-fit]")["node"].to_list() == [1]


def test_the_second_key_decides_ties_only() -> None:
    cluster = ap.Cluster.of(pl.DataFrame({"gpus": [8, 1], "cpu_milli": [128_000, 8_000]}))
    jobs = [{"gpus": 1, "gpu_milli": 500, "cpu_milli": 16_000, "duration_s": 9.0}, {"gpus": 1}]
    chosen = {
        placement: play(jobs, cluster, f"fifo+{placement}")["node"].to_list()
        for placement in ("best-fit", "gpu-packing", "gpu-packing[ties=best-fit]")
    }
    assert chosen == {"best-fit": [0, 1], "gpu-packing": [0, 0], "gpu-packing[ties=best-fit]": [0, 0]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fgd[ties=nam]", "fgd: found ties=nam, expected name or random or best-fit; did you mean 'name'?"),
        ("best-fit[ties=best-fit]", "best-fit: found ties=best-fit, expected name or random"),
        ("gpu-packing[score=exact]", "gpu-packing: unknown parameter 'score'"),
        ("fgd[score=round]", "fgd: found score=round, expected points or exact"),
        ("fgd[popularity=0]", "fgd: found popularity=0, expected more than 0 and at most 1"),
        ("fgd[popularity=1.5]", "fgd: found popularity=1.5, expected more than 0 and at most 1"),
        ("fgd[popularity=nan]", "fgd: found popularity=nan, expected more than 0 and at most 1"),
        ("fgd*-0.7+best-fit*0.3", "found weight '-0.7' in "),
        ("fgd*0+best-fit*0.3", "found weight '0'"),
        ("fgd*much+best-fit*0.3", "found weight 'much'"),
        ("fgd*inf+best-fit*0.3", "found weight 'inf'"),
        ("fgd*+best-fit*0.3", "found policy 'fgd*', expected a name"),
        (
            "fgd*0.7+first-fit*0.3",
            "first-fit does not give points from 0 to 100, so it cannot be part of a weighted sum",
        ),
        ("random*1", "random does not give points from 0 to 100"),
        ("fdg*0.7+best-fit*0.3", "unknown placement 'fdg'; did you mean 'fgd'?"),
        ("fgd*0.7+sjf*0.3", "unknown placement 'sjf'"),
    ],
)
def test_placements_that_cannot_be(text: str, said: str) -> None:
    for parse in (parse_placement, lambda text: parse_policy(f"sjf+{text}")):
        with pytest.raises(PolicyError, match=f"^{re.escape(said)}") as caught:
            parse(text)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["fgd*0.7+best-fit", "fgd+best-fit", "", "fgd*0.7+"])
def test_a_sum_needs_all_its_weights(text: str) -> None:
    with pytest.raises(PolicyError, match="expected") as caught:
        parse_placement(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["sjf+fgd*0.7+best-fit", "fgd*0.7+best-fit", "sjf+fgd+best-fit"])
def test_a_policy_needs_all_weights_of_its_sum(text: str) -> None:
    with pytest.raises(PolicyError, match=r"expected ORDER\+PLACEMENT .* with weights: sjf\+fgd\*0\.7") as caught:
        parse_policy(text)
    assert "\n" not in str(caught.value)


BUSY = "synthetic:philly?jobs=400&seed=3"


def test_a_sum_of_one_is_the_placement() -> None:
    trace = ap.load(BUSY)
    for name in ("fgd", "gpu-clustering"):
        runs = [
            ap.simulate(trace.workload, trace.cluster, f"sjf+{text}") for text in (name, f"{name}*1", f"{name}*2.5")
        ]
        assert all(run.placements.equals(runs[0].placements) for run in runs)


@pytest.mark.parametrize(
    ("first", "second"), [("fgd", "best-fit"), ("best-fit", "fgd"), ("gpu-packing", "fgd"), ("fgd", "power")]
)
def test_a_sum_adds_points_and_takes_the_device_of_the_first(first: str, second: str) -> None:
    where, what = node([700, 1000], 64_000), task(1, 400, 16_000)
    typical = (1.0, 1, 600, 0)
    a, device, _ = asked(first, where, what, typical)
    b = asked(second, where, what, typical)[0]
    found = asked(f"{first}*0.7+{second}*0.3", where, what, typical)
    assert found[:2] == (pytest.approx(0.7 * a + 0.3 * b), device)
    assert device == (1 if first == "fgd" else 0)


def test_a_sum_can_prefer_what_neither_would() -> None:
    """Where a share of 0.5 goes, with whole devices and 1 or 3 cores as the typical tasks.

    Node 0 has no core for them: what the share takes was a fragment before, 62 points. Node 1 has cores for one of
    the two: nothing changes, 50. Node 2 has cores for both: half a device becomes a fragment, 37. Best fit gives them
    53, 89 and 95. The sums are 59.3, 61.7 and 54.4.
    """
    cluster = ap.Cluster.of(pl.DataFrame({"gpus": [8, 2, 1], "cpu_milli": [0, 2000, 4000]}))
    share = {"gpus": 1, "gpu_milli": 500, "cpu_milli": 0}
    typical = [{"gpus": 1, "gpu_milli": 1000, "cpu_milli": cores * 1000} for cores in (1, 3)] * 20
    chosen = {
        policy: play([share, *typical], cluster, f"fifo+{policy}")["node"][0]
        for policy in ("fgd", "best-fit", "fgd*0.7+best-fit*0.3", "fgd*0.9+best-fit*0.1")
    }
    assert chosen == {"fgd": 0, "best-fit": 2, "fgd*0.7+best-fit*0.3": 1, "fgd*0.9+best-fit*0.1": 0}


@pytest.mark.parametrize("order", ["sjf", "las[quantum=1h]", "srtf", "fair", "round-robin"])
def test_sums_with_orders_gangs_and_preemption(order: str) -> None:
    trace = ap.load(BUSY)
    gangs = trace.workload.table.with_columns(
        tasks=pl.when(pl.int_range(pl.len()) % 5 == 0)
        .then(3)
        .otherwise("tasks")
        .cast(trace.workload.table["tasks"].dtype)
    )
    workload = ap.Workload.of(gangs)
    result = ap.simulate(workload, ap.parse_cluster("12x8"), f"{order}+fgd*0.7+best-fit*0.3", check=True)
    ended = result.jobs.filter(pl.col("status") != "rejected")
    assert ended["status"].unique().to_list() == ["completed"]
    assert result.placements.filter(~pl.col("first")).height > 0
    if order not in ("sjf", "fair"):
        assert result.jobs["preemptions"].sum() > 0
