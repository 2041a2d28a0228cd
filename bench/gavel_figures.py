"""Gavel's simulated figures (OSDI 2020): mean JCT under a load that goes on, makespan of jobs that are all there.

Run `python -m bench.gavel_figures [single|multi|makespan|priorities|log] ... --out FILE` to run what FILE does not have
yet, a run a process, one after the other, and `--show` to print what it has beside what the authors' notebooks show.
36 V100, 36 P100 and 36 K80, rounds as in the released simulator; jobs 4,000 to 4,999 of each run are measured while
jobs go on coming. The notebooks average seeds 0, 1 and 2.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

import apportion as ap
from bench.worlds import data_folder

CLUSTER = "36x1:v100+36x1:p100+36x1:k80"
FIRST, LAST = 4000, 5000
AFTER_H, LONGEST_AFTER_H = 500.0, 4000.0
"""Hours for which jobs go on coming after the last one that is measured: doubled, up to the second number, while one of
these ends later than the last one comes. The released code does not stop them."""

LAS, LAS_PERF = "gavel[aware=no,released=yes,solver=ecos]", "gavel[solver=ecos]"
POLICIES = {
    "LAS": LAS,
    "LAS_perf": LAS_PERF,
    "allox": "allox[compat=yes]",
    "fifo": "gavel[objective=fifo,aware=no,released=yes,seed=SEED]",
    "fifo_perf": "gavel[objective=fifo]",
    "FTF": "gavel[objective=ftf,aware=no,released=yes,solver=ecos]",
    "FTF_perf": "gavel[objective=ftf,released=yes,solver=ecos]",
    "makespan": "gavel[objective=makespan,released=yes,solver=ecos]",
    "gandiva": "gandiva[seed=SEED]",
    "LAS_packed": "gavel[packed=yes,filling=no]",
    "makespan_packed": "gavel[objective=makespan,packed=yes]",
    "filled": "gavel",
    "filled, blind": "gavel[aware=no]",
}
"""Name in the notebooks -> policy; `SEED` becomes the run's seed."""

Figure = tuple[tuple[float, ...], dict[str, tuple[float | None, ...]]]
NOT = None  # not shown: never ran, or did not settle
SINGLE: Figure = (
    (0.4, 2.0, 3.2, 4.0, 4.8, 5.2, 5.6, 6.0),
    {
        "LAS": (22.69, 22.83, 22.91, 22.92, 34.75, 60.06, 91.29, NOT),
        "LAS_perf": (17.37, 16.95, 15.74, 16.26, 18.02, 20.52, 26.42, 37.64),
        "gandiva": (17.37, 17.45, 17.48, 18.34, 27.61, 32.23, 62.99, NOT),
        "LAS_packed": (18.19, 18.62, 15.85, 16.32, 17.92, 18.61, 19.08, 19.58),
        "allox": (17.37, 16.96, 16.03, 16.53, 19.92, 21.70, 23.54, NOT),
        "fifo": (17.37, 17.99, 19.69, 23.84, 92.00, 154.35, NOT, NOT),
        "fifo_perf": (15.04, 15.18, 15.51, 16.39, 24.10, 57.08, 108.26, 154.95),
        "FTF": (22.69, 22.82, 22.87, 22.86, 34.70, 60.47, 83.22, 107.58),
        "FTF_perf": (17.37, 17.00, 16.15, 16.92, 19.26, 21.94, 27.89, 39.27),
    },
)
MULTI: Figure = (
    (0.2, 1.0, 1.8, 2.2, 2.6, 2.8, 3.0),
    {
        "LAS": (23.91, 24.14, 24.56, 26.34, 72.43, 198.84, NOT),
        "LAS_perf": (17.29, 17.22, 17.76, 20.53, 32.52, 45.97, NOT),
        "gandiva": (17.29, 17.58, 19.27, 23.94, 57.96, NOT, NOT),
        "LAS_packed": (17.48, 17.83, 17.50, 19.37, 25.54, 32.73, 63.97),
        "fifo": (17.29, 18.36, 28.50, 114.42, 348.96, 467.02, 593.72),
        "fifo_perf": (15.56, 15.83, 18.52, 23.77, 138.03, 247.44, 345.47),
        "FTF": (23.91, 24.17, 25.46, NOT, 62.09, NOT, NOT),
        "FTF_perf": (17.29, 17.21, 17.71, 20.20, 28.65, 37.05, 47.87),
    },
)
"""Jobs an hour; mean JCT in hours, as the artefact's notebooks show it (their logs are called final). `MULTI`: jobs of
one to eight GPUs."""

