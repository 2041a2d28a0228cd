"""The package's own table survives a file; a wrong one is named by row and column."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from apportion.model import files
from apportion.model.errors import InputError
from apportion.model.workload import Workload
from apportion.traces.native import write_native
from apportion.traces.registry import load


def workload(origin: datetime | None = datetime(2020, 7, 1, 8)) -> Workload:
    frame = pl.DataFrame(
        {
            "job_id": ["007", 'b,"c"', "d"],
            "user": ["ann", "", "bob"],
            "submit_s": [0.0, 0.1, 7.25],
            "duration_s": [1.0, 1e6, 0.5],
            "tasks": [1, 2, 3],
            "gpu_models": [["A100", "V100"], [], ["T4"]],
            "deadline_s": [None, 5.0, None],
            "status": ["completed", None, "censored"],
            "preemptible": [True, False, True],
            "source_wait_s": [0.5, None, 3.0],
            "zip": ["0123", "4", ""],
        }
    )
    return Workload.of(frame, origin=origin, name="mine")


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
@pytest.mark.parametrize("origin", [None, datetime(2020, 7, 1, 8, 0, 1)])
def test_what_is_written_is_read(tmp_path: Path, ending: str, origin: datetime | None) -> None:
    file = tmp_path / f"mine{ending}"
    wanted = workload(origin)
    write_native(wanted, file)
    trace = load(f"native:{file}")
    table = trace.workload.table
    if ending == ".csv":  # an empty text and nothing look alike in CSV
        table = table.with_columns(pl.col("zip").fill_null(""))
    assert_frame_equal(table, wanted.table)
    assert (trace.workload.origin, trace.workload.name) == (origin, "mine")
    assert (trace.report.rows_read, trace.report.jobs, trace.report.censored) == (3, 3, 1)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


WRITTEN = st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"])


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.floats(0, 1e9),
            st.floats(0, 1e9),
            st.integers(1, 2**31 - 1),
            st.integers(0, 1000),
            st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1, max_size=5),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_workload_survives_csv_and_parquet(
    rows: list[tuple[float, float, int, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = ["submit_s", "duration_s", "tasks", "gpu_milli", "user"]
    wanted = Workload.of(pl.DataFrame(rows, schema=names, orient="row"))
    folder = tmp_path_factory.mktemp("native")
    for ending in ("csv", "parquet"):
        file = folder / f"w.{ending}"
        write_native(wanted, file)
        got = load(f"native:{file}").workload.table
        assert_frame_equal(got, wanted.table, check_exact=True)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("old")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full_disk)
    with pytest.raises(InputError, match="cannot write: No space left on device"):
        write_native(workload(), file)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]
    assert file.read_text() == "old"


def test_other_endings_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found the ending '\.xlsx', expected \.parquet or \.csv"):
        write_native(workload(), tmp_path / "mine.xlsx")
    with pytest.raises(InputError, match="cannot write"):
        write_native(workload(), tmp_path / "no" / "mine.parquet")


def test_a_cluster_file_beside_the_trace(tmp_path: Path) -> None:
    write_native(workload(), tmp_path / "mine.parquet")
    (tmp_path / "nodes.yaml").write_text("- {count: 4, gpus: 8, gpu_model: A100}\n")
    trace = load(f"native:{tmp_path / 'mine.parquet'}?cluster=nodes.yaml")
    assert trace.cluster is not None and trace.cluster.gpus == 32
    with pytest.raises(InputError, match="cannot read the cluster"):
        load(f"native:{tmp_path / 'mine.parquet'}?cluster=absent.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("submit_s,tasks\n0,1\n", r"column 'duration_s': found columns submit_s, tasks"),
        (
            "submit_s,duration_s\n0,1\n1,long\n",
            r"row 3, column 'duration_s': found 'long'",
        ),
        ("submit_s,duration_s\n0,-1\n", r"row 2, column 'duration_s': found '-1'"),
        (
            "submit_s,duration_s,tasks\n0,1,1.5\n",
            r"row 2, column 'tasks': found '1.5'",
        ),
        ("submit_s,duration_s,tasks\n0,1,99999999999\n", r"row 2, column 'tasks': found '99999999999'"),
        (
            "submit_s,duration_s,preemptible\n0,1,maybe\n",
            r"column 'preemptible': .*expected true or false",
        ),
        ("submit_s,duration_s,origin\n0,1,2020-01-01\n1,1,2021-01-01\n", r"column 'origin': found 2 values"),
        ("submit_s,duration_s,origin\n0,1,May\n", r"column 'origin': found 'May', expected a time"),
        ("submit_s,duration_s,gpu_milli\n0,1,1001\n", "expected at most 1000"),
    ],
)
def test_bad_csv_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load(f"native:{file}")
    assert "bad.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_bad_parquet_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bad.parquet"
    file.write_bytes(b"PAR1 no it is not PAR1")
    with pytest.raises(InputError, match="cannot read"):
        load(f"native:{file}")
    pl.DataFrame({"submit_s": [datetime(2020, 1, 1)], "duration_s": [1.0]}).write_parquet(file)
    with pytest.raises(InputError, match=r"column 'submit_s': found Datetime.*seconds from the origin"):
        load(f"native:{file}")
    with pytest.raises(InputError, match="no such file"):
        load(f"native:{tmp_path / 'absent.parquet'}")
