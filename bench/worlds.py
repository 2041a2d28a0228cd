"""The workloads of the benchmarks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl

import apportion as ap


def gangs(jobs: int, nodes: int, load: float, seed: int = 1) -> ap.Workload:
    """Return gang jobs of 1 to 32 GPUs with heavy-tailed durations at an offered load on 8-GPU nodes."""
    rng = np.random.default_rng(seed)
    gpus = rng.choice([1, 2, 4, 8, 16, 32], jobs, p=[0.70, 0.10, 0.08, 0.08, 0.03, 0.01])
    duration = np.maximum(1, np.round(rng.lognormal(6, 1.8, jobs)))
    span = float((gpus * duration).sum()) / (nodes * 8 * load)
    submit = np.sort(rng.uniform(0, span, jobs)).round()
    frame = pl.DataFrame({"submit_s": submit, "duration_s": duration, "gpus": gpus})
    return ap.Workload.of(frame, name=f"{jobs:,} gang jobs at load {load}")


def data_folder() -> Path:
    """Return the folder of real inputs: `APPORTION_DATA`, or `../shared/data` beside the repository."""
    named = os.environ.get("APPORTION_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
