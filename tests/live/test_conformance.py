"""What every backend has to do, checked on each of them; and that a policy that is carried out does what it does in a
simulation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from slurm_cluster import SlurmCluster
from worlds_live import cluster, driven, workload

import apportion as ap
from apportion.live.asked import Asked
from apportion.live.backend import (
    JOB_COLUMNS,
    LAUNCHING,
    NODE_COLUMNS,
    RUNNING,
    STOPPING,
    WAITING,
    Backend,
    Launch,
    Observation,
    Recorder,
)
from apportion.live.memory import Memory
from apportion.live.simulated import SimulatedCluster
from apportion.live.slurm import Slurm, SlurmBackend
from apportion.model.workload import Workload
from apportion.policies.registry import parse_policy


@dataclass
class Bench:
    """A backend with idle nodes and jobs that wait, and a way to let time pass.

    Parameters
    ----------
    single, gang: ids of two jobs that wait: one of a node, and one of two nodes. nodes: names of two idle nodes that
    fit them, each in whole. settle: lets what was told happen (launches run, stops are gone). gpus: of a node. lives:
    things happen by themselves, too.
    """

    backend: Backend
    single: str
    gang: str
    nodes: tuple[str, str]
    settle: Callable[[], None]
    gpus: int = 4
    lives: bool = False

    def state(self, job: str) -> str:
        """Return the state in which a job is observed."""
        return state_of(self.backend.observe(), job)

    def whole(self, job: str) -> Launch:
        """Return the launch of a job on the nodes it fills."""
        nodes = self.nodes if job == self.gang else self.nodes[:1]
        return Launch(job, nodes, ((1 << self.gpus) - 1,) * len(nodes))


def state_of(observation: Observation, job: str) -> str:
    found = observation.jobs.filter(pl.col("job_id") == job)
    return str(found["state"][0]) if found.height else "gone"


def simulated_bench(launch_s: float, stop_s: float) -> Bench:
    rows = [
        {"job_id": "1", "submit_s": 0.0, "duration_s": 500.0, "gpus": 4},
        {"job_id": "2", "submit_s": 0.0, "duration_s": 500.0, "gpus": 4, "tasks": 2},
    ]
    backend = SimulatedCluster(Workload.of(pl.DataFrame(rows)), cluster(2), launch_s=launch_s, stop_s=stop_s)
    backend.advance(0.0)
    return Bench(backend, "1", "2", ("n0", "n1"), lambda: backend.advance(backend.now_s + launch_s + stop_s))


def slurm_bench(slurm: SlurmCluster) -> Bench:
    backend = SlurmBackend(slurm=Slurm(conf=slurm.conf, timeout_s=60), grace_s=0.0)
    script = "#!/bin/sh\nexec sleep 500\n"
    whole = "--gres=gpu:8"
    bench = Bench(
        backend,
        slurm.submit(whole, script=script),
        slurm.submit("-N2", whole, script=script),
        ("n1", "n2"),
        lambda: settled(backend),
        gpus=8,
        lives=True,
    )
    settled(backend)
    return bench


def settled(backend: Backend) -> None:
    """Wait until nothing stops, and Slurm has looked at all that is to start and at all that waits."""
    for _ in range(600):
        jobs = backend.observe().jobs
        leaving = jobs["state"] == STOPPING
        unseen = jobs["state"].is_in([LAUNCHING, WAITING]) & jobs["why"].is_in(["None", "", "Priority"])
        if not (leaving | unseen | ((jobs["state"] == LAUNCHING) & (jobs["why"] != "Resources"))).any():
            return
        time.sleep(0.1)
    raise TimeoutError(f"Slurm did not come to rest: {jobs.select('job_id', 'state', 'why').rows()}")


BENCHES: dict[str, Callable[[pytest.FixtureRequest], Bench]] = {
    "simulated": lambda request: simulated_bench(0.0, 0.0),
    "simulated, slow": lambda request: simulated_bench(5.0, 7.0),
    "slurm": lambda request: slurm_bench(request.getfixturevalue("slurm")),
}
"""Another backend joins by adding what makes a bench of it."""


@pytest.fixture(params=sorted(BENCHES))
def make_backend(request: pytest.FixtureRequest) -> Bench:
    return BENCHES[request.param](request)


class TestBackend:
    """Checks that every backend passes."""

    def test_is_a_backend(self, make_backend: Bench) -> None:
        assert isinstance(make_backend.backend, Backend)
        assert make_backend.backend.name

    def test_says_what_is_so_in_the_columns_agreed_on(self, make_backend: Bench) -> None:
        seen = make_backend.backend.observe()
        assert dict(seen.nodes.schema) == NODE_COLUMNS
        assert dict(seen.jobs.schema) == JOB_COLUMNS
        assert seen.nodes["node"].is_unique().all() and seen.jobs["job_id"].is_unique().all()
        assert seen.nodes.select("node", "gpus", "open").null_count().sum_horizontal().item() == 0
        needed = ("job_id", "user", "group", "name", "submit_s", "tasks", "gpus", "gpu_milli", "gpu_models", "state")
        assert seen.jobs.select(needed).null_count().sum_horizontal().item() == 0
        assert state_of(seen, make_backend.single) == state_of(seen, make_backend.gang) == WAITING

    def test_looking_changes_nothing(self, make_backend: Bench) -> None:
        first, second = make_backend.backend.observe(), make_backend.backend.observe()
        assert first.jobs.equals(second.jobs) and first.nodes.equals(second.nodes)

    def test_launches_on_just_these_nodes(self, make_backend: Bench) -> None:
        assert make_backend.backend.launch([make_backend.whole(make_backend.gang)]) == []
        assert make_backend.state(make_backend.gang) in (LAUNCHING, RUNNING)
        make_backend.settle()
        row = make_backend.backend.observe().jobs.filter(pl.col("job_id") == make_backend.gang)
        assert row["state"][0] == RUNNING
        assert tuple(row["nodes"][0]) == make_backend.nodes
        assert row["started_s"][0] is not None

    def test_a_gang_starts_whole_or_not_at_all(self, make_backend: Bench) -> None:
        backend = make_backend.backend
        assert backend.launch([make_backend.whole(make_backend.single)]) == []
        make_backend.settle()
        backend.launch([make_backend.whole(make_backend.gang)])
        make_backend.settle()
        row = backend.observe().jobs.filter(pl.col("job_id") == make_backend.gang)
        # refused, or pending for all of its nodes: never on a part of them
        assert row["state"][0] in (WAITING, LAUNCHING)

    def test_to_launch_twice_is_to_launch_once(self, make_backend: Bench) -> None:
        launch = make_backend.whole(make_backend.single)
        make_backend.backend.launch([launch])
        make_backend.backend.launch([launch])
        make_backend.settle()
        row = make_backend.backend.observe().jobs.filter(pl.col("job_id") == make_backend.single)
        assert row.height == 1
        assert row["state"][0] == RUNNING
        assert tuple(row["nodes"][0]) == launch.nodes

    def test_a_stopped_job_waits_again_and_can_start_again(self, make_backend: Bench) -> None:
        backend, job = make_backend.backend, make_backend.single
        backend.launch([make_backend.whole(job)])
        make_backend.settle()
        assert backend.stop([job]) == []
        assert make_backend.state(job) in (WAITING, STOPPING)
        backend.stop([job])
        make_backend.settle()
        assert make_backend.state(job) == WAITING
        backend.stop([job])
        assert make_backend.state(job) == WAITING
        assert backend.launch([make_backend.whole(job)]) == []
        make_backend.settle()
        assert make_backend.state(job) == RUNNING

    def test_a_launch_can_be_taken_back(self, make_backend: Bench) -> None:
        backend, job = make_backend.backend, make_backend.single
        backend.launch([make_backend.whole(job)])
        before = make_backend.state(job)
        refused = backend.park([job])
        if make_backend.lives and make_backend.state(job) == RUNNING:
            # a real cluster may start it between two words; what runs is not taken back
            before = RUNNING
        if before == LAUNCHING:
            assert refused == []
            backend.park([job])
            make_backend.settle()
            assert make_backend.state(job) == WAITING
        else:
            backend.park([job])
            assert make_backend.state(job) == RUNNING

    def test_what_is_not_there_is_refused(self, make_backend: Bench) -> None:
        backend = make_backend.backend
        refused = backend.launch([Launch("999999", make_backend.nodes[:1], (1,))])
        refused += backend.stop(["999999"])
        assert [answer.job_id for answer in refused] == ["999999", "999999"]
        assert all(answer.message for answer in refused)
        assert make_backend.state(make_backend.single) == WAITING

    def test_a_node_that_is_not_there_is_refused(self, make_backend: Bench) -> None:
        launch = Launch(make_backend.single, ("nonesuch",), (1,))
        assert [answer.job_id for answer in make_backend.backend.launch([launch])] == [make_backend.single]
        assert make_backend.state(make_backend.single) == WAITING

    def test_nothing_to_tell_is_fine(self, make_backend: Bench) -> None:
        backend = make_backend.backend
        assert backend.launch([]) == backend.stop([]) == backend.park([]) == []


def test_a_recorder_sends_nothing() -> None:
    bench = simulated_bench(0.0, 0.0)
    recorder = Recorder(bench.backend)
    assert recorder.launch([bench.whole(bench.single)]) == recorder.stop(["2"]) == recorder.park(["2"]) == []
    assert recorder.told == [("start", "1", ("n0",)), ("stop", "2", ()), ("park", "2", ())]
    assert bench.state(bench.single) == WAITING


POLICIES = [
    "fifo", "sjf", "srtf", "srtf[conserve=no]", "las[quantum=2m]", "fair", "fair[by=group]", "qssf[on=duration]",
    "priority", "round-robin[quantum=2m]", "fifo+consolidate", "sjf+best-fit", "las[quantum=3m]+first-fit",
]  # fmt: skip


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_carried_out_does_what_it_does_in_a_simulation(policy: str, seed: int) -> None:
    # an allocator gives GPUs: a job that asks for none gets its turn under orders only
    agree(workload(seed, cpu_only=not policy.startswith("round-robin")), policy)


@pytest.mark.parametrize("policy", ["fifo", "sjf+best-fit"])
@pytest.mark.parametrize("backfill", ["strict", "easy"])
def test_backfilling_is_the_same(policy: str, backfill: str) -> None:
    agree(workload(3), policy, backfill)


@pytest.mark.parametrize("policy", ["sjf+fgd", "fifo+fgd", "fifo+completion"])
def test_policies_that_know_typical_tasks_agree_where_they_know_the_same(policy: str) -> None:
    """All jobs are there from the beginning, so that what is known does not change."""
    agree(workload(4, jobs=40, at_once=True), policy)


REMEMBERING = [
    "tiresias[thresholds=60/200,promote=2]", "srtf", "round-robin[quantum=2m]", "gandiva-fair[round=2m]",
    "gandiva-fair[round=2m,by=user,trade=yes]", "afs", "optimus", "allox", "allox[compat=yes,round=2m]",
    "themis[lease=2m,round=1m]", "themis[lease=2m,round=1m,form=filter]", "gavel[round=2m]",
    "gavel[round=2m,objective=ftf]", "gavel[round=2m,objective=fifo,aware=no]", "shockwave[round=60,since=submit]",
]  # fmt: skip


@pytest.mark.parametrize("policy", REMEMBERING)
def test_what_a_policy_remembers_it_knows_live_and_after_a_restart(policy: str, tmp_path: Path) -> None:
    """After every fifth cycle another controller goes on, with a policy that has seen nothing."""
    # an allocator gives GPUs of one model: what asks for more of it than there are gets none
    agree(workload(2, 26, cpu_only=False, widest=8), policy, restart=5, path=str(tmp_path / "memory"))


def agree(work: Workload, policy: str, backfill: str = "skip", restart: int = 0, path: str = ":memory:") -> None:
    """Assert that starts, places and ends are equal."""
    machine = cluster()
    expected = ap.simulate(work, machine, policy, backfill=backfill, check=True)
    simulated = driven(work, machine, policy, {"skip": 0, "strict": 1, "easy": 2}[backfill], restart, path)
    assert simulated.done
    names = machine.table["node"].to_list()
    ids = work.table["job_id"].to_list()
    runs: list[tuple[float, str, tuple[str, ...]]] = []
    for start, job, node, first in expected.placements.select("start_s", "job", "node", "first").iter_rows():
        if first:
            runs.append((start, ids[job], (names[node],)))
        else:
            runs[-1] = (*runs[-1][:2], (*runs[-1][2], names[node]))
    assert simulated.starts == runs
    assert simulated.ended() == dict(expected.jobs.select("job_id", "end_s").iter_rows())
    assert len(runs) > len(work) or ("srtf" not in policy and "las" not in policy)


def test_what_another_policy_remembered_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    work = workload(2, 12, cpu_only=False, widest=8, at_once=True)
    driven(work, cluster(), "round-robin[quantum=2m]", path=str(path))
    memory = Memory(path)
    assert memory.state()["of"].startswith("round-robin[quantum=2m] ")
    held = Asked.of(memory.state(), parse_policy("round-robin[quantum=2m]"))
    assert np.isfinite(held.until_s)
    assert Asked.of(memory.state(), parse_policy("round-robin[quantum=3m]")) == Asked()
    memory.close()
