"""Fixtures of the live tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from slurm_cluster import SlurmCluster, rest_daemon, skip_without, slurm_cluster

from apportion.live.slurm import Rest, Slurm


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[SlurmCluster]:
    """A real Slurm for the whole run: three nodes of eight A100 and two of eight V100."""
    skip_without()
    with slurm_cluster({"a100": 3, "v100": 2}) as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_session: SlurmCluster) -> Iterator[SlurmCluster]:
    """A Slurm without jobs."""
    slurm_session.clear()
    yield slurm_session
    slurm_session.clear()


@pytest.fixture
def rest(slurm: SlurmCluster) -> Iterator[Rest]:
    """The real REST daemon of `slurm`."""
    if shutil.which("slurmrestd", path=slurm.env["PATH"]) is None:
        pytest.skip("slurmrestd is not installed")
    with rest_daemon(slurm) as path:
        yield Rest(path, timeout_s=60, slurm=Slurm(conf=slurm.conf, timeout_s=60))
