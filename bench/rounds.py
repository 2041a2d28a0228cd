"""Allocators: milliseconds a solve of Gavel's programs on one core, and runs of published traces.

Run `python -m bench.rounds [solves] [parts] [gavel] [shockwave] [philly]`, all but the last by default: a month of
Philly on 400 GPUs takes minutes. Where cvxpy is installed (dependency group `bench`), the same programs are also
written in it (with ECOS), as the released code does, and solved in the same run.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import apportion as ap
from apportion.policies.allocators import gavel_programs as programs
from apportion.policies.allocators.gavel_case import Case
from apportion.policies.allocators.gavel_filling import fill
from bench.worlds import data_folder

JOBS, MODELS, REPEATS = 1000, 3, 7


def drawn(jobs: int, types: int, seed: int = 0) -> Case:
    """Jobs of so many types (speeds and width), on a quarter of a GPU each and model."""
    rng = np.random.default_rng(seed)
    speed = rng.uniform(0.1, 1.0, (types, MODELS)) * np.array([3.0, 2.0, 1.0])
    width = rng.choice([1.0, 2.0, 4.0, 8.0], types, p=[0.7, 0.1, 0.15, 0.05])
    kind = rng.integers(types, size=jobs) if types < jobs else np.arange(jobs)
    return Case(speed[kind], width[kind], np.full(MODELS, jobs / 4), np.ones(jobs), np.ones(jobs))


def merged(case: Case) -> Case:
    """Return a row for each kind of job, as the policy solves it."""
    rows = np.column_stack([case.speed, case.width])
    _, first, count = np.unique(rows, axis=0, return_index=True, return_counts=True)
    return Case(case.speed[first], case.width[first], case.capacity, count.astype(float), np.ones(first.size))


def timed(solve: Callable[[], object]) -> float:
    """Return the median milliseconds of process time."""
    found = []
    for _ in range(REPEATS):
        began = time.process_time()
        solve()
        found.append(1e3 * (time.process_time() - began))
    return statistics.median(found)


def warm(case: Case, solve: Callable[[Case], object]) -> float:
    """Return the median milliseconds when five jobs leave and five come between two solves."""
    rng, memory, names = np.random.default_rng(1), dict[bytes, np.ndarray](), np.arange(len(case.width))
    found = []
    for _ in range(REPEATS + 1):
        named = Case(
            case.speed, case.width, case.capacity, case.count, case.weight,
            names=tuple(name.tobytes() for name in names), memory=memory,
        )  # fmt: skip
        began = time.process_time()
        solve(named)
        found.append(1e3 * (time.process_time() - began))
        stay = np.sort(rng.permutation(names.size)[5:])
        new = drawn(5, 5, int(rng.integers(1 << 30)))
        names = np.concatenate([names[stay], names.max() + 1 + np.arange(5)])
        speed, width = np.vstack([case.speed[stay], new.speed]), np.concatenate([case.width[stay], new.width])
        case = Case(speed, width, case.capacity, case.count, case.weight)
    return statistics.median(found[1:])


def modelled(case: Case, times: tuple[np.ndarray, ...] = ()) -> Callable[[], object] | None:
    """Return max-min, or with times (left, elapsed, alone) the finish times, in cvxpy with ECOS; None without it."""
    try:
        import cvxpy as cp
    except ImportError:
        return None

    def solve() -> object:
        x = cp.Variable(case.speed.shape)
        width = np.repeat(case.width[:, None], MODELS, axis=1)
        room = [x >= 0, cp.sum(cp.multiply(width, x), axis=0) <= case.capacity, cp.sum(x, axis=1) <= 1]
        if times:
            left, elapsed, alone = times
            took = cp.multiply(left, cp.inv_pos(cp.sum(cp.multiply(case.speed, x), axis=1)))
            goal = cp.Minimize(cp.max(cp.multiply(elapsed + took, 1 / alone)))
        else:
            goal = cp.Maximize(cp.min(cp.sum(cp.multiply(programs.fairness_rows(case), x), axis=1)))
        return cp.Problem(goal, room).solve(solver="ECOS")

    return solve


def beside(ours: float, other: Callable[[], object] | None) -> str:
    """Return what to print of the same program in cvxpy."""
    if other is None:
        return ""
    return ratio(ours, timed(other))


def ratio(ours: float, theirs: float) -> str:
    """Return what to print of milliseconds that cvxpy takes."""
    return f"; in cvxpy with ECOS {theirs:.0f}, ours / cvxpy {ours / theirs:.2f}"


def alike(case: Case, count: float) -> Case:
    """Return the same jobs with more or fewer GPUs of each model."""
    return Case(case.speed, case.width, case.capacity * count, case.count, case.weight)


def _of_types(solve: Callable[[Case], object], case: Case) -> object:
    return solve(merged(case))


def solves() -> None:
    """Print milliseconds a solve."""
    typed, each = drawn(JOBS, 80), drawn(JOBS, JOBS)
    print(f"{JOBS} jobs x {MODELS} models, CPU ms a solve (median of {REPEATS})")
    for name, solve in (("max-min", programs.max_min), ("max-min, filled", fill)):
        print(f"  {name}: 80 types of job {timed(partial(_of_types, solve, typed)):.1f}", end=", ")
        ours, again = timed(partial(solve, each)), warm(each, solve)
        same = beside(ours, modelled(each) if solve is programs.max_min else None)
        print(f"all different {ours:.0f} from nothing, {again:.1f} from the last{same}")
    for count, much in ((2.2, "half of the jobs run all the time"), (8.0, "all of them do")):
        print(f"  max-min, filled, {much}: {timed(partial(fill, alike(each, count))):.0f}")
    left = np.random.default_rng(2).uniform(1e3, 1e5, JOBS)
    print(f"  makespan, all different: {timed(partial(programs.makespan, each, left)):.0f}")
    elapsed = np.random.default_rng(3).uniform(0, 1e5, JOBS)
    for count, how in ((1.0, "the latest cannot be faster"), (0.125, "GPUs are what lacks")):
        case = alike(each, count)
        alone = elapsed + left / (case.speed * programs.even(case.width, case.capacity)).sum(axis=1)
        ours = timed(partial(programs.finish_time, case, left, elapsed, alone))
        print(f"  finish times, {how}: {ours:.0f}{beside(ours, modelled(case, (left, elapsed, alone)))}")
    if modelled(each) is None:
        print("  cvxpy is not installed: no ratios")


def _of_all(solves: list[Callable[[], object]]) -> float:
    """Return the milliseconds of process time that all take together, 0 = there are none."""
    began = time.process_time()
    for solve in solves:
        solve()
    return 1e3 * (time.process_time() - began) if solves else 0.0


def parts() -> None:
    """Print milliseconds for ten times as many jobs, dealt into parts that are solved alone (POP)."""
    jobs = 10 * JOBS
    whole = drawn(jobs, jobs)
    print(f"{jobs} jobs x {MODELS} models, all different, CPU ms")
    for count in (10, 20, 50):
        dealt = [
            Case(whole.speed[k::count], whole.width[k::count], whole.capacity / count, np.ones(n), np.ones(n))
            for k, n in enumerate(len(whole.width[k::count]) for k in range(count))
        ]
        for name, solve in (("max-min", programs.max_min), ("max-min, filled", fill)):
            ours = _of_all([partial(solve, part) for part in dealt])
            same = [modelled(part) for part in dealt] if solve is programs.max_min else []
            theirs = _of_all([other for other in same if other is not None])
            print(f"  {name}, in {count} parts: {ours:.0f}", end="")
            print(ratio(ours, theirs) if theirs else "")


def _runs(
    trace: str,
    cluster: str,
    policies: tuple[str, ...],
    rules: str | None = None,
    checkpoint_cost: float = 0.0,
    times: int = 3,
) -> None:
    workload, nodes = ap.load(trace).workload, ap.parse_cluster(cluster)
    few = workload.table.head(2)
    for policy in policies:
        # compiled before it is timed
        ap.simulate(ap.Workload(few, profiles=workload.profiles), nodes, policy, rules=rules)
        took = []
        for _ in range(times):
            began = time.process_time()
            result = ap.simulate(workload, nodes, policy, rules=rules, checkpoint_cost=checkpoint_cost).summary()
            took.append(time.process_time() - began)
        asked = result["engine"]["decide_s"]
        print(
            f"  {policy}: {statistics.median(took):.2f} CPU s, {result['rounds']['count']} rounds, "
            f"{1e6 * asked['median']:.0f} us a decision (median), mean JCT {result['jct_s']['mean']:.0f} s"
        )


def gavel() -> None:
    """Print seconds of runs of Gavel's physical trace."""
    folder = data_folder() / "gavel"
    trace = folder / "physical_max_min_fairness.trace"
    print(f"{trace.name}, 48 GPUs of 3 models")
    policies = ("gavel", "gavel[objective=makespan]", "gavel[objective=ftf]", "gavel[objective=fifo]")
    table = folder / "physical_cluster_throughputs.json"
    _runs(f"gavel:{trace}?throughputs={table}", "1x8:v100+1x16:p100+1x24:k80", policies, "gavel")


