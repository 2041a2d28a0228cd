"""Means over seeds, and how sure they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import polars as pl
import pytest

from apportion.model import Cluster, InputError, Trace, UsageError, Workload
from apportion.model.cluster_spec import parse_cluster
from apportion.study.compare import Run, Study, compare, half_width
from apportion.study.result import Result


@dataclass
class Fixed:
    """A result of which only the summary is known."""

    known: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """Return it."""
        return self.known


def study(runs: list[tuple[Run, dict[str, Any]]]) -> Study:
    """Return a study of known summaries."""
    return Study([run for run, _ in runs], cast(list[Result], [Fixed(known) for _, known in runs]))


def known(mean: float, **more: Any) -> dict[str, Any]:
    """Return a summary."""
    return {"policy": "fifo", "jobs": 10, "jct_s": {"mean": mean, "max": 2 * mean}, "engine": {"wall_s": mean}} | more


def test_numbers_are_averaged_and_the_interval_is_students() -> None:
    runs = [(Run("fifo", seed, None), known(mean)) for seed, mean in enumerate((10.0, 12.0, 17.0))]
    (mean,) = study(runs).means()
    assert mean["jct_s"] == {"mean": 13.0, "max": 26.0}
    assert (mean["seeds"], mean["jobs"], mean["policy"]) == (3, 10, "fifo")
    assert "seed" not in mean
    # deviations -3, -1, 4: variance 26 / 2 = 13; t of 2 degrees of freedom = 4.303
    assert math.isclose(mean["jct_mean_ci95_s"], 4.303 * math.sqrt(13 / 3))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0], 0.0),
        ([5.0, 5.0], 0.0),
        # deviations of 1, variance 2, standard error 1, t of 1 degree of freedom
        ([4.0, 6.0], 12.706),
        # 4 x -1 and 4 x +1 and 0: variance 8 / 8 = 1, standard error 1 / 3, t of 8 degrees of freedom
        ([9.0] * 4 + [11.0] * 4 + [10.0], 2.306 / 3),
        # 31 values, +-1 and one 0: variance 30 / 30 = 1, t of 30 degrees of freedom
        ([9.0] * 15 + [11.0] * 15 + [10.0], 2.042 / math.sqrt(31)),
        # 101 values: beyond the table the normal distribution
        ([9.0] * 50 + [11.0] * 50 + [10.0], 1.96 / math.sqrt(101)),
    ],
)
def test_half_the_width_of_the_interval(values: list[float], expected: float) -> None:
    assert math.isclose(half_width(values), expected, rel_tol=1e-12)


def test_a_count_that_is_absent_is_none() -> None:
    for counts in ((6, None), (None, 6)):
        runs = [
            (Run("fifo", seed, None), known(10.0) if count is None else known(10.0, restarts=count))
            for seed, count in enumerate(counts)
        ]
        assert study(runs).means()[0]["restarts"] == 3


def test_a_seed_without_a_completed_job_does_not_count_in_the_mean() -> None:
    nothing = {"policy": "fifo", "jobs": 10, "engine": {"wall_s": 1.0}}
    for summaries in ((nothing, known(10.0)), (known(10.0), nothing)):
        (mean,) = study([(Run("fifo", seed, None), s) for seed, s in enumerate(summaries)]).means()
        assert mean["jct_s"]["mean"] == 10.0
        assert mean["jct_mean_ci95_s"] == 0.0


def test_cells_are_policies_and_loads() -> None:
    runs = [
        (Run(policy, seed, load), known(base + seed, policy=policy))
        for base, policy in ((10.0, "fifo"), (20.0, "sjf"), (30.0, "sjf"))
        for load in (0.8, 1.2)
        for seed in (7, 8)
    ]
    means = study(runs).means()
    cells = [(mean["policy"], mean["load"], mean["jct_s"]["mean"]) for mean in means]
    assert cells == [(p, load, m) for p, m in (("fifo", 17.5), ("sjf", 27.5), ("sjf", 37.5)) for load in (0.8, 1.2)]


def test_one_seed_is_its_own_mean() -> None:
    runs = [(Run(policy, 0, None), known(5.0, policy=policy)) for policy in ("fifo", "sjf")]
    assert study(runs).means() == [known(5.0, policy="fifo"), known(5.0, policy="sjf")]


def trace(cluster: Cluster | None) -> Trace:
    """Return two jobs."""
    return Trace(Workload.of(pl.DataFrame({"submit_s": [0.0, 1.0], "duration_s": [5.0, 5.0]})), cluster)


def test_a_frame_has_a_row_for_each_run() -> None:
    frame = compare(trace(parse_cluster("1x1")), ["fifo", "ljf"], seeds=2).frame()
    assert frame["policy"].to_list() == ["fifo", "fifo", "ljf", "ljf"]
    assert frame["seed"].to_list() == [0, 1, 0, 1]
    assert frame["jct_s.mean"].to_list() == [7.0] * 4


def test_what_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="no nodes"):
        compare(trace(None), ["fifo"])
    with pytest.raises(UsageError, match="at least one policy"):
        compare(trace(parse_cluster("1x1")), [])
    with pytest.raises(UsageError, match="found 0 seeds"):
        compare(trace(parse_cluster("1x1")), ["fifo"], seeds=0)
