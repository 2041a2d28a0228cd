"""A user's mistake is one line that says what, where and what would be right; never a traceback."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from commandline import Call

TRACE = "synthetic:philly?jobs=60"
FILES = {
    "good.csv": "submit_s,duration_s,gpus\n0,10,1\n5,3,1\n",
    "negative.csv": "submit_s,duration_s,gpus\n0,10,1\n5,-3,1\n",
    "column.csv": "submit_s,gpus\n0,1\n",
    "empty.csv": "submit_s,duration_s\n",
    "key.yaml": "- gpu: 4\n  count: 2\n",
    "word.yaml": "- gpus: four\n",
    "count.yaml": "- gpus: 4\n  count: many\n",
    "syntax.yaml": "gpus: 4\n : : :\n  count 2\n",
    "zero.yaml": "",
    "key-cluster.csv": "node,gpuss\na,4\n",
    "word-cluster.csv": "node,gpus\na,x\n",
    "twice-cluster.csv": "node,gpus\na,4\na,4\n",
    "none-cluster.csv": "node,gpus\n",
    "node-f.csv": "time_s,node,state\n1,node-0000,down\n5,node-000o,down\n",
    "state-f.csv": "time_s,node,state\n5,node-0000,dwon\n",
    "back-f.csv": "time_s,node,state\n5,node-0000,down\n3,node-0000,up\n",
    "time-f.csv": "time_s,node,state\n,node-0000,down\n",
    "column-f.csv": "time_s,node\n5,node-0000\n",
}

# what is asked for, the exit code, what the line says
MISTAKES = [
    ("simulate philly:nowhere.csv", 1, ["nowhere.csv", "no such file"]),
    ("simulate nowhere.csv", 1, ["nowhere.csv", "no such file"]),
    ("simulate native:column.csv --cluster 1x8", 1, ["column.csv, row 1, column 'duration_s'", "submit_s"]),
    ("simulate native:negative.csv --cluster 1x8", 1, ["negative.csv, row 3, column 'duration_s'", "'-3'"]),
    ("simulate native:good.csv", 1, ["native:good.csv", "no nodes", "--cluster 50x8"]),
    ("compare native:empty.csv fifo --cluster 1x8 --loads 1", 1, ["a load needs jobs"]),
    ("simulate column.csv --cluster 1x8", 1, ["no known format fits", "philly:column.csv"]),
    ("simulate syntetic:philly", 1, ["'syntetic'", "did you mean 'synthetic'?"]),
    ("simulate synthetic:phily", 1, ["'phily'", "did you mean 'philly'?"]),
    ("simulate synthetic:philly?jbos=60", 1, ["unknown option 'jbos'", "did you mean 'jobs'?"]),
    ("simulate synthetic:philly?jobs=many", 1, ["found jobs=many", "expected a number"]),
    ("simulate synthetic:philly?jobs=1.5", 1, ["found jobs=1.5", "expected a whole number"]),
    ("simulate synthetic:philly?jobs", 1, ["found ?jobs", "key=value"]),
    ("simulate synthetic:philly?limit=-1", 1, ["limit=-1", "at least 0"]),
    ("simulate synthetic:philly?jobs=60&vcs=yess", 1, ["vcs=yess", "did you mean 'yes'?"]),
    ("simulate synthetic:philly?jobs=60&from=yesterday", 1, ["from=yesterday", "expected a date"]),
    ("simulate TRACE -p sjff", 1, ["unknown policy 'sjff'", "did you mean 'sjf'?"]),
    ("compare TRACE fifo sjff", 1, ["unknown policy 'sjff'", "did you mean 'sjf'?"]),
    ("simulate TRACE -p sjf+bestfit", 1, ["unknown placement 'bestfit'", "did you mean 'best-fit'?"]),
    ("simulate TRACE -p best-fit+sjf", 1, ["unknown", "'best-fit'"]),
    ("simulate TRACE -p sjf+spread+fifo", 1, ["'sjf+spread+fifo'", "ORDER+PLACEMENT"]),
    ("simulate TRACE -p las[quantm=1h]", 1, ["las: unknown parameter 'quantm'", "did you mean 'quantum'?"]),
    ("simulate TRACE -p las[quantum=soon]", 1, ["las: found quantum=soon", "expected a duration"]),
    ("simulate TRACE -p las[quantum=0]", 1, ["las: found quantum=0", "at least 1"]),
    ("simulate TRACE -p las[conserve=maybe]", 1, ["las: found conserve=maybe", "yes or no"]),
    ("simulate TRACE -p sjf[on=durations]", 1, ["sjf: found on=durations", "did you mean 'duration'?"]),
    ("simulate TRACE -p las[quantum", 1, ["'las[quantum'", "brackets"]),
    ("simulate TRACE -p srtf --backfill easy", 1, ["srtf: backfill easy needs"]),
    ("simulate TRACE --cluster 5x", 1, ["'5x'", "NODESxGPUS"]),
    ("simulate TRACE --cluster 0x8", 1, ["'0x8'", "no nodes"]),
    ("simulate TRACE --cluster 1x64", 1, ["64 GPUs in one node", "pool:64"]),
    ("simulate TRACE --cluster nowhere.yaml", 1, ["nowhere.yaml", "No such file"]),
    ("simulate TRACE --cluster key.yaml", 1, ["key.yaml", "row 1", "'gpu'; did you mean 'gpus'"]),
    ("simulate TRACE --cluster word.yaml", 1, ["word.yaml", "row 1, column 'gpus'", "'four'"]),
    ("simulate TRACE --cluster count.yaml", 1, ["count.yaml, row 1", "count 'many'"]),
    ("simulate TRACE --cluster syntax.yaml", 1, ["syntax.yaml", "not YAML"]),
    ("simulate TRACE --cluster zero.yaml", 1, ["zero.yaml", "expected a list of node kinds"]),
    ("simulate TRACE --cluster key-cluster.csv", 1, ["key-cluster.csv", "no column 'gpus'", "'gpuss'"]),
    ("simulate TRACE --cluster word-cluster.csv", 1, ["word-cluster.csv", "column 'gpus'", "'x'"]),
    ("simulate TRACE --cluster twice-cluster.csv", 1, ["twice-cluster.csv", "'a' twice"]),
    ("simulate TRACE --cluster none-cluster.csv", 1, ["none-cluster.csv", "no nodes"]),
    ("simulate TRACE --failures node-f.csv", 1, ["node-f.csv, row 3, column 'node'", "did you mean 'node-0"]),
    ("simulate TRACE --failures state-f.csv", 1, ["state-f.csv, row 2, column 'state'", "'dwon'", "up or down"]),
    ("simulate TRACE --failures back-f.csv", 1, ["back-f.csv, row 3, column 'time_s'", "3 after 5"]),
    ("simulate TRACE --failures time-f.csv", 1, ["time-f.csv, row 2, column 'time_s'", "nothing"]),
    ("simulate TRACE --failures column-f.csv", 1, ["column-f.csv, row 1, column 'state'"]),
    ("simulate TRACE --out good.csv", 1, ["good.csv: cannot create the folder"]),
    ("simulate TRACE --out good.csv/below", 1, ["good.csv/below: cannot create the folder"]),
    ("compare TRACE fifo --out good.csv/below", 1, ["good.csv/below: cannot create the folder"]),
    ("simulate TRACE --json good.csv/below.json", 1, ["good.csv/below.json: cannot write"]),
    ("simulate TRACE --json nowhere/s.json", 1, ["nowhere/s.json: cannot write"]),
    ("simulate TRACE --json .", 1, ["cannot write"]),
    ("generate philly --jobs 9 --out jobs.txt", 1, ["jobs.txt", "expected .parquet or .csv"]),
    ("generate philly --jobs 9 --out nowhere/jobs.csv", 1, ["nowhere/jobs.csv: cannot write"]),
    ("generate phily --jobs 9 --out jobs.csv", 1, ["'phily'", "did you mean 'philly'?"]),
    ("generate philly --jobs 9 --days 1 --out jobs.csv", 1, ["jobs=9 and days=1", "expected one of them"]),
    ("fetch opemb", 1, ["unknown trace 'opemb'", "did you mean 'openb'?"]),
    ("fetch openb --dir good.csv", 1, ["good.csv/openb: cannot write"]),
    ("compare TRACE fifo --loads 0.8,much", 2, ["--loads 0.8,much", "such as 0.8,1.0,1.2"]),
    ("compare TRACE fifo --loads 0", 2, ["--loads 0", "above 0"]),
    ("compare TRACE fifo --loads 1,inf", 2, ["--loads 1,inf", "above 0"]),
    ("compare TRACE fifo --seeds 0", 2, ["--seeds 0", "at least 1"]),
    ("compare TRACE fifo --workers 0", 2, ["--workers 0", "at least 1"]),
    ("simulate TRACE --backfill esay", 2, ["--backfill esay", "did you mean 'easy'?"]),
    ("simulate TRACE --granularity -1", 2, ["--granularity -1", "at least 0"]),
    ("simulate TRACE --granularity inf", 2, ["--granularity inf", "at least 0"]),
    ("simulate TRACE --granularity nan", 2, ["--granularity nan", "at least 0"]),
    ("simulate TRACE --checkpoint-interval -1", 2, ["--checkpoint-interval -1", "at least 0"]),
    ("simulate TRACE --checkpoint-cost helos", 2, ["--checkpoint-cost helos", "did you mean 'helios'?"]),
    ("simulate TRACE --checkpoint-cost nan", 2, ["--checkpoint-cost nan", "seconds of at least 0"]),
    ("simulate TRACE --until nan", 2, ["--until nan", "expected seconds"]),
    ("simulate TRACE --seed -1", 2, ["--seed -1", "at least 0"]),
    ("simulate TRACE --perfetto", 2, ["--perfetto", "--out DIR"]),
]  # fmt: skip


@pytest.mark.parametrize(("command", "code", "said"), MISTAKES, ids=[command for command, _, _ in MISTAKES])
def test_a_mistake_is_one_line(cli: Call, tmp_path: Path, command: str, code: int, said: list[str]) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    outcome = cli(*[word.replace("TRACE", TRACE) for word in command.split()], "--quiet")
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    for words in said:
        assert words in outcome.complaint
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


@pytest.mark.parametrize("policy", ["", "+"])
def test_a_policy_without_a_name(cli: Call, policy: str) -> None:
    outcome = cli("simulate", TRACE, "-p", policy)
    assert outcome.code == 1
    assert "found policy ''" in outcome.complaint


def test_notes_come_before_the_one_line(cli: Call) -> None:
    outcome = cli("simulate", TRACE, "-p", "srtf", "--backfill", "easy")
    assert outcome.complaint == outcome.err.splitlines()[-1]


def test_a_full_disk_leaves_the_old_files(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["simulate", TRACE, "--out", "out", "-q"]
    assert cli(*arguments).code == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("apportion.model.files.os.replace", full)
    outcome = cli(*arguments, "-p", "sjf")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.complaint == "apportion: out/jobs.parquet: cannot write: No space left on device"
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before


def test_out_of_memory_says_what_helps(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("apportion.traces.registry.load", load)
    outcome = cli("simulate", TRACE)
    assert outcome.code == 1
    assert "out of memory" in outcome.complaint
