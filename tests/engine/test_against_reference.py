"""The engine against the reference simulator: the same runs at the same times on the same devices."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference import JobSpec, NodeSpec, RunRecord, World, simulate
from worlds import FAMILIES, worlds

Row = tuple[float, int, float, tuple[tuple[int, int, int], ...]]


def engine_runs(world: World) -> list[RunRecord]:
    """Play a world with the engine: the only place here that knows the package's entry."""
    entry = pytest.importorskip("apportion.study.simulate")
    if not hasattr(entry, "simulate_world"):
        pytest.skip("the engine has no entry for worlds yet")
    runs: list[RunRecord] = entry.simulate_world(world)
    return runs


def rows(runs: list[RunRecord]) -> list[Row]:
    """Return runs as (start, job, end, pieces), sorted; what still runs ends at infinity."""
    listed = []
    for run in runs:
        end = float("inf") if run.end is None else run.end
        listed.append((run.start, run.job, end, tuple(sorted(run.pieces))))
    return sorted(listed)


def compare(world: World, reference_runs: list[RunRecord], engine_runs: list[RunRecord]) -> None:
    """Fail at the first run, in order of time, on which the two disagree.

    Raises
    ------
    AssertionError: names both runs, the job and the settings.
    """
    expected, found = rows(reference_runs), rows(engine_runs)
    for number, (a, b) in enumerate(zip(expected, found)):
        if a != b:
            job = world.jobs[min(a, b)[1]]
            raise AssertionError(
                f"run {number}: the reference has (start, job, end, pieces) {a}, the engine {b}\n"
                f"job {min(a, b)[1]}: {job}\nnodes: {world.nodes}\n{world.settings}"
            )
    if len(expected) != len(found):
        extra = max(expected, found, key=len)[min(len(expected), len(found))]
        who = "reference" if len(expected) > len(found) else "engine"
        raise AssertionError(f"only the {who} has the run {extra}\nnodes: {world.nodes}\n{world.settings}")


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [RunRecord(0, 0, 2, ((0, 1, 1),))],
        [RunRecord(0, 0, 1, ((0, 2, 1),))],
        [RunRecord(0, 0, None, ((0, 1, 1),))],
        [RunRecord(0, 0, 1, ((0, 1, 1),)), RunRecord(0, 1, 1, ((0, 1, 1),))],
    ],
)
def test_a_difference_is_noticed(wrong: list[RunRecord]) -> None:
    world = World((NodeSpec(gpus=2),), (JobSpec(),))
    right, _ = simulate(world)
    compare(world, right, [RunRecord(0, 0.0, 1.0, ((0, 1, 1),))])
    with pytest.raises(AssertionError, match="run"):
        compare(world, right, wrong)


@pytest.mark.parametrize("family", FAMILIES)
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_every_run_is_the_same(family: str, data: st.DataObject) -> None:
    world = data.draw(worlds(family))
    compare(world, simulate(world)[0], engine_runs(world))
