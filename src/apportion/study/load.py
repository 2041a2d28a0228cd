"""Offered load: how much work arrives for what the cluster can do, and the same jobs at another load."""

from __future__ import annotations

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.workload import Workload


def offered_load(workload: Workload, cluster: Cluster) -> float:
    """Return GPU-seconds asked for over (GPUs of the cluster x time from the first to the last submission).

    Raises
    ------
    InputError: there is no span of time or no GPU to measure against.
    """
    table = workload.table
    submit = table["submit_s"].to_numpy()
    span = float(submit.max() - submit.min()) if len(workload) else 0.0
    if span <= 0 or cluster.gpus == 0:
        raise InputError(f"{workload.name}: a load needs jobs over some time and a cluster with GPUs")
    return float((workload.gpu_demand * table["duration_s"]).sum()) / (cluster.gpus * span)


def at_load(workload: Workload, cluster: Cluster, load: float) -> Workload:
    """Return the same jobs with submissions stretched or compressed in time so that the offered load is `load`.

    Deadlines keep their distance from the submission.

    Raises
    ------
    InputError: `load` is not positive, or there is nothing to scale.
    """
    if not load > 0:
        raise InputError(f"found load {load!r}, expected a number above 0")
    factor = offered_load(workload, cluster) / load
    first = float(workload.table["submit_s"].to_numpy().min())
    submit = first + (pl.col("submit_s") - first) * factor
    table = workload.table.with_columns(
        submit_s=submit, deadline_s=submit + (pl.col("deadline_s") - pl.col("submit_s"))
    )
    return Workload(table, workload.origin, workload.name, workload.profiles)
