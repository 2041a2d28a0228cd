"""How often the truth falls into the predicted interval: starts of waiting jobs, predicted at random moments of a run.

Two months of a Philly-like cluster, or seven weeks of Philly itself on 60 nodes of 8 GPUs, are simulated; the policy
knows only what earlier jobs of the same user took. Of the jobs that waited at least five minutes some are drawn, and
the start of each is predicted at a random moment of its wait from what could be known then. The first half of the
predictions teaches the calibration, the second half tests it; in the row `rolling` each prediction is calibrated on
those before it whose jobs had started by then, as on a live cluster.

Run `python -m bench.predict_coverage [POLICY ...] [--trace synthetic|philly]`; EASY backfill is written `fifo@easy`.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import polars as pl

import apportion as ap
from apportion.live.forecast import predict_start
from apportion.live.predictions import LAST
from apportion.policies.registry import parse_policy
from apportion.predict.calibration import Calibration
from apportion.predict.history import back_off
from apportion.study.simulate import BACKFILL
from apportion.study.situation_at import history_at, situation_at
from bench.worlds import data_folder

DAY_S = 86_400.0
KNOWN = (("user", "group", "job_name", "tasks", "gpus"), ("user", "tasks", "gpus"), ("user",), ("gpus",), ())
CASES = ("fifo+best-fit", "sjf[on=estimate]+best-fit", "fair+best-fit", "fifo+best-fit@easy")
PHILLY = "philly.csv?from=2017-10-07&to=2017-11-25"
"""The weeks in which the load of the real trace is highest."""
LEVELS = (0.1, 0.5, 0.9)
FIRST_DAYS = 14
"""Days before the first prediction."""
LEAST_S = 300.0
"""A job that waited less is not asked about."""


def month(given: argparse.Namespace) -> ap.Trace:
    """Return the workload with estimates from history, which are often far off."""
    if given.trace == "philly":
        trace = ap.load(f"philly:{data_folder() / 'philly' / PHILLY}")
        cluster: ap.Cluster | None = ap.parse_cluster("60x8")
    else:
        trace = ap.load(f"synthetic:philly?jobs={given.jobs}&seed={given.seed}&load={given.load}")
        cluster = trace.cluster
    table = trace.workload.table
    known = [keys for keys in KNOWN if set(keys) <= set(table.columns)]
    return ap.Trace(ap.Workload(table.with_columns(estimate_s=back_off(table, known))), cluster)


def main() -> None:
    """Print a row for each policy, before and after calibration."""
    parser = argparse.ArgumentParser(prog="python -m bench.predict_coverage")
    parser.add_argument("policies", nargs="*")
    parser.add_argument("--trace", choices=("synthetic", "philly"), default="synthetic")
    parser.add_argument("--jobs", type=int, default=62_000)
    parser.add_argument("--load", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--predictions", type=int, default=300)
    parser.add_argument("--draws", type=int, default=30)
    given = parser.parse_args()
    trace = month(given)
    print("policy", "backfill", "part", "predictions", "in 80 %", "below p10", "above p90", "below p50",
          "width p50", "width/actual", "s each", sep="\t")  # fmt: skip
    for case in given.policies or CASES:
        policy, _, backfill = case.partition("@")
        backfill = backfill or "skip"
        began = time.perf_counter()
        found = predictions(trace, policy, backfill, given)
        coverage(policy, backfill, found, (time.perf_counter() - began) / max(len(found), 1))


Found = list[tuple[float, np.ndarray, float]]  # type: ignore[type-arg]
"""Predictions: the moment, the draws of the wait, the wait that came; in seconds."""


def predictions(trace: ap.Trace, policy: str, backfill: str, given: argparse.Namespace) -> Found:
    """Simulate, and predict the starts of some of the jobs that waited, by moment."""
    result = ap.simulate(trace.workload, trace.cluster, policy, backfill=backfill)  # type: ignore[arg-type]
    submit = trace.workload.table["submit_s"].to_numpy()
    random = np.random.default_rng(given.seed)
    # two weeks to learn run times from, and five days at the end in which what waits can start
    asked = result.jobs.filter(
        (pl.col("wait_s") >= LEAST_S) & pl.col("submit_s").is_between(FIRST_DAYS * DAY_S, submit.max() - 5 * DAY_S)
    )
    asked = asked.sample(min(given.predictions, asked.height), seed=given.seed)
    asked = asked.with_columns(at=pl.col("submit_s") + pl.col("wait_s") * pl.Series(random.random(asked.height)))
    asked = asked.sort("at")
    found: Found = []
    for number, (job, start, moment) in enumerate(asked.select("job_id", "start_s", "at").iter_rows()):
        predicted = predict_start(
            situation_at(result, moment), parse_policy(policy), job, history_at(result, moment),
            draws=given.draws, seed=number, backfill=BACKFILL[backfill],
        )  # fmt: skip
        found.append((moment, predicted.waits_s, start - moment))
    return found


def coverage(policy: str, backfill: str, found: Found, took: float) -> None:
    """Print how often the truth fell into the intervals, and how wide they are."""
    half = found[len(found) // 2][0]
    first = [(waits, actual) for moment, waits, actual in found if moment < half]
    second = [(waits, actual) for moment, waits, actual in found if moment >= half]
    for part, calibration, pairs in (
        ("as drawn, all", Calibration(), first + second),
        ("as drawn, second half", Calibration(), second),
        ("calibrated on the first", Calibration.fit(first), second),
        ("calibrated on the second", Calibration.fit(second), first),
        ("rolling", None, second),
    ):
        quantiles = (
            np.array([calibration.quantiles(waits, LEVELS) for waits, _ in pairs])
            if calibration
            else (_rolling(found, len(first)))
        )
        actual = np.array([actual for _, actual in pairs])
        below, above = actual < quantiles[:, 0], actual > quantiles[:, 2]
        with np.errstate(invalid="ignore"):
            width = np.nan_to_num(quantiles[:, 2] - quantiles[:, 0], nan=np.inf)
        print(
            policy, backfill, part, len(pairs), f"{100 * (~below & ~above).mean():.1f}", f"{100 * below.mean():.1f}",
            f"{100 * above.mean():.1f}", f"{100 * (actual < quantiles[:, 1]).mean():.1f}",
            f"{np.median(width) / 3600:.1f} h", f"{np.median(width / actual):.1f}", f"{took:.2f}",
            sep="\t", flush=True,
        )  # fmt: skip


def _rolling(found: Found, first: int) -> np.ndarray:  # type: ignore[type-arg]
    out = []
    for moment, waits, _ in found[first:]:
        known = sorted((at + actual, number) for number, (at, _, actual) in enumerate(found) if at + actual < moment)
        lately = Calibration.fit(found[number][1:] for _, number in known[-LAST:])
        out.append(lately.quantiles(waits, LEVELS))
    return np.array(out)


if __name__ == "__main__":
    main()
