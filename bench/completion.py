"""What each part of the placement `completion` is worth: unallocated GPUs at 100 % arrival over the openb variants.

Run `python -m bench.completion [variant ...]`; the table of the documentation is made of what it prints.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import apportion as ap
from apportion.policies.placements import completion
from apportion.study.fill import Filler
from bench.worlds import data_folder

VARIANTS = (
    "default", "cpu050", "cpu100", "cpu200", "gpushare40", "gpushare80", "gpushare100", "gpuspec10", "gpuspec20",
    "gpuspec33", "multigpu20", "multigpu30", "multigpu50",
)  # fmt: skip
SEEDS = range(42, 52)
POLICIES = (
    "best-fit", "fgd", "completion", "completion[ties=best-fit]", "completion[psi=0]", "completion[rho=4]",
    "completion[rho=8]", "completion[rho=16]", "completion[rho=24]", "completion[rho=1000]", "completion[r=1]",
    "completion[r=2]", "completion[r=6]", "completion[r=1000]", "no CPU price",
)  # fmt: skip


def unallocated(filler: Filler, policy: str) -> list[float]:
    """Return the unallocated GPUs in % of all at 100 % arrival, by seed."""
    prices = completion.PRICES
    if policy == "no CPU price":
        completion.PRICES, policy = (0.0,), "completion"
    try:
        with ThreadPoolExecutor(2) as pool:
            runs = pool.map(lambda seed: filler.run(policy, seed).curve["allocated_pct"][100], SEEDS)
            return [100 - float(value) for value in runs]
    finally:
        completion.PRICES = prices


def main() -> None:
    """Print a row for each policy, a column for each variant."""
    variants = sys.argv[1:] or VARIANTS
    print("policy", *variants, "mean ratio to fgd", sep="\t")
    fillers = []
    for variant in variants:
        trace = ap.load(f"openb:{data_folder() / 'openb'}?pods={variant}&pending=keep")
        assert trace.cluster is not None
        fillers.append(Filler(trace.workload, trace.cluster))
    fgd = np.array([np.mean(unallocated(filler, "fgd")) for filler in fillers])
    for policy in POLICIES:
        rows = [unallocated(filler, policy) for filler in fillers]
        cells = [f"{np.mean(row):.2f}±{np.std(row, ddof=1):.2f}" for row in rows]
        ratio = np.mean([np.mean(row) for row in rows] / fgd)
        print(policy, *cells, f"{ratio:.3f}", sep="\t", flush=True)


if __name__ == "__main__":
    main()
