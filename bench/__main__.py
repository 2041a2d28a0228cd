"""Engine time of published-size runs beside a plain-Python event-driven baseline, measured in turn in one process."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import apportion as ap
from bench import baseline
from bench.chaos import chaos
from bench.fill import fill
from bench.live_cycle import live_cycle
from bench.worlds import data_folder, gangs

REPEATS = 3


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="size of the gang workloads")
    given = parser.parse_args()
    for name in given.names or BENCHMARKS:
        BENCHMARKS[name](given.jobs)


def engine_against_baseline(
    label: str, workload: ap.Workload, cluster: ap.Cluster, policy: str, shape: tuple[int, int]
) -> None:
    """Print engine seconds, baseline seconds and their ratio; both must agree on the mean completion time."""
    ap.simulate(ap.Workload(workload.table.head(200)), cluster, policy)
    engine = []
    for _ in range(REPEATS):
        result = ap.simulate(workload, cluster, policy)
        engine.append(float(result.facts["wall_s"]))
    table = workload.table
    submit, duration = table["submit_s"].to_list(), table["duration_s"].to_list()
    began = time.perf_counter()
    ends = baseline.simulate(submit, duration, table["gpus"].to_list(), *shape, policy.startswith("sjf"))
    plain = time.perf_counter() - began
    mine = float(result.jobs["jct_s"].mean())  # type: ignore[arg-type]
    other = sum(e - s for e, s in zip(ends, submit, strict=True)) / len(submit)
    agree = "same mean completion time" if abs(mine - other) < 1e-6 * other else f"mean JCT {mine:.2f} vs {other:.2f}"
    print(
        f"{label}: engine {min(engine):.3f} s (median {statistics.median(engine):.3f}), "
        f"plain Python {plain:.2f} s, {plain / statistics.median(engine):.0f}x; {agree}",
        flush=True,
    )


def gangs_fifo(jobs: int) -> None:
    """A million gang jobs, fifo and best fit, load 0.95."""
    workload = gangs(jobs, 812, 0.95)
    engine_against_baseline(
        f"fifo+best-fit, {workload.name}", workload, ap.parse_cluster("812x8"), "fifo+best-fit", (812, 8)
    )


def gangs_sjf(jobs: int) -> None:
    """A million gang jobs, sjf with skip-backfill, load 1.1: a queue that only grows."""
    workload = gangs(jobs, 812, 1.1)
    engine_against_baseline(
        f"sjf+best-fit, {workload.name}", workload, ap.parse_cluster("812x8"), "sjf+best-fit", (812, 8)
    )


def philly(jobs: int) -> None:
    """Philly from 2017-10-01 on a pool of 400 GPUs."""
    file = data_folder() / "philly" / "philly.csv"
    if not file.exists():
        print(f"philly: skipped, no {file.name} (set APPORTION_DATA)")
        return
    workload = ap.load(f"philly:{file}?from=2017-10-01").workload
    engine_against_baseline(
        f"sjf, Philly, {len(workload):,} jobs, pool:400", workload, ap.parse_cluster("pool:400"), "sjf", (1, 400)
    )


def p10k(jobs: int) -> None:
    """The 10,000 Philly jobs on which the PAI simulator needs 20 CPU seconds."""
    file = data_folder() / "philly" / "philly.csv"
    if not file.exists():
        print(f"p10k: skipped, no {file.name} (set APPORTION_DATA)")
        return
    import polars as pl

    trace = ap.load(f"philly:{file}?from=2017-10-09&limit=10000").workload
    workload = ap.Workload(trace.table.with_columns(pl.col("duration_s").clip(upper_bound=21_600)))
    engine_against_baseline("sjf, P10K, pool:160", workload, ap.parse_cluster("pool:160"), "sjf", (1, 160))


def memory(jobs: int) -> None:
    """Peak memory of a whole process that simulates the million jobs."""
    # VmHWM begins anew with the program; ru_maxrss would count the parent that it was forked from
    code = (
        "import apportion as ap; from bench.worlds import gangs; "
        f"r = ap.simulate(gangs({jobs}, 812, 0.95), ap.parse_cluster('812x8'), 'fifo+best-fit'); "
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print(f"peak memory of a process with {jobs:,} jobs: {int(done.stdout) / 1024:.0f} MiB", flush=True)


def workers(jobs: int) -> None:
    """`compare` of four policies with one and with two workers, in turn."""
    workload = gangs(jobs, 812, 1.0)
    cluster = ap.parse_cluster("812x8")
    trace = ap.Trace(workload, cluster)
    policies = ["fifo+best-fit", "sjf+best-fit", "smallest+best-fit", "fifo+worst-fit"]
    ap.compare(ap.Trace(ap.Workload(workload.table.head(200)), cluster), policies)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(REPEATS):
        for count, taken in seconds.items():
            began = time.perf_counter()
            ap.compare(trace, policies, workers=count)
            taken.append(time.perf_counter() - began)
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    print(
        f"compare, 4 policies x {jobs:,} jobs: 2 workers {statistics.median(ratios):.2f}x faster than 1 "
        f"({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


def first_run(jobs: int) -> None:
    """The first run ever (everything is compiled), and later whole processes."""
    import os
    import tempfile

    def seconds(*arguments: str, **environment: str) -> float:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "apportion.cli.app", *arguments],
            env=os.environ | environment,
            capture_output=True,
            check=True,
        )
        return time.perf_counter() - began

    run = ("simulate", "synthetic:philly?jobs=1000", "--policy", "sjf+best-fit")
    with tempfile.TemporaryDirectory() as empty:
        first = seconds(*run, APPORTION_CACHE=empty)
        later = min(seconds(*run, APPORTION_CACHE=empty) for _ in range(3))
    print(f"first run with compilation {first:.1f} s, later runs {later:.2f} s, {first / later:.0f}x", flush=True)
    print(f"apportion --help {min(seconds('--help') for _ in range(3)):.2f} s", flush=True)
    openb = data_folder() / "openb"
    if openb.exists():
        whole = min(seconds("simulate", f"openb:{openb}", "--policy", "sjf+best-fit") for _ in range(3))
        print(f"simulate openb, whole process {whole:.2f} s", flush=True)


BENCHMARKS: dict[str, Callable[[int], None]] = {
    "gangs-fifo": gangs_fifo,
    "gangs-sjf": gangs_sjf,
    "philly": philly,
    "p10k": p10k,
    "fill": fill,
    "memory": memory,
    "workers": workers,
    "first-run": first_run,
    "chaos": chaos,
    "live-cycle": live_cycle,
}

if __name__ == "__main__":
    main()
