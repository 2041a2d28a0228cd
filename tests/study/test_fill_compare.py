"""The packing experiment side by side: every cell is the filling of its own, whoever computes it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import apportion as ap
from apportion.model import ApportionError, Cluster, Trace, Workload
from apportion.study.fill_compare import FillStudy, compare_fills, short_names
from apportion.traces.registry import expand, load
from inputs import real_data

PLACEMENTS = ["fgd", "best-fit", "random"]


def trace(jobs: int = 300, seed: int = 1) -> Trace:
    """Return a small synthetic trace."""
    return load(f"synthetic:philly?jobs={jobs}&seed={seed}")


@pytest.fixture(scope="module")
def study() -> FillStudy:
    """Two traces, three placements, two seeds."""
    return compare_fills([trace(), trace(200, 2)], PLACEMENTS, seeds=2, load=1.1)


def test_cells_are_in_order_and_each_is_a_filling_of_its_own(study: FillStudy) -> None:
    asked = [(t, p, s) for t in study.traces for p in PLACEMENTS for s in (42, 43)]
    assert [(run.trace, run.policy, run.seed) for run in study.runs] == asked
    assert study.seeds == [42, 43]
    for run in study.runs:
        source = load(run.trace)
        alone = ap.fill(source.workload, source.cluster, run.policy, seed=run.seed, load=1.1)
        assert_frame_equal(run.curve, alone.curve)
        assert run.arrivals == alone.order.size
        assert run.summary() == alone.summary() | {"trace": run.trace}


@pytest.mark.parametrize("workers", [1, 3])
def test_the_outcome_does_not_depend_on_workers(study: FillStudy, workers: int) -> None:
    again = compare_fills([trace(), trace(200, 2)], PLACEMENTS, seeds=2, load=1.1, workers=workers)
    assert again.summaries() == study.summaries()


def test_every_placement_meets_the_same_arrivals_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from apportion.study import fill

    drawn: list[int] = []
    inflate = fill.inflate

    def counting(*arguments: Any, **named: Any) -> Any:
        drawn.append(named["seed"])
        return inflate(*arguments, **named)

    monkeypatch.setattr(fill, "inflate", counting)
    found = compare_fills([trace()], PLACEMENTS, seeds=30, load=0.2, workers=1)
    assert sorted(drawn) == list(range(42, 72))
    assert len({run.arrivals for run in found.runs[::30]}) == 1


def test_values_are_those_of_the_curves(study: FillStudy) -> None:
    assert study.last_pct == 110
    assert study.gpus == [480.0, 480.0]
    values = study.values("failed")
    assert values.shape == (2, 3, 2, 111)
    number = 0
    for t in range(2):
        for p in range(3):
            for s in range(2):
                assert values[t, p, s].tolist() == study.runs[number].curve["failed"].to_list()
                number += 1
    known = study.runs[0].curve["allocated_pct"]
    assert study.unallocated()[0, 0, 0, 100] == 100 - known[100]


def test_where_nothing_arrives_what_held_before_holds() -> None:
    frame = pl.DataFrame({"submit_s": [0.0, 1.0], "duration_s": [1.0, 1.0], "gpus": [4, 4]})
    whole = Trace(Workload.of(frame), Cluster.of(pl.DataFrame({"node": ["a", "b"], "gpus": [8, 8]})))
    found = compare_fills([whole], ["best-fit"], load=1.0)
    raw = found.runs[0].curve["allocated_pct"]
    held = found.values("allocated_pct")[0, 0, 0]
    assert raw[40] is None and raw[25] == 25
    assert np.isnan(held[0])
    assert held[[25, 40, 50, 60, 75, 98, 100]].tolist() == [25, 25, 50, 50, 75, 75, 100]


def test_the_table_of_all_runs(study: FillStudy) -> None:
    frame = study.frame()
    assert frame.columns == [
        "trace", "policy", "seed", "arrived_pct", "allocated_pct", "frag_pct", "frag_ratio_pct", "failed",
    ]  # fmt: skip
    assert frame.height == 12 * 111
    last = study.runs[-1]
    cell = frame.filter(pl.col("trace") == last.trace, pl.col("policy") == "random", pl.col("seed") == 43)
    assert_frame_equal(cell.drop("trace", "policy", "seed"), last.curve)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["openb:d?pods=cpu050&pending=keep", "openb:d?pods=cpu100&pending=keep"], ["cpu050", "cpu100"]),
        (["openb:d?pods=default", "openb:d?pods=default2"], ["default", "default2"]),
        (["data/a.csv", "data/b.csv"], ["a.csv", "b.csv"]),
        (["x", "x"], ["x", "x"]),
        (["openb:d/"], ["openb:d/"]),
        (["a", "a?b=1"], ["a", "a?b=1"]),
    ],
)
def test_short_names_tell_traces_apart(names: list[str], short: list[str]) -> None:
    assert short_names(names) == short


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"placements": ["fgdd"]}, "unknown placement 'fgdd'; did you mean 'fgd'"),
        ({"placements": ["sjf"]}, "unknown placement 'sjf'"),
        ({"placements": []}, "at least one trace and one placement"),
        ({"traces": []}, "at least one trace and one placement"),
        ({"seeds": 0}, "found 0 seeds"),
        ({"load": 0.0}, "found load 0, expected a number above 0"),
        ({"load": math.nan}, "found load nan"),
        ({"load": 1e12}, "load 1e.12 needs more than 100,000,000 arrivals"),
        ({"cluster": Cluster.of(pl.DataFrame({"node": ["a"], "gpus": [0]}))}, "no GPUs to fill"),
        ({"traces": [Trace(trace().workload)]}, "the trace has no nodes"),
        (
            {"traces": [Trace(Workload.of(trace().workload.table.with_columns(gpus=0)), trace().cluster)]},
            "found no task that asks for a GPU",
        ),
    ],
)
def test_mistakes_are_one_line(change: dict[str, Any], message: str) -> None:
    asked = {"traces": [trace()], "placements": ["fgd"]} | change
    with pytest.raises(ApportionError, match=message) as caught:
        compare_fills(asked.pop("traces"), asked.pop("placements"), **asked)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_a_run_ends_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    from apportion.study.fill import Filler

    def broken(*_: object) -> None:
        raise ApportionError("no")

    monkeypatch.setattr(Filler, "run", broken)
    with pytest.raises(ApportionError, match="no"):
        compare_fills([trace()], PLACEMENTS, seeds=5)


def test_published_failures_of_two_workloads() -> None:
    """Failed tasks of the published runs with seed 42 (FGD artifact)."""
    specs = expand(f"openb:{real_data('openb')}?pods=default,multigpu50")
    found = compare_fills([load(spec, timeless=True) for spec in specs], ["fgd", "best-fit", "gpu-clustering"])
    failed = found.values("failed")[..., 0, -1].tolist()
    assert failed == [[2532, 2676, 2797], [1312, 1378, 1369]]
