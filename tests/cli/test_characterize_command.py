"""`characterize` on the command line: what it prints, what it leaves, and what it says of mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from commandline import Call

TRACE = "synthetic:philly?jobs=400&seed=2"


def test_a_table_and_a_line_for_each_section(cli: Call) -> None:
    done = cli("characterize", TRACE, "--against", "venus, pai")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith(TRACE) and lines[1].split() == ["overview", "here", "pai"]
    for title in ("The cluster", "Run times", "Sizes", "How jobs end", "Users", "Groups", "When jobs come", "left out"):
        assert title in lines, title
    assert "Furthest from venus" in done.out and "no column wait_s" in done.out
    assert "generated, not measured" in done.err
    assert all(len(line) <= 100 for line in lines[:40])


def test_quiet_says_results_only(cli: Call) -> None:
    done = cli("characterize", TRACE, "--quiet", "--out", "found")
    assert done.code == 0 and done.err == ""
    assert "overview" in done.out


def test_files_and_json_say_the_same(cli: Call) -> None:
    done = cli("characterize", TRACE, "--out", "found", "--json", "-", "--against", "philly")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told == json.loads(Path("found/summary.json").read_text())
    assert (told["trace"], told["against"]) == (TRACE, ["philly"])
    sections = {section["key"]: section for section in told["sections"]}
    assert sections["overview"]["numbers"]["jobs"] == 400
    assert "no column wait_s" in sections["observed_waits"]["skipped"]
    curve = pl.read_csv("found/tables/durations-cdf.csv")
    assert curve.columns == ["duration_s", "jobs", "gpu_time", "philly"]
    assert len(pl.read_csv("found/tables/overview-summary.csv").columns) == 28
    assert "wrote found" in done.err
    assert Path("found/report.html").read_text(encoding="utf-8").count("<h1>") == 1


def test_the_same_trace_gives_the_same_bytes(cli: Call) -> None:
    first = cli("characterize", TRACE, "--json", "-", "--quiet").out
    assert first == cli("characterize", TRACE, "--json", "-", "--quiet").out


def test_another_cluster_takes_the_place_of_the_traces_own(cli: Call) -> None:
    told = json.loads(cli("characterize", TRACE, "--cluster", "10x8:A100", "--json", "-").out)
    machines = next(section for section in told["sections"] if section["key"] == "machines")
    assert machines["numbers"]["gpus"] == 80


def test_a_typo_in_a_file_is_one_line(cli: Call) -> None:
    Path("jobs.csv").write_text("submit_s,duration_s,gpus\n0,10,1\n5,1o,2\n")
    outcome = cli("characterize", "jobs.csv")
    assert (outcome.code, outcome.out) == (1, "")
    assert "row 3" in outcome.complaint and "'duration_s'" in outcome.complaint and "'1o'" in outcome.complaint


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("characterize", TRACE, "--against", "phily"), 2, "did you mean 'philly'?"),
        (("characterize", "nothere.csv"), 1, "no such file"),
        (("characterize", TRACE, "--cluster", "10x"), 1, "10x"),
        (("characterize", "synthetic:philly?jobs=5&from=9e9"), 1, "found no jobs"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else None,
)
def test_mistakes_are_said_in_a_line(cli: Call, arguments: tuple[str, ...], code: int, says: str) -> None:
    outcome = cli(*arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert says in outcome.complaint


def test_nothing_is_compiled_for_a_trace_without_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("submit_s,duration_s,gpus\n0,10,1\n5,10,2\n")
    script = """
import sys
sys.argv = ["apportion", "characterize", "jobs.csv", "--quiet"]
from apportion.cli.app import main
main_error = None
try:
    main()
except SystemExit as leaving:
    main_error = leaving.code
sys.stderr.write(f"{main_error} {'numba' in sys.modules} {'plotly' in sys.modules}")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == "0 False False"
