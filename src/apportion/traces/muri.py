"""Muri: slices of Philly with models whose iterations are split by resource, in milliseconds."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, read_delimited
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second, distinct

STAGES = ("resource_time_0", "resource_time_1", "resource_time_2")
NEEDED = (
    "job_id",
    "num_gpu",
    "submit_time",
    "iterations",
    "model_name",
    "duration",
    "iteration_time",
    *STAGES,
    "priority",
)
MS_PER_S = 1000.0


def read(path: Path, options: Options) -> Trace:
    """Read `trace{1..4}.csv` of Muri (992 to 5,755 jobs), or `_pr` files, where all are submitted at 0.

    Units of the file: **milliseconds** everywhere. `num_gpu` is the total of a job, `model_name` the profile.
    An iteration takes `iteration_time`, of which stage 0 (loading and preparing data on the CPU), 1 (the GPU)
    and 2 (the network, 0 on one GPU) take `resource_time_0..2`; jobs that need different stages can share
    GPUs.

    Further columns: `iterations`, `batch_size`, `iteration_s`, `resource_0_s`, `resource_1_s`,
    `resource_2_s`.

    Source: Zhao et al., Multi-Resource Interleaving for Deep Learning Training (SIGCOMM'22).

    Raises
    ------
    InputError: the file cannot be read or a cell is wrong.

    Examples
    --------
    ::

        trace = apportion.load("muri:trace3.csv?limit=500")
    """
    raw = read_delimited(path, NEEDED)
    report = QualityReport(rows_read=raw.height)
    frame = pl.DataFrame(
        {
            "job_id": distinct(raw["job_id"], report),
            "submit_s": number(raw, "submit_time", path, minimum=0, required=True) / MS_PER_S,
            "duration_s": number(raw, "duration", path, minimum=0, required=True) / MS_PER_S,
            "gpus": number(raw, "num_gpu", path, minimum=0, whole=True, required=True),
            "priority": number(raw, "priority", path, whole=True, default=0),
            "profile": raw["model_name"],
            "iterations": number(raw, "iterations", path, minimum=0),
            "iteration_s": number(raw, "iteration_time", path, minimum=0) / MS_PER_S,
        }
    ).with_columns(
        (number(raw, name, path, minimum=0) / MS_PER_S).alias(f"resource_{i}_s") for i, name in enumerate(STAGES)
    )
    if "batch_size" in raw.columns:
        frame = frame.with_columns(number(raw, "batch_size", path, minimum=0))
    report.drop("asks for 0 GPUs", int((frame["gpus"] == 0).sum()))
    frame = frame.filter(pl.col("gpus") > 0)
    frame = frame.with_columns(duration_s=at_least_a_second(frame["duration_s"], report))
    report.jobs = frame.height
    if frame.height > 1 and frame["submit_s"].max() == 0:
        report.notes.append("every job is submitted at 0, as in the authors' _pr files")
    return Trace(Workload.of(frame, name=path.stem), report=report)


FORMAT = Format(
    name="muri",
    title="Philly slices with time per iteration and resource",
    paper="Zhao et al., Multi-Resource Interleaving for Deep Learning Training, SIGCOMM'22",
    source="https://github.com/Rivendile/Muri (simulator/trace-data)",
    licence="Apache-2.0",
    example="muri:trace3.csv?limit=500",
    read=read,
    headers=(frozenset(NEEDED),),
)
