"""Every verb on a real Slurm, through its programs and its REST daemon; and what users can write does nothing."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl
import pytest
from slurm_cluster import SlurmCluster
from slurm_watch import devices

from apportion.live.backend import BLOCKED, LAUNCHING, RUNNING, STOPPING, WAITING, Backend, BackendError, Launch
from apportion.live.slurm import Slurm, SlurmBackend, doctor, install, uninstall

SLEEP = "#!/bin/sh\nsleep 300\n"
HOSTILE = [
    "; rm -rf ~",
    "a\nb",
    "|main|RUNNING|n1",
    "'\"`id`$(id)",
    "x" * 1000,
    "é" * 500,
    "\x1b[2J\x07",
    "1       N/A   root                            (null)",
    "--help",
    "JobId=1 Partition=main",
]


@pytest.fixture(params=["programs", "rest"])
def backend(slurm: SlurmCluster, request: pytest.FixtureRequest) -> SlurmBackend:
    access = request.getfixturevalue("rest") if request.param == "rest" else Slurm(conf=slurm.conf, timeout_s=60)
    return SlurmBackend(slurm=access, grace_s=1.0)


def job(backend: SlurmBackend, name: str) -> dict[str, object]:
    rows = backend.observe().jobs.filter(pl.col("job_id") == name)
    return rows.row(0, named=True) if rows.height else {"state": None}


def until(
    backend: SlurmBackend, name: str, *states: str, timeout_s: float = 60.0, pause_s: float = 0.3
) -> dict[str, object]:
    limit = time.monotonic() + timeout_s
    while (row := job(backend, name))["state"] not in states:
        assert time.monotonic() < limit, f"job {name} is {row['state']}, expected {states}"
        time.sleep(pause_s)
    return row


def test_it_is_a_backend(backend: SlurmBackend) -> None:
    assert isinstance(backend, Backend)
    observed = backend.observe()
    assert observed.nodes["gpu_model"].to_list() == ["a100"] * 3 + ["v100"] * 2
    assert observed.nodes["gpus"].sum() == 40
    assert observed.nodes["open"].all()


def test_what_waits_and_what_is_blocked(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    plain = slurm.submit("--gres=gpu:a100:2", "--mem=64G", "-c4", "-t10", "--nice=50", script=SLEEP)
    gang = slurm.submit("-N2", "--gres=gpu:8", script=SLEEP)
    array = slurm.submit("--array=0-2", "--gpus=4", script=SLEEP)
    v100 = slurm.submit("-Cv100", "--gpus=1", script=SLEEP)
    held = slurm.submit("--hold", script=SLEEP)
    later = slurm.submit("--begin=now+1hour", script=SLEEP)
    after = slurm.submit(f"--dependency=afterok:{plain}", script=SLEEP)
    named = slurm.submit("-wn3", script=SLEEP)
    avoids = slurm.submit("-xn3", script=SLEEP)
    jobs = {row["job_id"]: row for row in backend.observe().jobs.iter_rows(named=True)}
    asked = jobs[plain]
    assert [asked[k] for k in ("tasks", "gpus", "cpu_milli", "memory_mib", "gpu_models", "limit_s", "priority")] == [
        1, 2, 4000, 65536, ["a100"], 600.0, -50,
    ]  # fmt: skip
    assert [jobs[gang][k] for k in ("tasks", "gpus", "apart", "memory_mib")] == [2, 8, True, 1000]
    assert jobs[v100]["gpu_models"] == ["v100"]
    assert {jobs[f"{array}_{i}"]["state"] for i in range(3)} | {jobs[plain]["state"]} == {WAITING}
    states = {name: jobs[name]["state"] for name in (held, later, after, named, avoids)}
    assert set(states.values()) == {BLOCKED}, states
    assert all(jobs[name]["why"] for name in states)


def test_start_on_just_these_nodes(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    gang = slurm.submit("-N2", "--gres=gpu:8", script=SLEEP)
    array = slurm.submit("--array=0-1", "--gpus=1", script=SLEEP)
    loose = slurm.submit("--gpus=4", script=SLEEP)
    ranged = slurm.submit("-N1-3", "--gres=gpu:1", script=SLEEP)
    backend.observe()
    told = [
        Launch(gang, ("n1", "n3"), (255, 255)),
        Launch(f"{array}_1", ("n4",), (1,), 1),
        Launch(loose, ("n5",), (15,), 2),
        Launch(ranged, ("n4",), (1,), 3),
    ]
    assert backend.launch(told) == []
    assert job(backend, gang)["state"] in (LAUNCHING, RUNNING)
    for launch in told:
        assert until(backend, launch.job_id, RUNNING)["nodes"] == list(launch.nodes)
    assert job(backend, f"{array}_0")["state"] == WAITING
    held = devices(slurm)
    assert {job: len(each) for job, each in held.items()} == {gang: 16, f"{array}_1": 1, loose: 4, ranged: 1}


def test_slurm_adds_no_node_of_its_own(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    fills = slurm.submit("--gres=gpu:6", script=SLEEP)
    loose = slurm.submit("--gpus=4", script=SLEEP)  # on however many nodes
    backend.observe()
    backend.launch([Launch(fills, ("n1",), (63,))])
    until(backend, fills, RUNNING)
    backend.launch([Launch(loose, ("n1",), (15,))])
    time.sleep(2.5)  # Slurm looks every second
    row = job(backend, loose)
    assert (row["state"], row["nodes"]) == (LAUNCHING, ["n1"])


def test_refusals_are_attributed(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    good = slurm.submit("--gpus=1", script=SLEEP)
    backend.observe()
    told = [("999999", "n1"), (good, "n1"), (f"{good}_99999", "n1"), ("1; scancel", "n1"), (f"{good} ", "n1")]
    refused = backend.launch([Launch(name, (node,), (1,)) for name, node in told])
    assert {refusal.job_id for refusal in refused} == {"999999", f"{good}_99999", "1; scancel", f"{good} "}
    assert all(refusal.message for refusal in refused)
    until(backend, good, RUNNING)
    assert [refusal.job_id for refusal in backend.launch([Launch(good, ("n2",), (1,))])] == [good]
    assert job(backend, good)["nodes"] == ["n1"]
    assert [refusal.job_id for refusal in backend.park([good])] == [good]
    assert job(backend, good)["state"] == RUNNING


def test_stop_lets_a_job_wait_again_and_start_again_at_once(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    name = slurm.submit("--gpus=2", script=SLEEP)
    backend.observe()
    backend.launch([Launch(name, ("n1",), (3,))])
    until(backend, name, RUNNING)
    assert backend.stop([name]) == []
    row = until(backend, name, WAITING)
    assert row["started_s"] is None
    assert devices(slurm) == {}
    assert backend.launch([Launch(name, ("n4",), (3,))]) == []
    assert until(backend, name, RUNNING, timeout_s=30)["nodes"] == ["n4"]


def test_a_job_stopped_and_started_within_a_second_does_not_fail(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    """A node refuses a job in the second in which it was killed there, and Slurm lets the job fail for it."""
    for _ in range(4):
        name = slurm.submit("--gpus=2", script="#!/bin/bash\ntrap 'exit 143' TERM\nsleep 300 & wait $!\n")
        backend.observe()
        backend.launch([Launch(name, ("n1",), (3,))])
        until(backend, name, RUNNING)
        time.sleep(1.0)  # the script sets its trap
        time.sleep(1.03 - time.time() % 1.0)  # a second begins
        assert backend.stop([name]) == []
        until(backend, name, WAITING, pause_s=0.02)
        assert backend.launch([Launch(name, ("n1",), (3,))]) == []
        assert until(backend, name, RUNNING, timeout_s=30)["nodes"] == ["n1"]
        time.sleep(0.5)
        assert job(backend, name)["state"] == RUNNING
        slurm.clear()


def test_a_job_that_asks_for_it_is_told_before(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    saved = slurm.folder / "saved"
    script = f"#!/bin/sh\ntrap 'echo yes > {saved}' USR1\ni=0; while [ $i -lt 600 ]; do sleep 0.5; i=$((i+1)); done\n"
    asks = slurm.submit("--gpus=1", "--comment=checkpoint:USR1", script=script)
    backend.observe()
    backend.launch([Launch(asks, ("n1",), (1,))])
    until(backend, asks, RUNNING)
    time.sleep(1.0)  # the script sets its trap
    assert backend.stop([asks]) == []
    assert job(backend, asks)["state"] == STOPPING
    until(backend, asks, WAITING)
    assert saved.read_text() == "yes\n"


def test_a_launch_is_taken_back(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    first, second = (slurm.submit("--gres=gpu:8", script=SLEEP) for _ in range(2))
    backend.observe()
    backend.launch([Launch(first, ("n1",), (255,))])
    until(backend, first, RUNNING)
    backend.launch([Launch(second, ("n1",), (255,))])
    assert job(backend, second)["state"] == LAUNCHING
    assert backend.park([second]) == []
    assert job(backend, second)["state"] == WAITING
    assert backend.launch([Launch(second, ("n2",), (255,))]) == []
    assert until(backend, second, RUNNING)["nodes"] == ["n2"]


def test_jobs_of_others_hold_their_nodes(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    direct = slurm.submit("-pmain", "--gres=gpu:4", script=SLEEP)
    slurm.until("RUNNING", direct)
    row = job(backend, direct)
    assert (row["state"], row["preemptible"], row["gpus"]) == (RUNNING, False, 4)


def test_a_node_that_is_drained_takes_nothing_new(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    slurm.run("scontrol", "update", "nodename=n5", "state=drain", "reason=hot; rm | x")
    try:
        nodes = backend.observe().nodes
        assert nodes.filter(~pl.col("open")).select("node", "reason").rows() == [("n5", "drain (hot; rm | x)")]
    finally:
        slurm.run("scontrol", "update", "nodename=n5", "state=resume")
        slurm.wait_ready()  # until it is asked it does not respond


def test_what_users_write_does_nothing(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    witness = slurm.submit("--gpus=1", script=SLEEP)
    home = Path.home().exists()
    names = [slurm.submit(f"--job-name={text}", f"--comment={text}", "--gpus=1", script=SLEEP) for text in HOSTILE[:-2]]
    names += [slurm.submit("-J", text, "--comment", text, "--gpus=1", script=SLEEP) for text in HOSTILE[-2:]]
    before = backend.observe().jobs.filter(pl.col("state") == WAITING)
    assert sorted(before["job_id"]) == sorted([witness, *names])
    assert before["gpus"].to_list() == [1] * before.height
    told = [Launch(name, (f"n{1 + i % 5}",), (1,), i) for i, name in enumerate(names)]
    assert backend.launch(told) == []
    for launch in told:
        assert until(backend, launch.job_id, RUNNING)["nodes"] == list(launch.nodes)
    assert backend.stop(names) == []
    for name in names:
        until(backend, name, WAITING)
    assert job(backend, witness)["state"] == WAITING
    assert all(name.isprintable() for name in backend.observe().jobs["name"])
    assert Path.home().exists() == home


def test_no_answer_is_one_line(tmp_path: Path) -> None:
    absent = SlurmBackend(slurm=Slurm(programs=tmp_path))
    with pytest.raises(BackendError, match="sinfo: not found"):
        absent.observe()
    (tmp_path / "sinfo").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "sinfo").chmod(0o755)
    with pytest.raises(BackendError, match="no answer in 0 s"):
        SlurmBackend(slurm=Slurm(programs=tmp_path, timeout_s=0.3)).observe()
    with pytest.raises(BackendError, match="name of a partition"):
        SlurmBackend(main="main State=DOWN")


def test_doctor_install_and_uninstall(slurm: SlurmCluster) -> None:
    client = Slurm(conf=slurm.conf)
    assert {finding.level for finding in doctor(client)} <= {"ok", "warn"}
    bad = [finding for finding in doctor(client, wait="queue") if finding.level == "bad"]
    assert len(bad) == 1
    assert "PartitionName=queue" in bad[0].fix
    assert "State=DOWN Default=YES" in install(client, wait="queue")[0]
    assert client.partition("queue") is None
    install(client, wait="queue", apply=True)
    try:
        assert client.partition("queue")["state"] == "DOWN"  # type: ignore[index]
        slurm.run("scontrol", "update", "partitionname=wait", "default=no")
        waits = slurm.submit("-pqueue", "--gpus=1", script=SLEEP)
        backend = SlurmBackend(slurm=client, wait="queue")
        assert job(backend, waits)["state"] == WAITING
        told = uninstall(client, wait="queue")
        assert f"scontrol update JobId={waits} Partition=main" in told
        uninstall(client, wait="queue", apply=True)
        assert client.partition("queue") is None
        slurm.until("RUNNING", waits)
    finally:
        slurm.run("scontrol", "update", "partitionname=wait", "default=yes")
        if client.partition("queue"):
            slurm.run("scontrol", "delete", "partitionname=queue")
