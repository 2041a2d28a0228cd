"""The workload: a table of jobs; a job is a gang of identical tasks that start together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from apportion.model.errors import InputError
from apportion.model.profiles import Profiles
from apportion.model.table import REQUIRED, Column, conform

COLUMNS: dict[str, Column] = {
    "job_id": Column(pl.String, None, "name of the job; default: its row number", nullable=True),
    "user": Column(pl.String, "", "who submitted it"),
    "group": Column(pl.String, "", "virtual cluster, account or project"),
    "submit_s": Column(pl.Float64, REQUIRED, "submission time in seconds from the origin"),
    "duration_s": Column(pl.Float64, REQUIRED, "run time in seconds on what it asks for", minimum=0),
    "tasks": Column(pl.Int32, 1, "gang size: identical tasks that start together", minimum=1),
    "gpus": Column(pl.Int32, 1, "devices of one task", minimum=0),
    "gpu_milli": Column(pl.Int32, 1000, "share of each device, 1000 = whole", minimum=0),
    "cpu_milli": Column(pl.Int64, 0, "milli-cores of one task", minimum=0),
    "memory_mib": Column(pl.Int64, 0, "MiB of one task", minimum=0),
    "gpu_models": Column(pl.List(pl.String), [], "allowed GPU models; empty = any"),
    "apart": Column(pl.Boolean, False, "its tasks run on different nodes, as those of a Slurm job of several nodes"),
    "priority": Column(pl.Int32, 0, "larger goes first under the order `priority`"),
    "deadline_s": Column(pl.Float64, None, "time by which it should end, or null", nullable=True),
    "min_gpus": Column(pl.Int32, None, "fewest GPUs of an elastic job, or null", nullable=True, minimum=1),
    "max_gpus": Column(pl.Int32, None, "most GPUs of an elastic job, or null", nullable=True, minimum=1),
    "profile": Column(pl.String, None, "model whose measured facts apply, or null", nullable=True),
    "estimate_s": Column(pl.Float64, None, "run time as known at submission", nullable=True, minimum=0),
    "status": Column(pl.String, None, "completed, cancelled, failed or censored in the source", nullable=True),
    "preemptible": Column(pl.Boolean, True, "may be suspended"),
    "best_effort": Column(pl.Boolean, False, "runs only on what is left over"),
}


@dataclass(frozen=True)
class Workload:
    """Jobs in the order of submission.

    Parameters
    ----------
    table: the columns of `COLUMNS`, then any others; rows sorted by `submit_s` (ties keep their order).
    origin: calendar time of second 0, where known.
    name: shown in tables and reports. profiles: measured throughputs of the job types in the column `profile`.

    Build one with `Workload.of`, which fills defaults and checks values.
    """

    table: pl.DataFrame
    origin: datetime | None = None
    name: str = "workload"
    profiles: Profiles | None = None

    @classmethod
    def of(
        cls,
        frame: pl.DataFrame,
        *,
        origin: datetime | None = None,
        name: str = "workload",
        profiles: Profiles | None = None,
    ) -> Workload:
        """Conform `frame` to the workload's columns.

        Raises
        ------
        InputError: a value is missing, of the wrong type or out of range; a fraction of a device is not at most
        1000; a job that shares a device asks for several.
        """
        table = conform(frame, COLUMNS, "workload")
        most: Any = table["gpu_milli"].max()
        if most is not None and most > 1000:
            row = int((table["gpu_milli"] > 1000).arg_max() or 0)
            raise InputError(
                f"workload: found {table['gpu_milli'][row]}, expected at most 1000 (a whole device)",
                row=row + 1,
                column="gpu_milli",
            )
        if table["job_id"].null_count():
            numbers = pl.int_range(table.height, eager=True).cast(pl.String)
            table = table.with_columns(job_id=table["job_id"].fill_null(numbers))
        if not table["submit_s"].is_sorted():
            table = table.sort("submit_s", maintain_order=True)
        return cls(table, origin, name, profiles)

    def __len__(self) -> int:
        return self.table.height

    @property
    def gpu_demand(self) -> pl.Series:
        """GPUs of each job as a fraction: tasks x gpus x gpu_milli / 1000."""
        t = self.table
        return (t["tasks"].cast(pl.Float64) * t["gpus"] * t["gpu_milli"] / 1000).alias("gpu_demand")
