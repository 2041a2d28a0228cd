"""Placements under churn: openb's tasks arrive and depart at random; paired differences to FGD with 95 % intervals.

Run `python -m bench.churn [variant ...]`; the table of the documentation is made of what it prints.
"""

from __future__ import annotations

import sys

import numpy as np

import apportion as ap
from apportion.study.compare import half_width
from bench.worlds import data_folder

POLICIES = ("fgd", "best-fit", "dot-product", "gpu-packing", "gpu-clustering", "fifo+random", "completion")
SEEDS = 10


SAMPLE_GPUS = 64
"""The trace's own times keep some 55 of 6,212 GPUs busy: they are replayed on so many GPUs of nodes drawn at random."""


def own_times() -> None:
    """Print mean waits of the default trace at its own times on small random samples of its nodes."""
    trace = ap.load(f"openb:{data_folder() / 'openb'}?pods=default")
    assert trace.cluster is not None
    waits: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    for seed in range(SEEDS):
        rows = np.random.default_rng(seed).permutation(len(trace.cluster))
        nodes = trace.cluster.table[rows]
        cluster = ap.Cluster.of(nodes.head(int((nodes["gpus"].cum_sum() < SAMPLE_GPUS).sum()) + 1))
        for policy in POLICIES:
            run = ap.simulate(trace.workload, cluster, policy, seed=seed)
            waits[policy].append(float(run.jobs["wait_s"].mean()))  # type: ignore[arg-type]
    base = np.array(waits["fgd"])
    print("own times", "policy", "mean wait s", "minus fgd", sep="\t")
    for policy, found in waits.items():
        print("own times", policy, f"{np.mean(found):.0f}", _difference(np.array(found) - base), sep="\t", flush=True)


def main() -> None:
    """Print a row for each variant, load and policy."""
    own_times()
    print("trace", "load", "policy", "allocated %", "minus fgd", "fragments %", "mean wait s", "minus fgd", sep="\t")
    for variant in sys.argv[1:] or ("default", "gpuspec33", "multigpu20"):
        trace = ap.load(f"openb:{data_folder() / 'openb'}?pods={variant}&pending=keep")
        for load in (0.95, 1.05):
            study = ap.compare(trace, POLICIES, seeds=SEEDS, loads=[load], churn=True, workers=2)
            rows = study.summaries()
            by_policy = {p: rows[i * SEEDS : (i + 1) * SEEDS] for i, p in enumerate(POLICIES)}
            base = by_policy["fgd"]
            for policy, runs in by_policy.items():
                allocated = np.array([run["steady"]["allocated_pct"] for run in runs])
                wait = np.array([run["wait_s"]["mean"] for run in runs])
                other = np.array([run["steady"]["allocated_pct"] for run in base])
                waited = np.array([run["wait_s"]["mean"] for run in base])
                fragments = np.mean([run["steady"]["fragmented_pct"] for run in runs])
                print(
                    variant, load, policy, f"{allocated.mean():.2f}", _difference(allocated - other),
                    f"{fragments:.2f}", f"{wait.mean():.0f}", _difference(wait - waited), sep="\t", flush=True,
                )  # fmt: skip


def _difference(values: np.ndarray) -> str:  # type: ignore[type-arg]
    return f"{values.mean():+.2f}±{half_width(values.tolist()):.2f}"


if __name__ == "__main__":
    main()
