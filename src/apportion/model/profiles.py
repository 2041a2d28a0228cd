"""Profiles: how fast each type of job runs on each GPU model, alone and beside another one on the same devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

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

    @cached_property
    def _known(self) -> dict[tuple[str, str | None, int], float]:
        rows = self.alone.select(list(ALONE)).iter_rows()
        return {(gpu.lower(), job_type, width): speed for gpu, job_type, width, speed in rows}

    def speeds(
        self, job_types: Sequence[str | None], widths: Sequence[int], gpus: Sequence[str | None]
    ) -> npt.NDArray[np.float64]:
        """Return steps per second of each job on each GPU model: f64[jobs, models], 0 where it does not run."""
        known = self._known
        names = [(gpu or "").lower() for gpu in gpus]
        found = [
            [known.get((gpu, job_type, width), 0.0) for gpu in names]
            for job_type, width in zip(job_types, widths, strict=True)
        ]
        return np.array(found, np.float64).reshape(len(found), len(names))

    def beside(
        self, job_types: Sequence[str | None], widths: Sequence[int], gpus: Sequence[str | None]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return speeds of jobs that share their devices, by kind of job (job type and width).

        Returns
        -------
        (i64[jobs], the kind of each; f64[kinds, kinds, models, 2], steps per second of a job of the one kind beside one
        of the other, and of the other; 0 where the pair was not measured).
        """
        given = list(zip(job_types, widths, strict=True))
        numbers = {kind: n for n, kind in enumerate(dict.fromkeys(given))}
        names = [(gpu or "").lower() for gpu in gpus]
        models = {name: [m for m, other in enumerate(names) if other == name] for name in names}
        found = np.zeros((len(numbers), len(numbers), len(names), 2))
        for gpu, one, other, width, own, others in self.pairs.select(list(PAIRS)).iter_rows():
            a, b = numbers.get((one, width)), numbers.get((other, width))
            if a is not None and b is not None:
                for model in models.get(gpu.lower(), ()):
                    found[a, b, model] = own, others
        return np.array([numbers[kind] for kind in given], np.int64), found