SINGLE_BEFORE: Figure = (
    (0.4, 2.0, 3.2, 4.0, 4.8, 5.2, 5.6, 6.0),
    {
        "LAS": (23.26, 23.47, 23.59, 23.49, 35.79, 63.78, 95.99, NOT),
        "LAS_perf": (17.58, 16.95, 16.08, 16.82, 18.97, 22.02, 28.96, 41.23),
        "gandiva": (17.58, 17.61, 17.83, 18.88, 30.46, 34.32, 42.54, NOT),
        "LAS_packed": (18.42, 18.26, 16.18, 16.96, 18.67, 19.14, 19.64, 20.42),
        "allox": (17.58, 16.93, 16.43, 17.13, 20.92, 21.96, 25.32, NOT),
        "fifo": (17.58, 18.32, 22.21, 25.38, 99.19, 151.67, NOT, NOT),
        "fifo_perf": (15.31, 15.45, 15.95, 17.08, 22.24, 56.69, 104.12, 150.04),
        "FTF": (23.26, 23.47, 23.58, 23.43, 34.93, 64.46, 85.54, 109.14),
        "FTF_perf": (17.58, 17.07, 16.57, 17.57, 20.43, 23.38, 30.47, 43.05),
    },
)
MULTI_BEFORE: Figure = (
    (0.2, 1.0, 1.8, 2.2, 2.6, 2.8, 3.0),
    {
        "LAS": (25.93, 26.10, 27.29, 30.82, 70.54, 169.93, NOT),
        "LAS_perf": (18.55, 18.54, 20.35, 24.61, 36.44, 55.78, NOT),
        "gandiva": (18.55, 18.96, 22.32, 30.02, 60.43, NOT, NOT),
        "LAS_packed": (18.72, 19.01, 19.66, 22.89, 30.51, 38.25, 46.94),
        "fifo": (18.56, 19.92, 31.54, 65.45, 304.76, 414.68, 537.18),
        "fifo_perf": (16.91, 17.34, 23.71, 33.05, 93.60, 204.44, 301.75),
        "FTF": (25.93, 26.12, 27.23, NOT, 64.38, NOT, NOT),
        "FTF_perf": (18.55, 18.51, 20.12, 24.36, 33.90, 41.56, 52.19),
    },
)
"""The same figures in earlier versions of the notebooks."""

MAKESPAN: Figure = (
    (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0),
    {
        "fifo": (182.3, 229.4, 295.6, 350.5, 426.6, 506.2, 619.5),
        "gandiva": (166.6, 178.9, 199.9, 224.1, 263.9, 301.3, 347.3),
        "makespan": (161.16, 161.16, 161.16, 161.29, 169.4, 195.0, 244.2),
        "makespan_packed": (163.6, 163.6, 161.2, 168.5, 168.1, 183.2, 226.2),
    },
)
"""Jobs of one to eight GPUs, all there at the start; makespan in hours."""

LOG: Figure = (0.4, 0.8), {"allox": (16.5575, 16.6239)}
"""As `SINGLE`: what the artefact's instructions show of a run with seeds 42, 1234 and 15, their mean."""

HIGH: Figure = (2.0,), {"filled": (18.92,), "filled, blind": (28.59,)}
LOW: Figure = (2.0,), {"filled": (18.04,), "filled, blind": (25.48,)}
"""A fifth of the jobs have weight 5; mean JCT in hours of these and of the others. Widths as in `MULTI`."""

FIGURES: dict[str, tuple[str, Figure]] = {
    "single": ("jct_h", SINGLE),
    "multi": ("jct_h", MULTI),
    "makespan": ("makespan_h", MAKESPAN),
    "priorities": ("high_h", HIGH),
    "log": ("jct_h", LOG),
}
BESIDE: dict[str, tuple[str, Figure]] = {
    "single, before": ("jct_h", SINGLE_BEFORE),
    "multi, before": ("jct_h", MULTI_BEFORE),
    "priorities, low": ("low_h", LOW),
}
"""Shown of the same runs: name of the figure, comma, what."""


class Run(NamedTuple):
    """A point of a figure with one seed."""

    figure: str
    policy: str
    at: float
    seed: int


def measure(run: Run, jobs: int | None = None, window: tuple[int, int] = (FIRST, LAST)) -> dict[str, Any]:
    """Return what one run gives: hours, what was not done, CPU seconds. jobs: default as many as the figure takes."""
    if jobs is not None or run.figure == "makespan":
        return _measure(run, jobs or round(run.at), window)
    after_h = AFTER_H
    while True:
        found = _measure(run, LAST + round(after_h * run.at), window)
        if not found["late"] or after_h >= LONGEST_AFTER_H:
            return found
        after_h *= 2


