"""`apportion fill` and `apportion compare --fill`: the contract of their output, and mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from commandline import Call
from polars.testing import assert_frame_equal

import apportion as ap
from inputs import real_data

TRACE = "synthetic:philly?jobs=200&seed=4"
ROW = ["arrived_pct", "allocated_pct", "frag_pct", "frag_ratio_pct", "failed"]
HEADER = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
)


def openb(folder: Path) -> str:
    """Write three variants of a small trace, two of whose four pods never ran, and return its spec."""
    for variant, share in (("default", 1000), ("cpu050", 400), ("cpu100", 700)):
        pods = [f"p{n},1000,1000,1,{share},,LS,Pending,{n},90,{'' if n % 2 else n}\n" for n in range(4)]
        (folder / f"openb_pod_list_{variant}.csv").write_text(HEADER + "".join(pods))
    (folder / "openb_node_list_gpu_node.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\nn0,64000,262144,4,G2\n")
    return f"openb:{folder}"


def fill_json(cli: Call, *arguments: object) -> Any:
    """Return what `fill --json -` writes."""
    outcome = cli("fill", *arguments, "--json", "-", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    return json.loads(outcome.out)


@pytest.mark.parametrize(("how", "rows"), [([], 131), (["--load", "0.75"], 76), (["--load", "2"], 201)])
def test_the_json_of_a_filling(cli: Call, how: list[str], rows: int) -> None:
    written = fill_json(cli, TRACE, "-p", "best-fit", *how)
    assert list(written) == ["policy", "seed", "capacity_gpu_milli", "curve"]
    assert (written["policy"], written["seed"], written["capacity_gpu_milli"]) == ("best-fit", 42, 480_000)
    curve = written["curve"]
    assert [row["arrived_pct"] for row in curve] == list(range(rows))
    assert all(list(row) == ROW for row in curve)
    assert all(type(row["arrived_pct"]) is type(row["failed"]) is int for row in curve)
    assert [row["failed"] for row in curve] == sorted(row["failed"] for row in curve)
    trace = ap.load(TRACE)
    load = float(how[1]) if how else 1.3
    assert written == ap.fill(trace.workload, trace.cluster, "best-fit", load=load).summary()


def test_a_tiny_case_by_hand(cli: Call, tmp_path: Path) -> None:
    """Four pods of 0.7 GPU on four devices: each takes a device, 70 % asked for and placed."""
    written = fill_json(cli, openb(tmp_path) + "?pods=cpu100", "--load", "0.7")
    last = {row["arrived_pct"]: row for row in written["curve"]}[70]
    assert (last["allocated_pct"], last["failed"]) == (70.0, 0)
    # no second pod fits beside the first: all that is free on four devices is fragments
    assert (last["frag_pct"], last["frag_ratio_pct"]) == (30.0, 100.0)


def test_pods_that_never_ran_take_part_unless_told_otherwise(cli: Call, tmp_path: Path) -> None:
    spec = openb(tmp_path)
    for query, pods in (("", 4), ("?pending=drop", 2)):
        outcome = cli("fill", spec + query, "--load", "0.000001")
        assert outcome.err.splitlines()[0] == f"4 rows read, {pods} jobs"


def test_results_on_stdout_and_the_rest_not(cli: Call) -> None:
    loud, quiet = cli("fill", TRACE), cli("fill", TRACE, "--quiet")
    assert loud.code == quiet.code == 0
    assert loud.out.splitlines()[:-1] == quiet.out.splitlines()[:-1]
    assert "unallocated" in loud.out and loud.out.splitlines()[-1].endswith(" s.")
    assert "200 jobs" in loud.err
    assert quiet.err == ""


def test_the_folder_of_a_filling(cli: Call) -> None:
    outcome = cli("fill", TRACE, "-p", "random", "--seed", "7", "--out", "out", "--json", "s.json")
    assert outcome.code == 0
    assert "wrote out: summary.json, curve.parquet, report.html" in outcome.err
    assert sorted(os.listdir("out")) == ["curve.parquet", "report.html", "summary.json"]
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary == json.loads(Path("s.json").read_text())
    assert summary["seed"] == 7
    assert pl.read_parquet("out/curve.parquet").to_dicts() == summary["curve"]
    assert "<html" in Path("out/report.html").read_text(encoding="utf-8")


def test_side_by_side_is_a_list_of_fillings_with_their_trace(cli: Call, tmp_path: Path) -> None:
    spec = openb(tmp_path)
    how = ["best-fit", "random", "--seeds", "2", "--load", "0.9", "--out", "out"]
    outcome = cli("compare", "--fill", f"{spec}?pods=*", *how)
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines()[:3] == ["default: 4 tasks", "cpu050: 4 tasks", "cpu100: 4 tasks"]
    assert sorted(os.listdir("out")) == ["curves.parquet", "report.html", "summary.json"]
    written = json.loads(Path("out/summary.json").read_text())
    specs = [f"{spec}?pods={variant}" for variant in ("default", "cpu050", "cpu100")]
    cells = [(s, p, n) for s in specs for p in ("best-fit", "random") for n in (42, 43)]
    assert [(run["trace"], run["policy"], run["seed"]) for run in written] == cells
    for run in written:
        alone = fill_json(cli, run["trace"], "-p", run["policy"], "--seed", run["seed"], "--load", "0.9")
        assert run == alone | {"trace": run["trace"]}
    for word in ("default", "cpu050", "cpu100", "best-fit", "random", "90 %", "±"):
        assert word in outcome.out
    table = pl.read_parquet("out/curves.parquet")
    last = table.tail(91)
    assert last["trace"].unique().to_list() == specs[-1:]
    assert last.drop("trace", "policy", "seed").to_dicts() == written[-1]["curve"]


def test_the_same_bytes_with_any_number_of_workers(cli: Call) -> None:
    found = []
    for folder, workers in (("one", 1), ("two", 2), ("many", 5)):
        how = ["fgd", "best-fit", "random", "--seeds", "3", "--workers", workers, "--out", folder, "-q"]
        assert cli("compare", "--fill", TRACE, *how).code == 0
        found.append({path.name: path.read_bytes() for path in Path(folder).iterdir()})
    assert len(found[0]) == 3
    assert found[0] == found[1] == found[2]


def test_first_seeds(cli: Call) -> None:
    def seeds(*arguments: object) -> list[int]:
        outcome = cli("compare", *arguments, "--seeds", "2", "--json", "-", "-q")
        assert outcome.code == 0, outcome.err
        return [run["seed"] for run in json.loads(outcome.out)]

    assert seeds("--fill", TRACE, "fgd") == [42, 43]
    assert seeds("--fill", TRACE, "fgd", "--seed", "0") == [0, 1]
    assert seeds(TRACE, "fifo") == [0, 1]


def test_a_weighted_sum_is_a_placement(cli: Call) -> None:
    text = "fgd*0.7+dot-product*0.3"
    assert fill_json(cli, TRACE, "-p", text)["policy"] == text
    assert cli("compare", "--fill", TRACE, text, "fgd", "-q").code == 0


MISTAKES = [
    ("fill TRACE -p fgdd", 1, ["unknown placement 'fgdd'", "did you mean 'fgd'?"]),
    ("compare --fill TRACE fgd worst-fitt", 1, ["unknown placement 'worst-fitt'", "did you mean 'worst-fit'?"]),
    ("fill TRACE -p sjf", 1, ["sjf is an order, but here nothing waits", "expected a placement such as fgd"]),
    ("fill TRACE -p las[quantum=1h]+fgd", 1, ["las is an order"]),
    ("fill TRACE -p round-robin", 1, ["round-robin is an allocator"]),
    ("compare --fill TRACE fgd sjf", 1, ["sjf is an order"]),
    ("fill TRACE -p fgd[tis=name]", 1, ["fgd: unknown parameter 'tis'", "did you mean 'ties'?"]),
    ("fill TRACE -p fgd+best-fit", 1, ["'fgd+best-fit'", "expected a placement such as fgd, or a sum"]),
    ("fill TRACE --load 0", 2, ["found --load 0, expected a number above 0 such as 1.3"]),
    ("fill TRACE --load -1", 2, ["found --load -1"]),
    ("fill TRACE --load nan", 2, ["found --load nan"]),
    ("compare --fill TRACE fgd --load inf", 2, ["found --load inf"]),
    ("fill TRACE --load 1e9", 1, [f"{TRACE}: load 1e+09 needs more than"]),
    ("fill TRACE --seed -1", 2, ["--seed -1", "at least 0"]),
    ("compare --fill TRACE fgd --seed -1", 2, ["--seed -1", "at least 0"]),
    ("compare --fill TRACE fgd --seeds 0", 2, ["--seeds 0", "at least 1"]),
    ("compare --fill TRACE fgd --workers 0", 2, ["--workers 0", "at least 1"]),
    ("compare --fill TRACE fgd --backfill easy", 2, ["--backfill belongs to simulation"]),
    ("compare --fill TRACE fgd --loads 0.8", 2, ["--loads belongs to simulation"]),
    ("compare --fill TRACE fgd --granularity 0", 2, ["--granularity belongs to simulation"]),
    ("compare --fill TRACE fgd --ray auto", 2, ["--ray belongs to simulation"]),
    ("compare --fill TRACE fgd --failures f.csv", 2, ["--failures belongs to simulation"]),
    ("compare --fill TRACE fgd --until 3", 2, ["--until belongs to simulation"]),
    ("compare --fill TRACE fgd --check", 2, ["--check belongs to simulation"]),
    ("compare TRACE fifo --load 1.3", 2, ["--load belongs to --fill", "--loads"]),
    ("fill cpu.csv --cluster 2x8", 1, ["cpu.csv: found no task that asks for a GPU"]),
    ("fill TRACE --cluster 2x0", 1, ["no GPUs to fill"]),
    ("fill gpu.csv", 1, ["gpu.csv", "no nodes", "--cluster 50x8"]),
    ("fill openb:DIR?pods=*", 2, ["found 3 traces in openb:", "expected one; compare --fill takes several"]),
    ("fill openb:DIR?pods=zz*", 1, ["found pods=zz*, but no openb_pod_list_*.csv there fits it"]),
    ("compare --fill openb:DIR?pods=default,absent fgd", 1, ["openb_pod_list_absent.csv", "no such file"]),
    ("compare --fill openb:DIR?pods=default, fgd", 1, ["found pods=default,, expected a name"]),
    ("fill TRACE --out gpu.csv", 1, ["gpu.csv: cannot create the folder"]),
    ("compare --fill TRACE fgd --json nowhere/s.json", 1, ["nowhere/s.json: cannot write"]),
]  # fmt: skip


@pytest.mark.parametrize(("command", "code", "said"), MISTAKES, ids=[command for command, _, _ in MISTAKES])
def test_a_mistake_is_one_line(cli: Call, tmp_path: Path, command: str, code: int, said: list[str]) -> None:
    (tmp_path / "data").mkdir()
    openb(tmp_path / "data")
    (tmp_path / "cpu.csv").write_text("submit_s,duration_s,gpus\n0,10,0\n")
    (tmp_path / "gpu.csv").write_text("submit_s,duration_s,gpus\n0,10,1\n")
    before = sorted(tmp_path.rglob("*"))
    words = command.replace("DIR", str(tmp_path / "data")).split(" ")
    outcome = cli(*[word.replace("TRACE", TRACE) for word in words], "--quiet")
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.count("\n") == 1
    for text in said:
        assert text in outcome.complaint
    assert sorted(tmp_path.rglob("*")) == before


def test_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "apportion.cli.app", "compare", "--fill", "synthetic:philly?jobs=2000"]
    arguments = [*command, "fgd", "random", "--seeds", "20000", "--load", "20", "--out", str(tmp_path / "out")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        time.sleep(1.0)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        try:
            written, rest = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert (process.returncode, written) == (130, "")
    assert [line for line in rest.splitlines() if "apportion: " in line] == ["apportion: interrupted"]
    assert "Traceback" not in rest
    assert not (tmp_path / "out").exists()


def test_the_published_trace(cli: Call) -> None:
    """All 8,152 pods take part; failures and fragments are those of the published FGD run with seed 42."""
    written = fill_json(cli, f"openb:{real_data('openb')}?pods=default")
    assert written["capacity_gpu_milli"] == 6_212_000
    assert written["curve"][130]["failed"] == 2532
    assert written["curve"][0]["frag_pct"] == pytest.approx(13.88, abs=0.011)
    table = pl.DataFrame(written["curve"])
    trace = ap.load(f"openb:{real_data('openb')}?pending=keep")
    assert_frame_equal(table, ap.fill(trace.workload, trace.cluster, "fgd").curve)
