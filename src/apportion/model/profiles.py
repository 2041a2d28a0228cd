"""Profiles: how fast each type of job runs on each GPU model, alone and beside another one on the same devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

ALONE = {"gpu": pl.String, "job_type": pl.String, "scale_factor": pl.Int32, "steps_per_s": pl.Float64}
PAIRS = {
    "gpu": pl.String,
    "job_type": pl.String,
    "other": pl.String,
    "scale_factor": pl.Int32,
    "steps_per_s": pl.Float64,
    "other_steps_per_s": pl.Float64,
}


@dataclass(frozen=True, eq=False)
class Profiles:
    """Measured throughputs.

    Parameters
    ----------
    alone: a row for each GPU model, job type and width, the columns of `ALONE`; 0 = does not run there.
    pairs: the same for two jobs of equal width that share their devices, the columns of `PAIRS`; perhaps empty.

    GPU models are compared without regard to case.
    """

    alone: pl.DataFrame
    pairs: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PAIRS))

    def speeds(
        self, job_types: Sequence[str | None], widths: Sequence[int], gpus: Sequence[str | None]
    ) -> npt.NDArray[np.float64]:
        """Return steps per second of each job on each GPU model: f64[jobs, models], 0 where it does not run."""
        known = {
            (gpu.lower(), job_type, width): speed
            for gpu, job_type, width, speed in self.alone.select(list(ALONE)).iter_rows()
        }
        names = [(gpu or "").lower() for gpu in gpus]
        found = [
            [known.get((gpu, job_type, width), 0.0) for gpu in names]
            for job_type, width in zip(job_types, widths, strict=True)
        ]
        return np.array(found, np.float64).reshape(len(found), len(names))

    def beside(
        self, job_types: Sequence[str], others: Sequence[str], width: int, gpus: Sequence[str | None]
    ) -> npt.NDArray[np.float64]:
        """Return steps per second of each job beside another on the same devices: f64[jobs, models, 2].

        The last axis is (the job, the other); 0 where the pair was not measured.
        """
        wanted = self.pairs.filter(pl.col("scale_factor") == width)
        known = {
            (gpu.lower(), one, other): (a, b) for gpu, one, other, _, a, b in wanted.select(list(PAIRS)).iter_rows()
        }
        names = [(gpu or "").lower() for gpu in gpus]
        found = [
            [known.get((gpu, one, other), (0.0, 0.0)) for gpu in names]
            for one, other in zip(job_types, others, strict=True)
        ]
        return np.array(found, np.float64).reshape(len(found), len(names), 2)
