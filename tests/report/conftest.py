"""Runs that the tests of reports share; made once."""

from __future__ import annotations

import pytest
from report_runs import run, workload

from apportion.study.result import Result


@pytest.fixture(scope="session")
def pair() -> list[Result]:
    """The same 1,000 jobs oldest first and shortest first."""
    work = workload(1000)
    return [run(work, policy="fifo"), run(work, policy="sjf+best-fit")]
