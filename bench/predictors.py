"""What predictors know and what it is worth: accuracy, and mean JCT against the oracle's, on the same jobs.

Run `python -m bench.predictors [CASE ...]`; the tables of the documentation are made of what it prints. P65K is the
input of `tests/parity.py`, made from the public Philly file; `early` are the days of that file before it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

import apportion as ap
from apportion.study.accuracy import accuracy, replay
from apportion.study.load import at_load
from bench.worlds import data_folder

MODELS = ("sju", "sjg", "sjgg", "mean", "median", "rolling", "gbdt", "additive", "qssf")
RULES = ("fifo", "sju", "sjg", "sjgg", "qssf", "qssf[on=duration]")
GPUS = 400


def p65k() -> ap.Workload:
    """All jobs of Philly from 2017-10-09 on."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from parity import P65K, write

    with tempfile.TemporaryDirectory() as folder:
        return ap.load(f"pai-sim:{write(data_folder() / 'philly' / 'philly.csv', P65K, Path(folder))}").workload


def early() -> ap.Workload:
    """The jobs of Philly before those."""
    return ap.load(f"philly:{data_folder() / 'philly' / 'philly.csv'}?to=2017-10-08T23:59:59").workload


def synthetic(preset: str) -> ap.Workload:
    """Generated jobs, as many GPU-hours as the pool has."""
    workload = ap.load(f"synthetic:{preset}?jobs=20000&seed=1").workload
    fitting = workload.table.filter(pl.col("gpus") * pl.col("tasks") <= GPUS)
    return at_load(ap.Workload(fitting), ap.parse_cluster(f"pool:{GPUS}"), 1.0)


CASES: dict[str, Callable[[], ap.Workload]] = {
    "P65K": p65k,
    "early": early,
    "philly": lambda: synthetic("philly"),
    "venus": lambda: synthetic("venus"),
}


def main() -> None:
    """Print the accuracy of each model, then the mean JCT of each rule and of each model, over that of SJF."""
    parser = argparse.ArgumentParser(prog="python -m bench.predictors")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--models", default=",".join(MODELS))
    asked = parser.parse_args()
    for case in asked.cases or CASES:
        workload, cluster = CASES[case](), ap.parse_cluster(f"pool:{GPUS}:{GPUS * 24}")
        oracle = float(ap.simulate(workload, cluster, "sjf").jobs["jct_s"].mean())  # type: ignore[arg-type]
        print(f"{case}: {len(workload):,} jobs, SJF {oracle:,.0f} s", flush=True)
        models = asked.models.split(",")
        for policy in (*RULES, *(f"qssf[predict={model}]" for model in models)):
            began = time.process_time()
            mean = float(ap.simulate(workload, cluster, policy).jobs["jct_s"].mean())  # type: ignore[arg-type]
            print(
                f"  {policy}\t{mean:,.0f} s\t{mean / oracle:.3f}\t{time.process_time() - began:.1f} CPU s", flush=True
            )
        for model in models:
            found = accuracy(replay(workload, model))
            print(
                f"  {model}\twithin 25 %: {100 * found['within_25_pct']:.1f} %\t"
                f"median error {found['error_pct']['p50']:.0f} %\trank {found['rank_correlation']:.3f}\t"
                f"interval {100 * found['coverage_80']:.1f} %\tpinball {found['pinball_s']:,.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