def _measure(run: Run, jobs: int, window: tuple[int, int]) -> dict[str, Any]:
    static = run.figure == "makespan"
    spec = f"gavel-jobs:{data_folder() / 'gavel' / 'simulation_throughputs.json'}?jobs={jobs}&seed={run.seed}"
    spec += f"&multi={'no' if run.figure in ('single', 'log') else 'yes'}" + ("" if static else f"&rate={run.at}")
    spec += "&priorities=yes" if run.figure == "priorities" else ""
    workload = ap.load(spec).workload
    policy = POLICIES[run.policy].replace("SEED", str(run.seed))
    began = time.process_time()
    result = ap.simulate(workload, ap.parse_cluster(CLUSTER), policy, rules="gavel", seed=run.seed)
    taken = time.process_time() - began
    number = pl.col("job_id").cast(pl.Int64)
    done = result.jobs.join(workload.table.select("job_id", "priority_weight"), on="job_id", maintain_order="left")
    measured = done if static else done.filter((number >= window[0]) & (number < window[1]))
    high = measured["priority_weight"] > 1
    return {
        **run._asdict(),
        "makespan_h": result.summary()["makespan_s"] / 3600,
        "jct_h": _hours(measured["jct_s"]),
        "high_h": _hours(measured.filter(high)["jct_s"]),
        "low_h": _hours(measured.filter(~high)["jct_s"]),
        "unfinished": measured["jct_s"].null_count(),
        # these ended in a cluster that was emptying
        "late": 0 if static else measured.filter(pl.col("end_s") > result.jobs["submit_s"].max()).height,
        "cpu_s": round(taken, 1),
    }


def _hours(seconds: pl.Series) -> float | None:
    return float(np.mean(seconds.drop_nulls().to_numpy())) / 3600 if seconds.len() > seconds.null_count() else None


def runs(figures: Iterable[str], policies: Iterable[str], at: Iterable[float], seeds: Iterable[int]) -> Iterator[Run]:
    """Yield the runs that are asked for; empty = all."""
    some, points = set(policies), set(at)
    for seed in seeds:
        for figure in figures:
            loads, published = FIGURES[figure][1]
            for k, load in enumerate(loads):
                for policy, values in published.items():
                    if values[k] and (not some or policy in some) and (not points or load in points):
                        yield Run(figure, policy, load, seed)


def _append(run: Run, out: Path) -> None:
    line = json.dumps(measure(run))
    with out.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def _done(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []


def work(wanted: Iterable[Run], out: Path, limit_s: float) -> None:
    """Run what `out` does not have, each in a process of its own that may take so long."""
    have = {tuple(row[key] for key in Run._fields) for row in _done(out)}
    for run in wanted:
        if run in have:
            continue
        process = multiprocessing.Process(target=_append, args=(run, out))
        process.start()
        process.join(limit_s)
        if process.is_alive():
            process.kill()
            process.join()
            print(f"{run}: not done in {limit_s:g} s", flush=True)
        else:
            print(run, flush=True)


def show(out: Path) -> None:
    """Print, for each point: ours (mean over seeds) / published."""
    rows = _done(out)
    for figure, (key, (loads, published)) in {**FIGURES, **BESIDE}.items():
        name = figure.partition(",")[0]
        for k, load in enumerate(loads):
            cells = []
            for policy, values in published.items():
                found = [r for r in rows if (r["figure"], r["policy"], r["at"]) == (name, policy, load)]
                if (theirs := values[k]) and found:
                    hours = float(np.mean([r[key] for r in found]))
                    cells.append(f"{policy} {hours:.2f} / {theirs} ({hours / theirs - 1:+.1%}, n={len(found)})")
            if cells:
                print(f"{figure} {load:g}: " + "; ".join(cells))


def main() -> None:
    """Run, or print."""
    parser = argparse.ArgumentParser(prog="python -m bench.gavel_figures", description=__doc__)
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], help="default: all")
    parser.add_argument("--policies", default="", help="names of the notebooks, joined with |; default: all")
    parser.add_argument("--at", default="", help="loads, or numbers of jobs, joined with commas; default: all")
    parser.add_argument("--seeds", default="0", help="joined with commas")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a run may take")
    parser.add_argument("--out", type=Path, default=Path("gavel_figures.jsonl"))
    parser.add_argument("--show", action="store_true", help="print what there is")
    given = parser.parse_args()
    if not given.show:
        policies = [name for name in given.policies.split("|") if name]
        at = [float(x) for x in given.at.split(",") if x]
        seeds = [int(x) for x in given.seeds.split(",")]
        work(runs(given.figures or FIGURES, policies, at, seeds), given.out, given.limit)
    show(given.out)


if __name__ == "__main__":
    main()
