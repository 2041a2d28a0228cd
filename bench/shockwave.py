"""Shockwave: seconds to plan, by its program in counts, the exact one and a modelling layer; and its runs.

Run `python -m bench.shockwave [solve|runs|exact] ...`; the tables of the documentation are made of what it prints.
Seconds are those of the process, on one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import apportion as ap
from apportion.policies.allocators.shockwave_counts import BREAKS, LOGS, Program, solve
from apportion.policies.allocators.shockwave_exact import rank, schedule
from apportion.policies.allocators.shockwave_plan import place
from bench.worlds import data_folder

SIZES = ((30, 32, 1e-3), (60, 32, 1e-3), (100, 32, 1e-3), (120, 64, 10.0), (300, 128, 10.0), (300, 128, 1e-3))
ROUNDS, ROUND_S = 20, 120.0
RUNS = (
    (120, 32, "tacc", "k=1e-3,lambda=12"),
    (220, 64, "wisr", "k=10,lambda=5"),
    (460, 128, "wisr", "k=1e-3,lambda=15"),
    (900, 256, "wisr", "k=1e5,lambda=5"),
)


def instance(jobs: int, gpus: int, k: float, seed: int = 0) -> Program:
    """Jobs in mid-life: a third are new, a third are behind."""
    rng = np.random.default_rng(seed)
    progress = np.where(rng.random(jobs) < 0.3, 0.0, rng.random(jobs) * 0.99)
    length = np.exp(rng.uniform(np.log(700), np.log(18_000), jobs))
    left = length * (1 - progress) * rng.uniform(0.7, 1.4, jobs)
    priority = np.where(rng.random(jobs) < 0.3, rng.uniform(1, 1.8, jobs) ** 12, 1.0)
    width = rng.choice((1, 2, 4, 8), jobs, p=(0.7, 0.2, 0.08, 0.02))
    return Program(width, left, progress, length, priority, float(gpus), ROUNDS, ROUND_S, k)


def timed(function: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Return the least process seconds of some calls, and the answer."""
    best = np.inf
    for _ in range(repeats):
        began = time.process_time()
        answer = function()
        best = min(best, time.process_time() - began)
    return best, answer


def by_cvxpy(program: Program) -> Any:
    """Return the counts of the exact program written with whole arrays in cvxpy, solved by HiGHS; None without it."""
    try:
        import cvxpy as cp
    except ImportError:
        return None
    jobs = program.width.size
    runs = cp.Variable((jobs, program.rounds), boolean=True)
    served = cp.Variable(jobs, nonneg=True)
    points = cp.Variable((jobs, BREAKS.size), nonneg=True)
    part = program.progress + cp.multiply(served, 1 / program.length_s)
    rules = [
        program.width @ runs <= program.gpus,
        served <= program.round_s * cp.sum(runs, axis=1),
        points @ BREAKS == part,
        cp.sum(points, axis=1) == 1,
    ]
    welfare = cp.sum(cp.multiply(program.priority / (jobs * program.rounds), points @ LOGS))
    longest = cp.max(cp.pos(program.left_s - served))
    cp.Problem(cp.Maximize(welfare - program.k * longest), rules).solve(
        solver=cp.HIGHS, highs_options={"mip_rel_gap": 1e-3, "threads": 1}
    )
    return np.rint(runs.value.sum(axis=1)).astype(int)


def plan(program: Program) -> Any:
    """Solve in counts and place eight rounds, as at a re-solve; return the counts."""
    counts, jobs = solve(program), program.width.size
    free, speed, on = np.array([program.gpus]), np.ones((jobs, 1)), np.full(jobs, -1)
    place(counts, program.width, program.priority, program.left_s, program.rounds, 8, free, speed, on)
    return counts


def solving() -> None:
    """Print milliseconds and objectives of a re-solve."""
    plan(instance(10, 8, 1e-3))
    print("jobs GPUs k | counts and placement ms | exact ms, ranking ms | cvxpy ms | objectives")
    for jobs, gpus, k in SIZES:
        program = instance(jobs, gpus, k)
        fast, counts = timed(lambda p=program: plan(p), 5)
        exact, granted = timed(lambda p=program: schedule(p))
        ranking, _ = timed(lambda p=program, g=granted: rank(p, g))
        layer, other = timed(lambda p=program: by_cvxpy(p))
        modelled = "not installed" if other is None else f"{layer * 1e3:.0f}"
        values = [program.objective(c) for c in (counts, granted.sum(axis=0)) + (() if other is None else (other,))]
        print(
            f"{jobs} {gpus} {k:g} | {fast * 1e3:.2f} | {exact * 1e3:.0f}, {ranking * 1e3:.0f} | {modelled} | "
            + " ".join(f"{value:.4f}" for value in values),
            flush=True,
        )


def running(more: str = "") -> None:
    """Print what came of the runs."""
    folder = data_folder() / "shockwave"
    if not folder.exists():
        print("shockwave: skipped, no data (set APPORTION_DATA)")
        return
    print("jobs GPUs policy | makespan s, mean JCT s, worst rho, unfair % | process s")
    for jobs, gpus, table, given in RUNS[: 2 if "exact" in more else None]:
        workload = ap.load(
            f"shockwave:{folder}/{jobs}_jobs.trace?throughputs={folder}/{table}_throughputs.json"
        ).workload
        policy, cluster = f"shockwave[{given}{more}]", ap.parse_cluster(f"pool:{gpus}")
        ap.simulate(ap.Workload(workload.table.head(5), profiles=workload.profiles), cluster, policy, rules="shockwave")
        seconds, result = timed(lambda w=workload, c=cluster, p=policy: ap.simulate(w, c, p, rules="shockwave"))
        jct = result.jobs["jct_s"].to_numpy()
        rho = jct / (workload.table["duration_s"].to_numpy() * max(1, jobs / gpus))
        print(
            f"{jobs} {gpus} {policy} | {result.jobs['end_s'].max():.0f}, {jct.mean():.1f}, {rho.max():.3f}, "
            f"{100 * (rho > 1.05).mean():.2f} | {seconds:.2f}",
            flush=True,
        )


CASES: dict[str, Callable[[], None]] = {
    "solve": solving,
    "runs": lambda: (running(), running(",since=submit"))[0],
    "exact": lambda: running(",solver=exact"),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.shockwave")
    parser.add_argument("cases", nargs="*", help=f"of: {', '.join(CASES)} (default: solve, runs)")
    for name in parser.parse_args().cases or ("solve", "runs"):
        CASES[name]()
