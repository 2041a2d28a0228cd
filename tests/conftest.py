"""Fixtures of all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inputs import real_data


@pytest.fixture
def data() -> Callable[..., Path]:
    """`real_data` as a fixture."""
    return real_data
