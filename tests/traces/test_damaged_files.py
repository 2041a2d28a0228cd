"""Whatever bytes a file holds, a reader of a published trace answers with a trace or with one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import test_acme
import test_helios
import test_openb
import test_pai
import test_pai_sim
import test_philly
import test_philly_raw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import read

from apportion.model import InputError
from apportion.traces import registry

NAMES = ("openb", "philly", "philly-raw", "pai", "pai-sim", "helios", "acme")


def build(name: str, folder: Path) -> tuple[Path, Path]:
    """Write a small valid trace; return what to read and the file to damage."""
    if name == "openb":
        (folder / "openb_node_list_gpu_node.csv").write_text(test_openb.NODES)
        path = folder / "openb_pod_list_default.csv"
        path.write_text(test_openb.HEADER + test_openb.PODS)
        return folder, path
    if name == "philly":
        path = test_philly.write(folder, "2017-10-09 07:01:55,66.0,1,66.0,b\n2017-10-09 07:00:55,10,8,80,a\n")
        return path, path
    if name == "philly-raw":
        tried = test_philly_raw.attempt("07:00:00", "07:05:00", 2, 2)
        path = test_philly_raw.write(folder, test_philly_raw.job("a", "07:00:00", tried))
        return folder, path
    if name == "pai":
        (folder / "pai_job_table.csv").write_text(test_pai.JOBS)
        (folder / "pai_task_table.csv").write_text(test_pai.TASKS)
        path = folder / "pai_instance_table.csv"
        path.write_text(test_pai.INSTANCES)
        return folder, path
    if name == "pai-sim":
        path = test_pai_sim.write(folder, "0,u,0.5,6.0,1,T4,10,5,0,1.5,2", "1,u,2.5,6,1,V100,11,5,0,,")
        return path, path
    if name == "helios":
        test_helios.write(folder, test_helios.row(1, "00:00:00", "00:00:10", "01:00:00"))
        return folder, folder / "cluster_log.csv"
    path = folder / "trace_kalos.csv"
    path.write_text(test_acme.KALOS)
    return path, path


@pytest.mark.parametrize("name", NAMES)
def test_each_file_is_recognised_as_its_format_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "all_formats", lambda: [registry.get_format(other) for other in NAMES])
    location, damaged = build(name, tmp_path)
    # A table of PAI alone has no header row to tell it by: its folder has.
    for path in {location, damaged} if name != "pai" else {location}:
        assert registry.recognise(path).name == name
    assert len(read(name, location).workload)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_give_a_trace_or_one_line(name: str, tmp_path: Path) -> None:
    location, path = build(name, tmp_path)
    whole = path.read_bytes()
    cells = st.sampled_from([b"", b"-1", b"nan", b"1e400", b"9" * 30, b"0", b"\x00", b'"', b"\xff", b"\r", b"[", b","])

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        where=st.integers(0, len(whole)),
        width=st.integers(0, 12),
        what=cells | st.binary(max_size=8),
    )
    def damage(where: int, width: int, what: bytes) -> None:
        path.write_bytes(whole[:where] + what + whole[where + width :])
        assert_answers(lambda: read(name, location))

    damage()
    for rest in (b"", b"\n", whole[: len(whole) // 2], bytes(range(256)), whole.replace(b"\n", b"\r\n")):
        path.write_bytes(rest)
        assert_answers(lambda: read(name, location))


def assert_answers(attempt: Callable[[], object]) -> None:
    """Run `attempt`, which may refuse in one line that names a place."""
    try:
        attempt()
    except InputError as error:
        assert "\n" not in str(error)
        assert error.file is not None
