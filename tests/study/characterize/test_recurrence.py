"""Work that comes again, and what its past says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.model.trace import Trace
from apportion.model.workload import Workload
from apportion.study.characterize import recurrence
from apportion.study.characterize.subject import prepare


def test_only_what_had_ended_counts() -> None:
    jobs = pl.DataFrame(
        {
            "group_number": [0, 0, 0, 0, 1],
            "submit_s": [0.0, 5.0, 10.0, 200.0, 300.0],
            "duration_s": [10.0, 100.0, 30.0, 50.0, 7.0],
        }
    ).with_columns(end_s=pl.col("submit_s") + pl.col("duration_s"))
    told = recurrence.foretell(jobs)
    # the third knows the first, which ends as it comes; the fourth knows three; the first of group 1 knows none
    assert told.sort("duration_s").rows() == [(30.0, 10.0), (50.0, 30.0)]


def test_against_a_slow_count() -> None:
    random = np.random.default_rng(0)
    jobs = pl.DataFrame(
        {
            "group_number": random.integers(0, 5, 300),
            "submit_s": np.sort(random.uniform(0, 5000, 300)),
            "duration_s": random.lognormal(4, 1, 300),
        }
    ).with_columns(end_s=pl.col("submit_s") + pl.col("duration_s"))
    wanted = []
    for group, submit, duration, _ in jobs.iter_rows():
        past = jobs.filter((pl.col("group_number") == group) & (pl.col("end_s") <= submit)).sort("end_s")
        if past.height:
            wanted.append((duration, past["duration_s"].tail(recurrence.MEMORY).median()))
    told = recurrence.foretell(jobs)
    assert np.array(sorted(told.rows())) == pytest.approx(np.array(sorted(wanted)))


def test_names_of_work_are_used_where_they_come_again() -> None:
    frame = pl.DataFrame(
        {
            "submit_s": [100.0 * i for i in range(12)],
            "duration_s": [10.0, 50.0] * 6,
            "user": ["u"] * 12,
            "job_name": ["short", "long"] * 6,
        }
    )
    section = recurrence.look(prepare(Trace(Workload.of(frame))))
    assert section.numbers["groups"] == 2
    assert section.numbers["jobs_in_groups_of_5_share"] == 1
    assert section.numbers["within_25_pct_share"] == 1
    assert section.numbers["rank_correlation"] == pytest.approx(1)
    assert section.tables["repeats"].rows() == [(1, 1.0, 1.0), (2, 1.0, 1.0), (5, 1.0, 1.0)]
    unnamed = recurrence.look(prepare(Trace(Workload.of(frame.with_columns(job_name=pl.lit(""))))))
    assert unnamed.numbers["groups"] == 1
    assert unnamed.numbers["within_25_pct_share"] < 0.75
    assert "does not name the work" in unnamed.sentences[0]


def test_templates_foretell_more_than_size_alone() -> None:
    trace = ap.load("synthetic:philly?jobs=3000&seed=2")
    named = recurrence.look(prepare(trace)).numbers
    table = trace.workload.table.drop("job_name")
    blind = recurrence.look(prepare(Trace(Workload.of(table)))).numbers
    assert named["within_25_pct_share"] > blind["within_25_pct_share"]
    assert named["median_error_factor"] < blind["median_error_factor"]
