"""Jobs of a trace, run to the end on a real Slurm of sixteen nodes under several policies.

Times are compressed to about half a minute a policy. `python -m bench.slurm fidelity` runs 200 jobs under each.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from slurm_cluster import SlurmCluster, skip_without, slurm_cluster
from slurm_trace import play, trace

GPUS = 16 * 8
RUNS = {"fifo": 200, "sjf+fgd": 100, "srtf": 100, "fair[by=group]": 100}
"""Jobs by policy."""


@pytest.fixture(scope="module")
def sixteen() -> Iterator[SlurmCluster]:
    skip_without()
    with slurm_cluster({"a100": 8, "v100": 8}) as cluster:
        yield cluster


@pytest.mark.parametrize("policy", RUNS)
def test_every_job_once_on_the_nodes_that_were_decided(sixteen: SlurmCluster, policy: str) -> None:
    jobs = RUNS[policy]
    work = trace(jobs, GPUS, 2 + 0.05 * jobs, 4 + 0.07 * jobs)
    assert {len(models) for models in work.table["gpu_models"]} == {0, 1}
    assert work.table["tasks"].max() > 1
    played = play(sixteen, work, policy)
    sixteen.clear()
    assert played.wrong() == []
    stops = played.stops()
    if policy == "srtf":
        # what was stopped went on, and ended once
        again = [job for job, marks in played.runs.items() if [mark for mark, _ in marks].count("S") > 1]
        assert again
        assert all(stops[job] for job in again)
    else:
        assert not any(stops.values())
        assert all([mark for mark, _ in marks] == ["S", "E"] for marks in played.runs.values())
