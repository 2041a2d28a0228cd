"""A policy on a real Slurm beside the simulator: the same jobs, the same order, the same times?

`python -m bench.slurm fidelity [JOBS] [STRETCH]` plays jobs of a trace under four policies and runs them in the
simulator, over half a minute times STRETCH each;
`python -m bench.slurm rates [JOBS]` measures how many starts a second the controller carries out, and how many Slurm
does when it is told all at once. Both need Slurm installed; they bring up their own.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

import apportion as ap
from apportion.engine.layout import F8
from apportion.live.backend import Launch, Refusal
from apportion.live.controller import Controller
from apportion.live.memory import Memory
from apportion.live.simulated import SimulatedCluster
from apportion.live.slurm import Slurm, SlurmBackend
from apportion.model.cluster import Cluster
from apportion.model.workload import Workload
from apportion.policies.registry import parse_policy

_TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "live")]
from slurm_cluster import SlurmCluster, slurm_cluster  # noqa: E402
from slurm_trace import Known, Played, play, trace  # noqa: E402

POLICIES = ("fifo", "sjf+fgd", "srtf", "fair[by=group]")
PHASES = 20
"""Simulated runs of each policy, with Slurm's tick and the controller's poll at different moments."""
TICK_S = 1.0
"""Slurm starts jobs once a second."""


Run = tuple[dict[str, float], dict[str, float], dict[str, set[str]]]
"""Last start, end and nodes of every job."""


@dataclass
class Delayed(SimulatedCluster):
    """A cluster that starts jobs as Slurm does: at the next tick of a clock, and a little after it.

    Parameters
    ----------
    lag_s: between being looked at and being told. tick_at: moment of a tick. begin_s: from the tick to the job's
    first line.
    """

    lag_s: float = 0.0
    tick_at: float = 0.0
    begin_s: float = 0.0

    def launch(self, launches: Sequence[Launch]) -> list[Refusal]:
        """Start jobs."""
        self.advance(self.now_s + self.lag_s)
        self.launch_s = TICK_S - (self.now_s - self.tick_at) % TICK_S + self.begin_s
        return super().launch(launches)


@dataclass
class Delays:
    """What was measured of a run: seconds from look to command, from command to first line, from a stop to its end."""

    lag_s: float
    told_to_began_s: list[float] = field(default_factory=list)
    stop_s: list[float] = field(default_factory=list)

    @property
    def begin_s(self) -> float:
        """Return what is left of the delay when half a tick is taken off: launching itself."""
        return max(0.0, statistics.mean(self.told_to_began_s) - TICK_S / 2)


def delays(played: Played) -> Delays:
    """Measure the delays of a run."""
    cycles = played.watch.cycles
    out = Delays(statistics.median(c.observe_s / 2 + c.decide_s + c.act_s / 2 for c in cycles if c.started))
    for job, (at, _, _) in played.starts().items():
        last = [began for mark, began in played.runs[job] if mark == "S"][-1]
        out.told_to_began_s.append(last - (at - played.zero_s) - out.lag_s)
    for at, _, action, job, _, _ in played.told:
        if action == "stop":
            after = [killed for mark, killed in played.runs[job] if mark == "K" and killed > at - played.zero_s]
            out.stop_s += after[:1] and [after[0] - (at - played.zero_s)]
    return out


def as_played(played: Played) -> tuple[Workload, Cluster]:
    """Return the jobs with the times at which they were really submitted, and the nodes as the controller saw them."""
    table = played.work.table.with_columns(
        submit_s=pl.Series([played.submitted_s[row] for row in played.work.table["job_id"]]),
    )
    return Workload.of(table.sort("submit_s", maintain_order=True)), Cluster.of(played.shown.drop("open", "reason"))


def replay(
    played: Played, measured: Delays, seed: int
) -> tuple[dict[str, float], dict[str, float], dict[str, set[str]]]:
    """Run the same controller on a simulated cluster; return last start, end and nodes of every job."""
    work, cluster = as_played(played)
    random = np.random.default_rng(seed)
    stop_s = statistics.mean(measured.stop_s) if measured.stop_s else 0.0
    simulated = Delayed(
        work, cluster, stop_s=stop_s, lag_s=measured.lag_s, tick_at=random.random() * TICK_S, begin_s=measured.begin_s
    )
    memory = Memory(":memory:")
    truth = dict(work.table.select("job_id", "duration_s").iter_rows())
    controller = Controller(simulated, parse_policy(played.policy), memory, run_times=Known(truth))
    at = random.random() * played.poll_s
    while not simulated.done:
        simulated.advance(max(at, simulated.now_s))
        controller.cycle()
        at += played.poll_s
    memory.close()
    starts = {job: start for start, job, _ in simulated.starts}
    return starts, simulated.ended(), {job: set(nodes) for _, job, nodes in simulated.starts}


def ideal(played: Played, delay_s: float) -> Run:
    """Simulate the same jobs without a controller; every start costs `delay_s`."""
    work, cluster = as_played(played)
    longer = Workload.of(work.table.with_columns(duration_s=pl.col("duration_s") + delay_s))
    result = ap.simulate(longer, cluster, played.policy)
    names = cluster.table["node"].to_list()
    ids = longer.table["job_id"].to_list()
    starts: dict[str, float] = {}
    nodes: dict[str, set[str]] = {}
    for start, row, node in result.placements.select("start_s", "job", "node").iter_rows():
        job = ids[row]
        if starts.get(job) != start + delay_s:
            starts[job], nodes[job] = start + delay_s, set()
        nodes[job].add(names[node])
    return starts, dict(result.jobs.select("job_id", "end_s").iter_rows()), nodes


def real(played: Played) -> Run:
    """Return last start, end and nodes of every job, as they wrote them down."""
    starts, ends, nodes = {}, {}, {}
    for row, job in played.ids.items():
        marks = played.runs[job]
        starts[row] = [at for mark, at in marks if mark == "S"][-1]
        ends[row] = marks[-1][1]
        nodes[row] = played.nodes[job]
    return starts, ends, nodes


@dataclass
class Likeness:
    """How alike two runs are.

    Parameters
    ----------
    rank: correlation of the orders of start. ordered: share of the pairs in the same order, of those that start more
    than a second apart in either. errors: |difference of start| of every job. mean_pct: difference of the mean
    completion time. nodes: share of the jobs on the same nodes.
    """

    rank: float
    ordered: float
    errors: list[float]
    mean_pct: float
    nodes: float


def likeness(one: Run, other: Run, submitted: dict[str, float]) -> Likeness:
    """Compare a real run with a simulated one."""
    jobs = list(submitted)
    a, b = (np.array([run[0][job] for job in jobs]) for run in (one, other))
    rank = float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])
    da, db = (x[:, None] - x[None, :] for x in (a, b))
    apart = np.triu((np.abs(da) > 1) & (np.abs(db) > 1), 1)
    ordered = float(((da > 0) == (db > 0))[apart].mean())
    means = [np.mean([run[1][job] - submitted[job] for job in jobs]) for run in (one, other)]
    same = float(np.mean([one[2][job] == other[2][job] for job in jobs]))
    return Likeness(rank, ordered, np.abs(a - b).tolist(), float(100 * (means[1] / means[0] - 1)), same)


def _ranks(values: F8) -> F8:
    frame = pl.Series(values).rank("average")
    return frame.to_numpy()


def fidelity(jobs: int = 200, stretch: int = 1, *, policies: Sequence[str] = POLICIES, poll_s: float = 0.5) -> None:
    """Print how alike Slurm and the simulator are under each policy.

    Parameters
    ----------
    stretch: how many times longer all jobs and gaps are than in the half minute that the tests take.
    """
    work = trace(jobs, 128, stretch * (2 + 0.05 * jobs), stretch * (4 + 0.07 * jobs))
    print(f"{work.name}, 16 nodes x 8 GPUs, poll {poll_s} s")
    print("policy", "simulated as", "rank", "pairs in order %", "start error s: median", "p90", "max",
          "mean completion %", "same nodes %", sep="\t")  # fmt: skip
    with slurm_cluster({"a100": 8, "v100": 8}) as cluster:
        for policy in policies:
            ap.simulate(work, ap.parse_cluster("16x8"), policy)  # compiles what the policy needs
            played = play(cluster, work, policy, poll_s, limit_s=120.0 + 60 * stretch)
            cluster.clear()
            wrong = played.wrong()
            assert not wrong, wrong
            _compare(played)


def _compare(played: Played) -> None:
    measured = delays(played)
    truth, submitted = real(played), played.submitted_s
    mean = played.poll_s / 2 + measured.lag_s + statistics.mean(measured.told_to_began_s)
    _print(played.policy, "no delays", [likeness(truth, ideal(played, 0.0), submitted)])
    _print(played.policy, f"+{mean:.2f} s a start", [likeness(truth, ideal(played, mean), submitted)])
    runs = [likeness(truth, replay(played, measured, seed), submitted) for seed in range(PHASES)]
    _print(played.policy, f"controller, {PHASES} phases", runs)
    told = sorted(measured.told_to_began_s)
    jct = np.mean([truth[1][job] - submitted[job] for job in submitted])
    print(
        f"# {played.policy}: {len(submitted)} jobs in {played.wall_s:.0f} s, mean completion {jct:.2f} s, "
        f"told to first line {told[len(told) // 2]:.2f} s (p90 {told[len(told) * 9 // 10]:.2f}), "
        f"look to command {measured.lag_s:.2f} s; {sum(played.stops().values())} stops; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        flush=True,
    )


def _print(policy: str, how: str, runs: list[Likeness]) -> None:
    median = statistics.median
    errors = [np.quantile(run.errors, (0.5, 0.9, 1.0)) for run in runs]
    mean = f"{median(run.mean_pct for run in runs):+.1f}"
    if len(runs) > 1:
        mean += f" ({min(run.mean_pct for run in runs):+.1f} to {max(run.mean_pct for run in runs):+.1f})"
    print(
        policy, how, f"{median(run.rank for run in runs):.3f}", f"{100 * median(run.ordered for run in runs):.1f}",
        *(f"{median(e[i] for e in errors):.2f}" for i in range(3)), mean,
        f"{100 * median(run.nodes for run in runs):.0f}", sep="\t", flush=True,
    )  # fmt: skip


NOTHING = "#!/bin/sh\n"


def rates(jobs: int = 300, nodes: int = 64, repeats: int = 2) -> None:
    """Print how fast jobs that do nothing go from being told to being over, raw and under the controller, in turn."""
    found: dict[str, list[float]] = {"scontrol": [], "controller": []}
    with slurm_cluster({"a100": nodes}) as cluster:
        for _ in range(repeats):
            found["scontrol"].append(jobs / _raw(cluster, _waiting(cluster, jobs), nodes))
            cluster.clear()
            _waiting(cluster, jobs)
            found["controller"].append(jobs / _controlled(cluster))
            cluster.clear()
    for name, rate in found.items():
        print(f"{name}: {', '.join(f'{one:.1f}' for one in rate)} jobs/s", flush=True)
    ratios = [b / a for a, b in zip(found["scontrol"], found["controller"], strict=True)]
    print(f"controller against scontrol: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
          f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")  # fmt: skip


def _waiting(cluster: SlurmCluster, jobs: int) -> list[str]:
    return [cluster.submit("--gpus-per-node=1", "-N1", script=NOTHING) for _ in range(jobs)]


def _over(cluster: SlurmCluster, began: float) -> float:
    """Return the seconds since `began` when no job is left."""
    while cluster.run("squeue", "-h", "-a", "-o", "%i", check=False).split():
        time.sleep(0.1)
    return time.perf_counter() - began


def _raw(cluster: SlurmCluster, jobs: list[str], nodes: int) -> float:
    lines = [
        f"update JobId={job} Partition=main ReqNodeList=n{i % nodes + 1} Priority={1_000_000 - i}"
        for i, job in enumerate(jobs)
    ]
    began = time.perf_counter()
    cluster.run("scontrol", stdin="\n".join(lines) + "\n")
    return _over(cluster, began)


def _controlled(cluster: SlurmCluster) -> float:
    backend = SlurmBackend(slurm=Slurm(conf=cluster.conf, timeout_s=60), grace_s=0.0)
    memory = Memory(":memory:")
    controller = Controller(backend, parse_policy("fifo"), memory, run_times=Known({}))
    backend.observe()
    began = time.perf_counter()
    while True:
        cycle = controller.cycle()
        if not cycle.waiting and cycle.observation is not None and not cycle.started:
            break
        time.sleep(0.1)
    took = _over(cluster, began)
    memory.close()
    return took


def main() -> None:
    """Run what the command line names."""
    what, *numbers = sys.argv[1:] or ["fidelity"]
    given = [int(number) for number in numbers]
    if what == "rates":
        rates(*given)
    else:
        fidelity(*given)


if __name__ == "__main__":
    main()
