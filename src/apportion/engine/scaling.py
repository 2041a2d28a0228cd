"""How a job's speed grows with its GPUs.

Where a job has a profile that was measured at several widths, by what was measured, in a straight line between two
widths, not at all beyond the last. Else by Amdahl's law: S(g) = g / (1 + c (g - 1)) times as fast as on one GPU, c the
part of the work on one GPU that more of them do not shorten; c is the column `serial_part` of the workload, 0 (in
proportion) where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from apportion.engine.layout import F8, I8
from apportion.model.errors import InputError
from apportion.model.workload import Workload


@dataclass(frozen=True)
class Scaling:
    """Speeds by number of GPUs.

    Parameters
    ----------
    gpus: f8[jobs], GPUs asked for. serial: f8[jobs], from 0 to 1. measured: (GPUs, speeds) of jobs whose profile has
    several widths, by row.
    """

    gpus: F8
    serial: F8
    measured: dict[int, tuple[F8, F8]]

    def relative(self, job: int, gpus: float) -> float:
        """Return how fast a job is with so many GPUs, over how fast it is with those it asked for."""
        return float(self.table(np.array([job]), np.array([gpus]))[0, 0])

    def table(self, jobs: I8, gpus: F8) -> F8:
        """Return the same for several jobs and numbers of GPUs: f8[jobs, numbers]."""
        asked, serial = self.gpus[jobs][:, None], self.serial[jobs][:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            # in proportion to the bit where nothing is serial
            out: F8 = gpus / asked * ((1 + serial * (asked - 1)) / (1 + serial * (gpus - 1)))
        out = np.where(asked > 0, out, 1.0)
        if self.measured:
            for i, job in enumerate(jobs.tolist()):
                if job in self.measured:
                    widths, speeds = self.measured[job]
                    out[i] = np.interp(gpus, widths, speeds) / np.interp(self.gpus[job], widths, speeds)
        return out


def scaling_of(workload: Workload, gpus: F8, least: F8, most: F8) -> Scaling:
    """Return how the jobs of a workload scale.

    Raises
    ------
    InputError: a `serial_part` is not from 0 to 1.
    """
    table = workload.table
    serial = np.zeros(table.height)
    if "serial_part" in table.columns:
        serial = table["serial_part"].cast(pl.Float64).fill_null(0.0).to_numpy()
        for row in np.flatnonzero(~((serial >= 0) & (serial <= 1)))[:1]:
            raise InputError(f"found serial_part {serial[row]}, expected 0 to 1", row=int(row) + 1)
    return Scaling(gpus, serial, _measured(workload, np.flatnonzero(most > least), gpus))


def _measured(workload: Workload, rows: I8, gpus: F8) -> dict[int, tuple[F8, F8]]:
    """Return widths and speeds of elastic jobs: on the first GPU model on which all widths of the type are known."""
    if workload.profiles is None or not rows.size:
        return {}
    alone = workload.profiles.alone.filter(pl.col("steps_per_s") > 0).sort("job_type", "gpu", "scale_factor")
    found: dict[str, tuple[F8, F8]] = {}
    for (job_type, _), part in alone.group_by(["job_type", "gpu"], maintain_order=True):
        if part.height > 1 and part.height > found.get(str(job_type), (np.zeros(1),))[0].size:
            # no GPUs, no progress
            widths = np.concatenate([[0.0], part["scale_factor"].to_numpy()])
            found[str(job_type)] = widths, np.concatenate([[0.0], part["steps_per_s"].to_numpy()])
    names = workload.table["profile"].to_list()
    return {int(row): found[names[row]] for row in rows if names[row] in found and gpus[row] > 0}
