"""What goes wrong on a real Slurm: its controller is killed, a node dies, users interfere."""

from __future__ import annotations

import signal
import time

import pytest
from slurm_cluster import SlurmCluster
from test_slurm_verbs import SLEEP, job, until

from apportion.live.backend import BLOCKED, LAUNCHING, RUNNING, STRAY, WAITING, BackendError, Launch
from apportion.live.slurm import Slurm, SlurmBackend


@pytest.fixture
def backend(slurm: SlurmCluster) -> SlurmBackend:
    return SlurmBackend(slurm=Slurm(conf=slurm.conf, timeout_s=60), grace_s=1.0)


def test_a_dead_node_gives_its_job_back(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    name = slurm.submit("--gpus=1", script=SLEEP)
    backend.observe()
    backend.launch([Launch(name, ("n4",), (1,))])
    until(backend, name, RUNNING)
    slurm.kill("slurmd.n4", signal.SIGKILL)
    slurm.run("scontrol", "update", "nodename=n4", "state=down", "reason=dead")
    try:
        until(backend, name, STRAY)
        assert backend.park([name]) == []
        assert until(backend, name, WAITING)["nodes"] == []
        nodes = backend.observe().nodes
        assert nodes.filter(~nodes["open"])["node"].to_list() == ["n4"]
        assert backend.launch([Launch(name, ("n5",), (1,))]) == []
        assert until(backend, name, RUNNING)["nodes"] == ["n5"]
    finally:
        slurm.start_node("n4")
        slurm.run("scontrol", "update", "nodename=n4", "state=resume", check=False)
        slurm.clear()
        slurm.wait_ready()


def test_slurm_is_killed_and_comes_back(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    runs, waits = (slurm.submit("--gpus=1", script=SLEEP) for _ in range(2))
    backend.observe()
    backend.launch([Launch(runs, ("n1",), (1,))])
    until(backend, runs, RUNNING)
    time.sleep(6)  # it saves its state every five seconds
    slurm.kill("slurmctld", signal.SIGKILL)
    hasty = SlurmBackend(slurm=Slurm(conf=slurm.conf, timeout_s=2.0))
    try:
        for call in (hasty.observe, lambda: hasty.launch([Launch(waits, ("n2",), (1,))]), lambda: hasty.park([waits])):
            with pytest.raises(BackendError):
                call()
    finally:
        slurm.start_controller()
        slurm.until("RUNNING", runs)
    assert job(backend, runs)["nodes"] == ["n1"]
    assert job(backend, waits)["state"] in (WAITING, LAUNCHING, RUNNING)


def test_a_user_who_holds_or_cancels_between_look_and_start(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    held, gone = (slurm.submit("--gpus=1", script=SLEEP) for _ in range(2))
    backend.observe()
    slurm.run("scontrol", "hold", held)
    slurm.run("scancel", gone)
    refused = backend.launch([Launch(held, ("n1",), (1,)), Launch(gone, ("n1",), (1,))])
    assert {refusal.job_id for refusal in refused} == {held, gone}
    # Slurm has moved the held job all the same
    assert job(backend, held)["state"] == STRAY
    assert backend.park([held]) == []
    assert job(backend, held)["state"] == BLOCKED
    slurm.run("scontrol", "release", held)
    fresh = SlurmBackend(slurm=backend.slurm)
    until(fresh, held, WAITING)
    fresh.launch([Launch(held, ("n2",), (1,))])
    assert until(fresh, held, RUNNING)["nodes"] == ["n2"]


def test_a_task_over_the_limit_of_its_array_waits_for_the_others(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    array = slurm.submit("--array=0-1%1", "--gpus=1", script=SLEEP)
    backend.observe()
    backend.launch([Launch(f"{array}_{i}", ("n1",), (1,), i) for i in range(2)])
    until(backend, f"{array}_0", RUNNING)
    until(backend, f"{array}_1", STRAY)
    assert backend.park([f"{array}_1"]) == []
    until(backend, f"{array}_1", BLOCKED)
    slurm.run("scancel", f"{array}_0")
    until(backend, f"{array}_1", WAITING)


def test_a_restarted_controller_forgets_a_grace_and_nothing_else(slurm: SlurmCluster, backend: SlurmBackend) -> None:
    script = "#!/bin/sh\ntrap : USR1\ni=0; while [ $i -lt 600 ]; do sleep 0.5; i=$((i+1)); done\n"
    name = slurm.submit("--gpus=1", "--comment=checkpoint:USR1", script=script)
    backend.observe()
    backend.launch([Launch(name, ("n1",), (1,))])
    until(backend, name, RUNNING)
    time.sleep(1.0)
    backend.stop([name])
    fresh = SlurmBackend(slurm=backend.slurm, grace_s=0.0)
    assert job(fresh, name)["state"] == RUNNING
    assert fresh.stop([name]) == []
    until(fresh, name, WAITING)
