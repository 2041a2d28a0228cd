"""The jobs as the analyses look at them, and what a trace does not say."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.trace import Trace
from apportion.study.characterize.section import Analysis, Subject

BOUNDS = (0.0, 0.9995, *(2.0**k for k in range(11)))
"""Largest demand, in GPUs, of each bucket; above the last one there is another."""

SIZES = (
    "0", "<1", "1", "2", "3-4", "5-8", "9-16", "17-32", "33-64", "65-128", "129-256", "257-512", "513-1024", ">1024",
)  # fmt: skip
"""Labels of the buckets: GPUs of the whole gang; a fraction between two whole numbers counts with the larger."""

WAITS = ("source_wait_s", "wait_s")
"""Columns that hold the wait as recorded."""

KINDS = ("kind", "type", "workload", "role", "qos", "profile", "partition")
"""Columns that say what a job is for; the first that tells jobs apart is taken."""

MODELS = ("source_gpu_model", "gpu_type", "model")
"""Columns that say where a job ran; else what it is bound to."""

_ZERO_IS_NOTHING = frozenset({"cpu_milli", "memory_mib"})


def prepare(trace: Trace, cluster: Cluster | None = None) -> Subject:
    """Return the subject of `trace`; `cluster` takes the place of its own nodes."""
    table = trace.workload.table
    demand = trace.workload.gpu_demand
    bucket = np.searchsorted(np.array(BOUNDS), demand.to_numpy(), side="left").astype(np.uint8)
    jobs = table.with_columns(
        demand,
        (demand * table["duration_s"]).alias("gpu_s"),
        pl.Series("size", SIZES, dtype=pl.Enum(SIZES)).gather(bucket),
        _wait(table).alias("wait_s"),
        _first(table, KINDS, pl.String, tells_apart=True).alias("kind"),
        _model(table).alias("model"),
    )
    return Subject(trace, jobs, cluster or trace.cluster)


def says(jobs: pl.DataFrame, column: str) -> bool:
    """Return whether a column is there and says something: a default that fills every row says nothing."""
    if column not in jobs.columns:
        return False
    values, dtype = pl.col(column), jobs.schema[column]
    said = values.is_not_null()
    if dtype == pl.String:
        said = values != ""
    elif isinstance(dtype, pl.List):
        said = values.list.len() > 0
    elif column in _ZERO_IS_NOTHING:
        said = values > 0
    # an expression leaves a column that is one value a single value, instead of writing it out row by row
    return bool(jobs.select(said.any()).item())


def lacking(subject: Subject, analysis: Analysis) -> str:
    """Return why the analysis cannot be done, naming the first column it lacks, or an empty string."""
    for need in analysis.needs:
        if need == "cluster":
            if subject.cluster is None:
                return "no cluster: the trace has no nodes, and none were given (--cluster)"
        elif need.startswith("signal:"):
            if need.removeprefix("signal:") not in subject.trace.signals:
                return f"no signal {need.removeprefix('signal:')}"
        elif not subject.jobs.height:
            return "no jobs: the trace is a series"
        elif not says(subject.jobs, need):
            meaning = f": the trace does not say {MEANING[need]}" if need in MEANING else ""
            return f"no column {need}{meaning}"
    return ""


def take(jobs: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return these columns without a copy of them: a query on a wide table of millions of jobs would make one."""
    return pl.DataFrame([jobs[column] for column in columns])


def on_gpus(jobs: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return these columns of the jobs that ask for GPUs; of all jobs in a trace that knows of none."""
    asking = jobs["gpu_demand"] > 0
    slim = take(jobs, *columns)
    return slim if asking.all() or not asking.any() else slim.filter(asking)


def groups_for_users(jobs: pl.DataFrame) -> bool:
    """Return whether the trace gives groups in the place of users: both columns are the same."""
    return bool((jobs["user"] == jobs["group"]).all())


def noun(jobs: pl.DataFrame) -> str:
    """Return what `on_gpus` gives: `GPU job` where others are left out, else `job`."""
    return "GPU job" if 0 < int((jobs["gpu_demand"] > 0).sum()) < jobs.height else "job"


def span_s(jobs: pl.DataFrame) -> float:
    """Return the seconds from the first to the last submission."""
    return float(jobs["submit_s"][-1] - jobs["submit_s"][0]) if jobs.height else 0.0


MEANING = {
    "wait_s": "when jobs started",
    "kind": "what jobs are for",
    "model": "on which GPU model jobs ran",
    "user": "whose jobs they are",
    "group": "to which group jobs belong",
    "status": "how jobs ended",
    "gpu_models": "which GPU models jobs are bound to",
    "cpu_milli": "how many cores jobs ask for",
    "memory_mib": "how much memory jobs ask for",
}
"""Column -> what it would say."""


def _wait(table: pl.DataFrame) -> pl.Expr:
    found = _first(table, WAITS, pl.Float64)
    if not any(says(table, name) for name in WAITS) and "start_s" in table.columns:
        found = pl.col("start_s").cast(pl.Float64, strict=False) - pl.col("submit_s")
    return found.clip(lower_bound=0)


def _model(table: pl.DataFrame) -> pl.Expr:
    if any(says(table, name) for name in MODELS) or not says(table, "gpu_models"):
        return _first(table, MODELS, pl.String)
    return pl.when(pl.col("gpu_models").list.len() > 0).then(pl.col("gpu_models").list.join("|"))


def _first(table: pl.DataFrame, names: tuple[str, ...], dtype: Any, tells_apart: bool = False) -> pl.Expr:
    """Return the first of these columns that says something, with empty text as null; null where none does."""
    for name in names:
        if says(table, name):
            value = pl.col(name).cast(dtype, strict=False)
            value = pl.when(value != "").then(value) if dtype == pl.String else value
            if not tells_apart or table.select(value.drop_nulls().n_unique() > 1).item():
                return value
    return pl.lit(None, dtype=dtype)
