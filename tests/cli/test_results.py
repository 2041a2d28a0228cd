"""Where results go and what is in them."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from commandline import Call
from polars.testing import assert_frame_equal

import apportion as ap

TRACE = "synthetic:philly?jobs=200&load=1.1&seed=4"
JOBS = {
    "job_id": pl.String,
    "user": pl.String,
    "group": pl.String,
    "submit_s": pl.Float64,
    "start_s": pl.Float64,
    "end_s": pl.Float64,
    "wait_s": pl.Float64,
    "jct_s": pl.Float64,
    "duration_s": pl.Float64,
    "gpus": pl.Float64,
    "preemptions": pl.Int32,
    "restarts": pl.Int32,
    "status": pl.String,
    "nodes": pl.String,
}
JOBS_IF_ANY = {"deadline_s", "met_deadline", "energy_kwh", "carbon_g", "cost_usd", "ftf", "ftf_contention"}
TIMELINE = ["time_s", "pending_jobs", "running_jobs", "allocated_gpus"]
TIMELINE_IF_ANY = {"fragmented_gpus", "power_w", "carbon_g_per_kwh", "price_usd_per_h"}
SUMMARY = [
    "policy", "trace", "jobs", "completed", "rejected", "unfinished", "makespan_s", "jct_s", "wait_s",
    "gpu_utilization", "preemptions", "engine",
]  # fmt: skip
SUMMARY_IF_ANY = {"restarts", "ftf", "rounds", "deadlines", "energy_kwh", "carbon_g", "cost_usd"}
QUANTILES = ["mean", "p50", "p90", "p99", "max"]


def native(path: Path, rows: list[dict[str, Any]]) -> str:
    """Write jobs and return how to name them."""
    pl.DataFrame(rows).write_csv(path)
    return f"native:{path}"


def test_the_result_is_on_stdout_and_the_rest_is_not(cli: Call) -> None:
    loud, quiet = cli("simulate", TRACE), cli("simulate", TRACE, "--quiet")
    assert loud.code == quiet.code == 0
    assert loud.out == quiet.out
    assert "completed" in loud.out
    assert "200 jobs" in loud.err
    assert quiet.err == ""


def test_json_goes_to_a_file_or_to_stdout(cli: Call) -> None:
    to_file = cli("simulate", TRACE, "--json", "s.json", "-q")
    to_stdout = cli("simulate", TRACE, "--json", "-", "-q")
    assert to_file.out == cli("simulate", TRACE, "-q").out
    written, shown = json.loads(Path("s.json").read_text()), json.loads(to_stdout.out)
    assert written.pop("engine").keys() == shown.pop("engine").keys() == {"events", "wall_s", "version"}
    assert written == shown
    assert (Path("s.json").stat().st_mode & 0o777) == 0o666 & ~_umask()


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_a_pipe_is_written_to_and_stays_a_pipe(cli: Call, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert cli("simulate", TRACE, "-q", "--json", pipe).code == 0
        assert json.loads(os.read(reader, 1 << 16))["jobs"] == 200
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_the_folder_of_a_run(cli: Call) -> None:
    outcome = cli("simulate", TRACE, "-p", "sjf", "--out", "out", "--perfetto")
    assert outcome.code == 0
    assert "wrote out" in outcome.err
    files = ["jobs.parquet", "report.html", "summary.json", "timeline.parquet", "trace.perfetto.json"]
    assert sorted(os.listdir("out")) == files
    jobs, timeline = pl.read_parquet("out/jobs.parquet"), pl.read_parquet("out/timeline.parquet")
    assert list(jobs.schema.items())[: len(JOBS)] == list(JOBS.items())
    assert set(jobs.columns[len(JOBS) :]) <= JOBS_IF_ANY
    assert timeline.columns[: len(TIMELINE)] == TIMELINE
    assert set(timeline.columns[len(TIMELINE) :]) <= TIMELINE_IF_ANY
    summary = json.loads(Path("out/summary.json").read_text())
    assert [key for key in summary if key not in SUMMARY_IF_ANY] == SUMMARY
    assert list(summary["jct_s"]) == list(summary["wait_s"]) == QUANTILES
    assert json.loads(Path("out/trace.perfetto.json").read_text())["traceEvents"]
    assert "<html" in Path("out/report.html").read_text(encoding="utf-8")
    trace = ap.load(TRACE)
    result = ap.simulate(trace.workload, trace.cluster, "sjf", trace=TRACE)
    assert_frame_equal(result.jobs, jobs)
    assert_frame_equal(result.timeline, timeline)
    assert result.summary() | {"engine": 0} == summary | {"engine": 0}


def test_the_summary_is_of_the_jobs(cli: Call) -> None:
    assert cli("simulate", TRACE, "--cluster", "8x8", "-p", "srtf", "--out", "out", "-q").code == 0
    jobs, summary = pl.read_parquet("out/jobs.parquet"), json.loads(Path("out/summary.json").read_text())
    done = jobs.filter(pl.col("status") == "completed")
    assert summary["preemptions"] == jobs["preemptions"].sum() > 0
    assert summary["completed"] == done.height
    assert math.isclose(summary["jct_s"]["mean"], (done["end_s"] - done["submit_s"]).mean())
    assert math.isclose(summary["wait_s"]["max"], done["wait_s"].max())
    assert math.isclose(summary["makespan_s"], done["end_s"].max() - jobs["submit_s"].min())
    used = (done["gpus"] * (done["jct_s"] - done["wait_s"])).sum()
    assert math.isclose(summary["gpu_utilization"], used / (64 * summary["makespan_s"]), rel_tol=1e-9)


def test_deadlines_are_counted_where_there_are_any(cli: Call, tmp_path: Path) -> None:
    rows = [
        {"submit_s": 0, "duration_s": 10, "gpus": 1, "deadline_s": 10},
        {"submit_s": 0, "duration_s": 10, "gpus": 1, "deadline_s": 19.5},
        {"submit_s": 0, "duration_s": 10, "gpus": 1, "deadline_s": None},
    ]
    outcome = cli("simulate", native(tmp_path / "jobs.csv", rows), "--cluster", "1x1", "--json", "-", "-q")
    assert json.loads(outcome.out)["deadlines"] == {"with": 2, "met": 1}


def test_a_job_larger_than_the_cluster_is_rejected_and_said(cli: Call, tmp_path: Path) -> None:
    rows = [{"submit_s": 0, "duration_s": 10, "gpus": 9}, {"submit_s": 5, "duration_s": 3, "gpus": 1}]
    spec = native(tmp_path / "jobs.csv", rows)
    outcome = cli("simulate", spec, "--cluster", "1x8", "--out", "out")
    assert outcome.code == 0
    assert [line.split() for line in outcome.out.splitlines() if line.startswith("rejected")] == [["rejected", "1"]]
    jobs = pl.read_parquet("out/jobs.parquet")
    assert jobs["status"].to_list() == ["rejected", "completed"]
    assert jobs["start_s"].to_list() == [None, 5.0]
    assert json.loads(Path("out/summary.json").read_text())["rejected"] == 1


@pytest.mark.parametrize("case", ["nothing fits", "no jobs", "no GPUs"])
def test_a_run_without_a_completed_job(cli: Call, tmp_path: Path, case: str) -> None:
    rows = [{"submit_s": i, "duration_s": 10, "gpus": 9} for i in range(3)]
    spec = native(tmp_path / "jobs.csv", rows)
    if case == "no jobs":
        (tmp_path / "jobs.csv").write_text("submit_s,duration_s,gpus\n")
    cluster = "4x0" if case == "no GPUs" else "1x8"
    assert cli("simulate", spec, "--cluster", cluster, "--out", "one", "--perfetto").code == 0
    outcome = cli("compare", spec, "fifo", "srtf", "--seeds", "2", "--cluster", cluster, "--out", "two")
    assert outcome.code == 0, outcome.err
    count = 0 if case == "no jobs" else 3
    summary = json.loads(Path("one/summary.json").read_text())
    assert (summary["jobs"], summary["completed"], summary["rejected"]) == (count, 0, count)
    assert not {"jct_s", "wait_s", "makespan_s", "gpu_utilization"} & summary.keys()
    assert pl.read_parquet("one/jobs.parquet").height == count
    assert len(json.loads(Path("two/summary.json").read_text())) == 4


def test_compare_writes_a_list_and_a_folder_for_each_run(cli: Call) -> None:
    arguments = ["fifo", "las[quantum=10m]+spread", "--seeds", "2", "--loads", "0.8,1.2", "--out", "out", "-q"]
    outcome = cli("compare", "synthetic:philly?jobs=80", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    summaries = json.loads(Path("out/summary.json").read_text())
    policies, loads, seeds = ("fifo", "las[quantum=10m]+spread"), (0.8, 1.2), (0, 1)
    cells = [(s["policy"], s["load"], s["seed"]) for s in summaries]
    assert cells == [(p, load, seed) for p in policies for load in loads for seed in seeds]
    folders = sorted(path.name for path in Path("out").iterdir() if path.is_dir())
    names = ("fifo", "las-quantum=10m-+spread")
    assert folders == sorted(f"{p}-load={load}-seed={seed}" for p in names for load in loads for seed in seeds)
    for folder in folders:
        assert sorted(os.listdir(f"out/{folder}")) == ["jobs.parquet", "timeline.parquet"]
    rows = outcome.out.splitlines()
    for load in ("0.8", "1.2"):
        assert sum(row.startswith(f"fifo load={load} ") for row in rows) >= 1  # a block for each width of the terminal


def test_the_same_policy_twice_is_two_rows(cli: Call) -> None:
    outcome = cli("compare", "synthetic:philly?jobs=50", "fifo", "fifo", "--out", "out", "--json", "-", "-q")
    first, second = json.loads(outcome.out)
    assert first | {"engine": 0} == second | {"engine": 0}
    assert sorted(path.name for path in Path("out").iterdir() if path.is_dir()) == ["fifo", "fifo-2"]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_generated_file_is_the_synthetic_trace(cli: Call, ending: str) -> None:
    file = f"jobs.{ending}"
    written = cli("generate", "philly", "--jobs", "300", "--seed", "5", "--load", "1.2", "--out", file)
    assert (written.code, written.out) == (0, "")
    assert f"wrote {file}: 300 jobs" in written.err
    how = ["--cluster", "10x8", "-p", "sjf", "--json", "-", "-q"]
    direct = json.loads(cli("simulate", "synthetic:philly?jobs=300&seed=5&load=1.2", *how).out)
    for spec in (f"native:{file}", file):
        through = json.loads(cli("simulate", spec, *how).out)
        ignored = {"trace": 0, "engine": 0}
        assert through | ignored == direct | ignored
        assert through["engine"]["events"] == direct["engine"]["events"]


def test_the_run_ends_where_it_is_told(cli: Call, tmp_path: Path) -> None:
    rows = [{"submit_s": i * 10, "duration_s": 15, "gpus": 1} for i in range(4)]
    spec = native(tmp_path / "jobs.csv", rows)
    summary = json.loads(cli("simulate", spec, "--cluster", "1x1", "--until", "20", "--json", "-", "-q").out)
    assert (summary["completed"], summary["unfinished"]) == (1, 3)


def test_a_generated_file_like_a_trace(cli: Call) -> None:
    assert cli("generate", "venus", "--jobs", "2000", "-q", "--out", "original.parquet").code == 0
    done = cli(
        "generate", "--like", "native:original.parquet", "--cluster", "135x8", "--load", "0.7", "--out", "like.csv"
    )
    assert done.code == 0
    assert "run times" in done.out and "dispersion of 10-minute counts" in done.out
    assert "offered load 0.70 of 1,080 GPUs" in done.err
    assert len(ap.load("native:like.csv").workload) == 2000


def test_generate_takes_a_preset_or_a_trace(cli: Call) -> None:
    for words in (("venus", "--like", "native:x.parquet"), (), ("venus", "--cluster", "2x8")):
        done = cli("generate", *words, "--out", "x.parquet")
        assert done.code == 2
        assert "expected" in done.complaint
