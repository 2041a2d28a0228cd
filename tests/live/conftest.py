"""Fixtures of the live tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from slurm_cluster import SlurmCluster, missing, slurm_cluster


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[SlurmCluster]:
    """A real Slurm for the whole run: three nodes of eight A100 and two of eight V100."""
    absent = missing()
    if absent:
        pytest.skip(f"Slurm is not installed: {', '.join(absent)} not found")
    with slurm_cluster({"a100": 3, "v100": 2}) as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_session: SlurmCluster) -> Iterator[SlurmCluster]:
    """A Slurm without jobs."""
    slurm_session.clear()
    yield slurm_session
    slurm_session.clear()
