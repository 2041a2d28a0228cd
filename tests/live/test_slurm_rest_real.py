"""The real REST daemon of Slurm: what it says is what the programs say, and a policy runs the cluster over it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from slurm_cluster import SlurmCluster
from slurm_trace import play, trace
from typer.testing import CliRunner

from apportion.cli.app import app
from apportion.live.backend import WAITING, BackendError, Launch
from apportion.live.slurm import Rest, Slurm, SlurmBackend, rest_finding
from apportion.live.slurm.access import Change
from apportion.live.slurm.jobs import MARK
from apportion.model.errors import UsageError

SLEEP = "#!/bin/sh\nsleep 300\n"
HOSTILE = ["; rm -rf ~", "a\nb", '"}], "jobs": [{', "é" * 500, "\x1b[2J\x07", "\udcff\udcfe", "\\u0000\\ud800"]
TOKEN = "x.eyJzdW4iOiAicm9vdCJ9.sesame"


def row(rest: Rest, job: str) -> dict[str, str]:
    return next(row for row in rest.job_rows("wait").rows if row["JobArrayID"] == job)


def test_version_ping_and_finding(rest: Rest, slurm: SlurmCluster) -> None:
    old = slurm.run("slurmctld", "-V").startswith("slurm-wlm 22.05")
    assert not old or rest.version() == "v0.0.38"
    assert rest.ping()
    found = rest_finding(rest)
    assert found.level == "ok"
    assert not old or found.what.endswith("jobs are started, stopped")


def test_it_says_what_the_programs_say(rest: Rest, slurm: SlurmCluster) -> None:
    asked = [
        ("--gres=gpu:a100:2", "--mem=64G", "-c4", "-t10", "--nice=50"), ("-N2", "--gres=gpu:8"), ("-N1-3", "--gpus=4"),
        ("--array=0-6:2%2", "--gpus=4"), ("-Cv100", "--gpus=1"), ("--hold",), ("--begin=now+1hour",), ("-wn3",),
        ("-xn[3-4]",), ("-n3", "--gpus-per-task=2", "--mem-per-gpu=2G", "--cpus-per-gpu=3"), ("-t1-02:03:04",),
        ("-c2", "--mem-per-cpu=500", "--exclusive"), ("-n2", "--gpus-per-socket=1", "--sockets-per-node=2"),
        ("--no-requeue", "--comment=checkpoint:USR1"), *(("-J", name, "--comment", name) for name in HOSTILE),
    ]  # fmt: skip
    jobs = [slurm.submit(*options, script=SLEEP) for options in asked]
    jobs.append(slurm.submit(f"--dependency=afterok:{jobs[0]}", script=SLEEP))
    gone = slurm.submit("--array=0-1", "--gpus=1", script=SLEEP)
    slurm.run("scancel", f"{gone}_0", f"{gone}_1", slurm.submit("--gres=gpu:2", "-c4", script=SLEEP))
    text = SlurmBackend(slurm=Slurm(conf=slurm.conf, timeout_s=60))
    over = SlurmBackend(slurm=rest)
    text.observe()
    told = [
        Launch(jobs[0], ("n1",), (3,)),
        Launch(jobs[1], ("n4", "n5"), (255, 255)),
        Launch(f"{jobs[3]}_2", ("n2",), (15,)),
    ]
    assert text.launch(told) == []
    slurm.until("RUNNING", jobs[1])
    slurm.run("scancel", jobs[4])
    slurm.run("scontrol", "update", "nodename=n3", "state=drain", "reason=hot; rm | x")
    try:
        time.sleep(2.5)  # Slurm looks every second, and says why a job waits
        # Slurm forgets jobs that ended long ago when it likes: the programs, asked twice, say the same
        for _ in range(10):
            seen = [backend.observe() for backend in (text, over, text)]
            if seen[0].jobs.sort("job_id").equals(seen[2].jobs.sort("job_id")) and seen[0].nodes.equals(seen[2].nodes):
                break
    finally:
        slurm.run("scontrol", "update", "nodename=n3", "state=resume")
    nodes, frames = [each.nodes for each in seen[:2]], [each.jobs.sort("job_id") for each in seen[:2]]
    assert_frame_equal(*nodes)
    assert frames[0].filter(pl.col("state") == WAITING).height >= len(HOSTILE)
    assert_frame_equal(*frames)


def test_a_change_of_a_task_and_refusals(rest: Rest, slurm: SlurmCluster) -> None:
    array, job = slurm.submit("--gres=gpu:1", "--array=1-3", script=SLEEP), slurm.submit("--gres=gpu:1", script=SLEEP)
    # without the mark, so that 22.05 does it, too
    start = Change(f"{array}_2", "main", ("n4",), 4_294_960_000)
    assert rest.can(start)
    assert rest.carry_out([start]) == [""]
    slurm.until("RUNNING", f"{array}_2")
    assert row(rest, f"{array}_2")["NodeList"] == "n4"
    assert row(rest, f"{array}_3")["StateCompact"] == "PD"
    for name, partition, node, words in (
        ("999999", "main", "n1", "Invalid job id"),
        (f"{array}_9", "main", "n1", ""),
        (job, "nowhere", "n1", "Invalid partition name"),
        (job, "main", "n99", "Invalid node name"),
    ):
        (answer,) = rest.carry_out([Change(name, partition, (node,), 9)])
        assert answer and words in answer
    assert row(rest, job)["Partition"] == "wait"


def test_the_wait_after_a_requeue_is_ended(rest: Rest, slurm: SlurmCluster) -> None:
    job = slurm.submit("--gres=gpu:1", script=SLEEP)
    assert rest.carry_out([Change(job, "main", ("n1",), 9, MARK)]) == [""]
    slurm.until("RUNNING", job)
    slurm.run("scontrol", "requeue", job)
    slurm.until("PENDING", job)
    assert float(row(rest, job)["StartTime"]) > time.time() + 60
    assert rest.carry_out([Change(job, "wait", begin_s=int(time.time()))]) == [""]
    after = row(rest, job)
    assert (after["Partition"], after["ReqNodes"], after["admin_comment"]) == ("wait", "", MARK)
    assert after["StartTime"] == "N/A" or float(after["StartTime"]) <= time.time() + 1


@pytest.mark.parametrize("policy", ["sjf+fgd", "srtf"])
def test_a_trace_to_its_end(rest: Rest, slurm: SlurmCluster, policy: str) -> None:
    played = play(slurm, trace(40, 40, 4.0, 8.0), policy, access=rest)
    assert played.wrong() == []
    assert policy != "srtf" or sum(played.stops().values()) > 0


def test_the_command_line(rest: Rest, slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    monkeypatch.setenv("PATH", slurm.env["PATH"])
    jobs = [slurm.submit("--gpus=1", f"--job-name={name}", script=SLEEP) for name in HOSTILE]
    log, memory = tmp_path / "log.jsonl", tmp_path / "memory.sqlite"
    url = ["--rest", str(rest.address)]
    runner = CliRunner()
    said = []
    monkeypatch.setenv("SLURM_JWT", TOKEN)
    for words in (
        ["live", "slurm", "fifo", *url, "--shadow", "--once", "--memory", str(tmp_path / "shadow.sqlite")],
        ["predict", jobs[0], "--live", "slurm", *url],
        ["why", jobs[0], "--live", "slurm", *url],
        ["live", "systemd", "fifo", *url],
        ["live", "slurm", "doctor", *url],
        ["live", "slurm", "fifo", *url, "--once", "--memory", str(memory), "--log", str(log)],
    ):
        if words[2] == "doctor":
            monkeypatch.delenv("SLURM_JWT")  # scontrol would use it, and this Slurm takes none
        done = runner.invoke(app, words)
        assert done.exit_code == 0, (words, done.output)
        said.append(done.output)
    assert "slurmrestd speaks" in said[4]
    assert f"--rest {rest.address}" in said[3]
    for job in jobs:
        slurm.until("RUNNING", job)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert {event["job"] for event in events if event["event"] == "command"} == set(jobs)
    kept = [path.read_bytes() for path in tmp_path.iterdir()] + ["\n".join(said).encode()]
    assert not [text for text in kept if b"sesame" in text]
    for words in (["live", "slurm", "install", *url], ["live", "shadow", "fifo", *url], ["predict", "1", *url]):
        assert isinstance(runner.invoke(app, words).exception, UsageError)


def test_the_controller_away_is_an_error(rest: Rest, slurm: SlurmCluster) -> None:
    job = slurm.submit("--gres=gpu:1", script=SLEEP)
    version = rest.version()
    slurm.kill("slurmctld")
    try:
        assert rest_finding(rest).level == "bad"
        assert rest.version() == version
        with pytest.raises(BackendError, match="slurmrestd: "):
            rest.carry_out([Change(job, "wait")])
        with pytest.raises(BackendError, match="slurmrestd: "):
            SlurmBackend(slurm=rest).observe()
    finally:
        slurm.start_controller()
        slurm.wait_ready()
    assert rest.ping()
