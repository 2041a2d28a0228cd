"""Deadlines and elasticity on request: no public trace of this kind records them, so the model is stated here.

Deadline: submission + slack x run time, slack uniform in [0.5, 1.5] where the job may be given more GPUs than it asks
for (`elastic`), as in Gu et al., ElasticFlow, ASPLOS'23; otherwise in [1.5, 2.5], for a job that cannot run faster than
its run time needs slack above 1. Elasticity: a job on whole devices may run on a quarter of its GPUs (at least one) up
to four times as many (at most the cluster); jobs that share a device, or have none, are not elastic.
"""

from __future__ import annotations

import numpy as np
import polars as pl

TIGHTEST = {True: 0.5, False: 1.5}
WIDTH = 1.0
RANGE = 4
"""Factor below and above the GPUs asked for."""


def with_promises(
    frame: pl.DataFrame, deadlines: bool, elastic: bool, capacity: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Add `deadline_s`, `min_gpus` and `max_gpus` to a frame of jobs in the order of submission."""
    if deadlines:
        slack = pl.Series(TIGHTEST[elastic] + WIDTH * rng.random(frame.height))
        frame = frame.with_columns(deadline_s=(pl.col("submit_s") + slack * pl.col("duration_s")).ceil())
    if elastic:
        tasks = pl.col("tasks") if "tasks" in frame.columns else pl.lit(1)
        whole = pl.col("gpu_milli") == 1000 if "gpu_milli" in frame.columns else pl.lit(value=True)
        asked = (tasks * pl.col("gpus")).cast(pl.Int32)
        can = whole & (asked > 0)
        frame = frame.with_columns(
            min_gpus=pl.when(can).then((asked // RANGE).clip(lower_bound=1)),
            max_gpus=pl.when(can).then(pl.min_horizontal(asked * RANGE, pl.lit(capacity, dtype=pl.Int32))),
        )
    return frame
