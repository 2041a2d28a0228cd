"""GPUs needed with and without sharing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apportion.model.trace import Trace
from apportion.model.workload import Workload
from apportion.study.characterize import sharing
from apportion.study.characterize.section import Section
from apportion.study.characterize.subject import prepare


def look(**columns: list[float]) -> Section:
    return sharing.look(prepare(Trace(Workload.of(pl.DataFrame(columns)))))


def one_by_one(sizes: list[int]) -> int:
    """Best fit decreasing, a device a list entry."""
    left: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [i for i, free in enumerate(left) if free >= size]
        if fitting:
            left[min(fitting, key=lambda i: left[i])] -= size
        else:
            left.append(1000 - size)
    return len(left)


@given(st.lists(st.integers(1, 1000), max_size=60))
def test_packing_by_classes_is_packing_one_by_one(sizes: list[int]) -> None:
    levels = sorted(set(sizes), reverse=True)
    counts = np.array([sizes.count(level) for level in levels], float)
    assert sharing.devices(levels, counts) == one_by_one(sizes)


def test_two_halves_on_one_device() -> None:
    section = look(submit_s=[0, 0, 0, 6000], duration_s=[6000] * 4, gpus=[1] * 4, gpu_milli=[500, 500, 1000, 500])
    assert section.numbers["peak_gpus_alone"] == 3
    assert section.numbers["peak_gpus_shared"] == 2
    assert section.numbers["largest_saving_gpus"] == 1
    assert section.numbers["shared_jobs_share"] == 0.75
    assert "3 GPUs would be needed without sharing and 2 with it" in section.sentences[1]
    assert "shared_devices_util_pct" not in section.numbers


def test_contention_where_it_is_known_how_busy_tasks_were() -> None:
    section = look(
        submit_s=[0, 0, 6000], duration_s=[6000] * 3, gpus=[1] * 3, gpu_milli=[500, 500, 1000], gpu_util=[60, 40, 5]
    )
    assert section.numbers["shared_devices_util_pct"] == pytest.approx(100)
    assert section.numbers["contended_time_share"] == 1
    assert "slow each other down" in " ".join(section.sentences)


def test_nothing_is_shared() -> None:
    assert "gpu_milli" in look(submit_s=[0, 9000], duration_s=[1, 1], gpus=[1, 1]).skipped
