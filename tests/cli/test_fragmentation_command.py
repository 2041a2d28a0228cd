"""`apportion fragmentation`: files in, lines and JSON out, and one line for what is wrong."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import polars as pl
import pytest
from commandline import Call

from apportion.model.errors import InputError
from apportion.model.snapshot import Snapshot
from apportion.traces.snapshot import read_snapshot
from inputs import REPOSITORY

NODES = """node,gpu_model,gpus,cpu_milli,memory_mib
a1,A100,4,64000,256000
a2,A100,4,64000,256000
t1,T4,2,16000,64000
"""
TASKS = """job_id,node,devices,gpus,gpu_milli,cpu_milli,memory_mib,gpu_models,movable
train-1,a1,0-1,2,1000,16000,64000,A100,yes
train-2,a1,2,1,1000,8000,32000,A100|T4,no
infer-1,a2,0,1,300,4000,8000,,yes
infer-2,a2,1,1,500,4000,8000,,yes
etl,t1,,0,0,15000,32000,,yes
"""
PLAIN = "node,gpus,gpu_milli\na1,2,1000\na2,1,300\n"


@pytest.fixture
def files(cli: Call, tmp_path: Path) -> Path:
    """Write a cluster and what runs on it into the folder in which commands run."""
    (tmp_path / "nodes.csv").write_text(NODES)
    (tmp_path / "tasks.csv").write_text(TASKS)
    (tmp_path / "plain.csv").write_text(PLAIN)
    return tmp_path


def test_a_live_cluster_is_gauged(cli: Call, files: Path) -> None:
    outcome = cli("fragmentation", "--cluster", "nodes.csv", "--tasks", "tasks.csv")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("3 nodes with 10 GPUs: 5 tasks hold 3.8, 6.2 are free\nstranded: ")
    for words in ("what becomes of the free GPUs", "by GPU model", "on which nodes", "for which typical tasks"):
        assert words in outcome.out
    # the CPU of t1 is taken by a task that needs no GPU, and has room elsewhere
    assert re.search(r"1\. move job etl \(row 6; no GPU, 15 cores\) from t1 to a[12]: frees", outcome.out)


def test_the_summary_is_written(cli: Call, files: Path) -> None:
    arguments = ["fragmentation", "--cluster", "nodes.csv", "--tasks", "tasks.csv", "--moves", "2", "--json"]
    told = cli(*arguments, "-")
    assert cli(*arguments, "s.json").code == 0
    summary = json.loads(Path("s.json").read_text())
    assert json.loads(told.out) == summary
    assert (summary["tasks"], summary["nodes"], summary["capacity_gpus"], summary["nodes_down"]) == (5, 3, 10, 0)
    assert summary["stranded_gpus"] == pytest.approx(
        sum(gpus for name, gpus in summary["buckets_gpus"].items() if name != "q3")
    )
    assert summary["stranded_pct_of_capacity"] == pytest.approx(10 * summary["stranded_gpus"])
    assert summary["asks_no_gpu_gpus"] == pytest.approx(6.2 / 5)
    assert [row["gpu_model"] for row in summary["models"]] == ["A100", "T4"]
    assert len(summary["advice"]["moves"]) == 2
    nothing = cli(*arguments[:-3], "--moves", "0", "--json", "-")
    assert "advice" not in json.loads(nothing.out)


def test_room_is_made(cli: Call, files: Path) -> None:
    outcome = cli("fragmentation", "--cluster", "nodes.csv", "--tasks", "tasks.csv", "--for", "gpus=4,cpu_milli=60000")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[lines.index("to make room for gpus=4,cpu_milli=60000") + 3].startswith(
        "  then it fits on a2 devices 0"
    )
    none = cli("fragmentation", "--cluster", "nodes.csv", "--tasks", "tasks.csv", "--for", "gpus=8", "--json", "-")
    advice = json.loads(none.out)["advice"]
    assert (advice["node"], advice["moves"], advice["for"]) == (None, [], "gpus=8")


def test_devices_are_assigned_where_none_are_said(cli: Call, files: Path) -> None:
    arguments = ["fragmentation", "--cluster", "nodes.csv", "--tasks", "plain.csv"]
    outcome = cli(*arguments)
    assert outcome.err == "2 tasks do not say which devices they use: assigned by best fit\n"
    quiet = cli(*arguments, "--quiet")
    assert (quiet.out, quiet.err) == (outcome.out, "")


def test_what_is_typical_can_come_from_a_trace(cli: Call, files: Path) -> None:
    arguments = ["fragmentation", "--tasks", "plain.csv", "--workload", "synthetic:philly?jobs=50", "--json", "-"]
    outcome = cli(*arguments, "--cluster", "nodes.csv", "--down", "t1, a1")
    summary = json.loads(outcome.out)
    assert summary["workload"].startswith("synthetic")
    assert (summary["nodes_down"], summary["free_gpus"]) == (2, 3.7)
    assert "2 nodes take no tasks" in outcome.err
    # the trace's own nodes, and those of another trace
    assert "found 'a1'" in cli(*arguments).complaint
    assert "found 'a1'" in cli(*arguments, "--cluster", "synthetic:venus?jobs=9").complaint


def test_a_moment_of_a_simulated_run_is_gauged(cli: Call) -> None:
    arguments = ["fragmentation", "synthetic:philly?jobs=200&seed=1", "--cluster", "8x8", "-p", "fifo+spread"]
    outcome = cli(*arguments, "--at", "1d", "--json", "-")
    assert json.loads(outcome.out)["tasks"] > 0
    assert "fifo+spread after" in outcome.err
    assert "(when most was stranded while jobs waited)" in cli(*arguments).err


def test_parquet_is_read_as_csv_is(cli: Call, files: Path) -> None:
    table = read_snapshot("tasks.csv").table.drop("row")
    table.write_parquet("tasks.parquet")
    table.with_columns(pl.col("gpu_models").list.join("|")).write_parquet("text.parquet")
    for name in ("tasks.parquet", "text.parquet"):
        assert read_snapshot(name).table.drop("row").equals(table)
        assert read_snapshot(name).table["row"].to_list() == [1, 2, 3, 4, 5]
    assert read_snapshot("tasks.csv").table["row"].to_list() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("cell", "devices"),
    [("0", [0]), ("0;3", [0, 3]), ('"3,0"', [0, 3]), ("0-2;5", [0, 1, 2, 5]), ("[1]", [1]), ("1 2", [1, 2])],
)
def test_devices_are_written_in_many_ways(files: Path, cell: str, devices: list[int]) -> None:
    Path("d.csv").write_text(f"node,devices\nn,{cell}\n")
    table = read_snapshot("d.csv").table
    assert table["devices"].to_list() == [devices]
    assert table["gpus"].to_list() == [len(devices)]


def test_frames_take_devices_as_numbers_lists_and_text() -> None:
    for values in ([[0], [1, 2], None], ["0", "1-2", None], [["0"], ["1", "2"], None]):
        frame = pl.DataFrame({"node": ["n"] * 3, "devices": values}, strict=False)
        if frame.schema["devices"] == pl.List(pl.String):
            with pytest.raises(InputError, match=r"row 1, column 'devices'"):
                Snapshot.of(frame)
            continue
        assert Snapshot.of(frame).table["devices"].to_list() == [[0], [1, 2], []]
    for value in (float("nan"), 0.5, -1.0):
        with pytest.raises(InputError, match="expected device indices"):
            Snapshot.of(pl.DataFrame({"node": ["n"], "devices": [value]}))


USUAL = "--cluster nodes.csv"
MISTAKES = [
    ("node,gpus\na1,1\nb1,1\n", USUAL, 1, ["bad.csv, row 3, column 'node'", "'b1'", "did you mean"]),
    ("node,gpus\n,1\n", USUAL, 1, ["bad.csv, row 2, column 'node'", "nothing", "the name of a node"]),
    ("node,gpus\na1,5\n", USUAL, 1, ["bad.csv, row 2, column 'gpus'", "found 5", "at most 4, the GPUs of a1"]),
    ("node,gpus\na1,0.5\n", USUAL, 1, ["bad.csv, row 2, column 'gpus'", "'0.5'", "a whole number"]),
    ("node,gpus\na1,3\na1,2\n", USUAL, 1, ["bad.csv, row 3, column 'gpus'", "found 2, but a1 has 1 devices left"]),
    ("node,devices\na1,4\n", USUAL, 1, ["bad.csv, row 2, column 'devices'", "found 4", "below 4"]),
    ("node,devices\na1,x\n", USUAL, 1, ["bad.csv, row 2, column 'devices'", "'x'", "0;3"]),
    ("node,devices\na1,0;0\n", USUAL, 1, ["bad.csv, row 2, column 'devices'", "'0;0'", "each once"]),
    ("node,devices\na1,3-1\n", USUAL, 1, ["bad.csv, row 2, column 'devices'", "'3-1'"]),
    ("node,devices,gpus\na1,0;1,1\n", USUAL, 1, ["bad.csv, row 2, column 'devices'", "found 2 ([0, 1])", "expected 1"]),
    ("node,devices,gpu_milli\na1,0,700\na1,0,400\n", USUAL, 1, ["row 3, column 'devices'", "device 0", "300 are free"]),
    ("node,devices,gpu_milli\na1,0,1001\n", USUAL, 1, ["row 2, column 'gpu_milli'", "'1001'", "at most 1000"]),
    ("node,gpus,cpu_milli\na1,0,60000\na1,0,5000\n", USUAL, 1, ["row 3, column 'cpu_milli'", "5000", "at most 4000"]),
    ("node,gpus,memory_mib\nt1,0,64001\n", USUAL, 1, ["row 2, column 'memory_mib'", "64001", "at most 64000"]),
    ("node,gpus,gpu_models\na1,1,T4|V100\n", USUAL, 1, ["row 2, column 'gpu_models'", "T4|V100", "of a1, A100"]),
    ("node,gpus,movable\na1,1,maybe\n", USUAL, 1, ["row 2, column 'movable'", "'maybe'", "yes or no"]),
    ("node,job_id\na1,1\n", USUAL, 1, ["bad.csv, column 'gpus'", "node, job_id", "gpus or devices"]),
    ("gpus\n1\n", USUAL, 1, ["bad.csv, row 1, column 'node'"]),
    ("", USUAL, 1, ["bad.csv", "empty"]),
    ("node,gpus\n", USUAL, 1, ["no tasks", "typical"]),
    ("node,gpus\na1,1\n", "", 2, ["--tasks needs --cluster"]),
    ("node,gpus\na1,1\n", "--cluster nowhere.csv", 1, ["nowhere.csv", "No such file"]),
    ("node,gpus\na1,1\n", "--cluster nodes.csv --down a9", 1, ["'a9' to be down", "did you mean"]),
    ("node,gpus\na1,1\n", "--cluster nodes.csv --at 5", 2, ["--at", "TRACE"]),
    ("node,gpus\na1,1\n", "--cluster nodes.csv --moves -1", 2, ["--moves -1", "at least 0"]),
    ("node,gpus\na1,1\n", "--cluster nodes.csv --for gpu=8", 2, ["'gpu=8'", "did you mean 'gpus'?"]),
    ("node,gpus\na1,1\n", "--cluster nodes.csv --for gpus=1,gpu_models=K80", 1, ["gpu_models=K80", "A100, T4"]),
    ("node,gpus\na1,1\n", "--cluster nodes.csv --json nowhere/s.json", 1, ["nowhere/s.json: cannot write"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "more", "code", "said"), MISTAKES, ids=[f"{t!r} {m}" for t, m, _, _ in MISTAKES])
def test_a_mistake_is_one_line(cli: Call, files: Path, text: str, more: str, code: int, said: list[str]) -> None:
    (files / "bad.csv").write_text(text)
    outcome = cli("fragmentation", "--tasks", "bad.csv", *more.split(), "--quiet")
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.count("\n") == 1
    for words in said:
        assert words in outcome.complaint


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("fragmentation", 2, "give --tasks FILE with --cluster, or a TRACE"),
        ("fragmentation synthetic:philly?jobs=9 --tasks tasks.csv --cluster nodes.csv", 2, "not both"),
        ("fragmentation --tasks tasks.txt --cluster nodes.csv", 1, "expected .csv or .parquet"),
        ("fragmentation --tasks nowhere.csv --cluster nodes.csv", 1, "nowhere.csv: no such file"),
        ("fragmentation --tasks nowhere.parquet --cluster nodes.csv", 1, "nowhere.parquet: no such file"),
        ("fragmentation synthetic:philly?jobs=9 --at noon", 1, "'noon', expected a duration"),
        ("fragmentation synthetic:philly?jobs=9 -p fifoo", 1, "did you mean 'fifo'?"),
    ],
)
def test_wrong_use_is_one_line(cli: Call, files: Path, arguments: str, code: int, said: str) -> None:
    outcome = cli(*arguments.split(), "--quiet")
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.complaint


def test_a_damaged_parquet_file_is_one_line(cli: Call, files: Path) -> None:
    Path("bad.parquet").write_bytes(b"PAR1" + b"\0" * 40)
    assert "cannot read" in cli("fragmentation", "--tasks", "bad.parquet", "--cluster", "nodes.csv").complaint
    pl.DataFrame({"node": ["a1"], "gpus": [[1]]}).write_parquet("list.parquet")
    said = cli("fragmentation", "--tasks", "list.parquet", "--cluster", "nodes.csv").complaint
    assert "list.parquet, column 'gpus': found List(Int64)" in said


def test_the_worked_example_is_as_shown(cli: Call) -> None:
    """The files and commands of the page, as pasted, give the lines the page shows."""
    page = (REPOSITORY / "docs" / "fragmentation.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", page, re.MULTILINE | re.DOTALL):
        Path(name).write_text(text)
    shown = re.findall(r"^(apportion [^\n]*)\n```\n\n```text\n(.*?)```$", page, re.MULTILINE | re.DOTALL)
    assert len(shown) == 2
    for command, lines in shown:
        outcome = cli(*shlex.split(command)[1:])
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.endswith(lines.lstrip("\n"))