def shockwave() -> None:
    """Print seconds of runs of Shockwave's largest trace under the rules."""
    folder = data_folder() / "shockwave"
    print("900 jobs of Shockwave, 256 GPUs")
    policies = (
        "gandiva-fair", "gavel[objective=fifo]", "gavel[objective=isolated]", "gavel[objective=proportional]",
        "round-robin", "afs", "optimus", "themis", "shockwave",
    )  # fmt: skip
    trace = f"shockwave:{folder / '900_jobs.trace'}?throughputs={folder / 'wisr_throughputs.json'}"
    _runs(trace, "pool:256", policies, "shockwave")


def philly() -> None:
    """Print seconds of runs of a month of Philly."""
    print("Philly, 2017-10-09 to 2017-11-08, 50 nodes of 8 GPUs, a restart costs 30 s")
    trace = f"philly:{data_folder() / 'philly' / 'philly.csv'}?from=2017-10-09&to=2017-11-08"
    _runs(trace, "50x8", ("optimus", "afs", "shockwave", "gavel[objective=ftf]", "themis"), None, 30.0, 1)


def main() -> None:
    """Print the tables that were asked for."""
    tables = {table.__name__: table for table in (solves, parts, gavel, shockwave, philly)}
    for name in sys.argv[1:] or list(tables)[:-1]:
        if name not in tables:
            sys.exit(f"found table {name!r}, expected {', '.join(tables)}")
        tables[name]()


if __name__ == "__main__":
    main()
