"""The program as a process: signals, closed pipes, full disks."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "apportion.cli.app"]
LONG = "synthetic:philly?jobs=300000&load=1.2"
SHORT = "synthetic:philly?jobs=200"


@pytest.mark.parametrize(
    "command", [["compare", LONG, "srtf", "las", "sjf", "srtf+spread"], ["simulate", LONG, "-p", "srtf"]]
)
def test_ctrl_c_ends_the_program_at_once(tmp_path: Path, command: list[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("old")
    arguments = [*PROGRAM, *command, "--out", str(out)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        time.sleep(1.0)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        try:
            written, rest = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 130
    assert written == ""
    said = [line for line in (first + rest).splitlines() if line.startswith("apportion: ")]
    assert said == ["apportion: interrupted"]
    assert "Traceback" not in rest
    assert [path.name for path in out.iterdir()] == ["summary.json"]
    assert (out / "summary.json").read_text() == "old"


@pytest.mark.parametrize(
    "command", [["traces"], ["--help"], ["simulate", SHORT, "-q"], ["simulate", SHORT, "-q", "--json", "-"]]
)
def test_a_reader_that_goes_away_is_no_mistake(command: list[str]) -> None:
    with subprocess.Popen([*PROGRAM, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def _files_of_at_most(size: int) -> Callable[[], None]:
    """Return what makes every longer file of a process fail, as a full disk would."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize(
    ("command", "limit", "file"),
    [
        (["simulate", SHORT, "-q", "--out", "out"], 2_000, "out/jobs.parquet"),
        (["simulate", SHORT, "-q", "--out", "out"], 1_000_000, "out/report.html"),
        (["compare", SHORT, "fifo", "sjf", "-q", "--out", "out"], 1_000_000, "out/report.html"),
        (["simulate", SHORT, "-q", "--json", "s.json"], 100, "s.json"),
        (["generate", "philly", "--jobs", "5000", "-q", "--out", "j.parquet"], 2_000, "j.parquet"),
        (["generate", "philly", "--jobs", "5000", "-q", "--out", "j.csv"], 2_000, "j.csv"),
    ],
)
def test_a_full_disk_is_one_line_and_changes_nothing(tmp_path: Path, command: list[str], limit: int, file: str) -> None:
    def run(before: Callable[[], None] | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*PROGRAM, *command], cwd=tmp_path, capture_output=True, text=True, preexec_fn=before)

    assert run(None).returncode == 0
    there = {path for path in tmp_path.rglob("*") if path.is_file()}
    old = (tmp_path / file).read_bytes()
    full = run(_files_of_at_most(limit))
    assert full.returncode == 1
    assert full.stdout == ""
    assert full.stderr.startswith(f"apportion: {file}: cannot write: ")
    assert full.stderr.count("\n") == 1
    assert (tmp_path / file).read_bytes() == old
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == there


def test_a_full_device_on_stdout_is_one_line() -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full")
    with open("/dev/full", "w") as full:
        command = [*PROGRAM, "simulate", SHORT, "-q"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "apportion: No space left on device\n"
