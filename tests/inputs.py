"""Real inputs for tests: outside the repository, never copied into it; without them a test is skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """Return the folder of real inputs: `APPORTION_DATA`, or `../shared/data` beside the repository."""
    named = os.environ.get("APPORTION_DATA")
    return Path(named) if named else REPOSITORY.parent / "shared" / "data"


def real_data(*parts: str) -> Path:
    """Return the path of a real input, such as `real_data("philly", "philly.csv")`, or skip the test."""
    path = data_folder().joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real input {'/'.join(parts)} is not in {data_folder()} (set APPORTION_DATA)")
    return path
