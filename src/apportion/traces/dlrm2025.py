"""Alibaba's disaggregated recommendation serving of 2025 (Prism): CPU-node and GPU-node instances."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, read_delimited
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second, distinct

FILE = "disaggregated_DLRM_trace.csv"
REQUEST = ("instance_sn", "role", "app_name", "cpu_request", "gpu_request", "memory_request")
TIMES = ("creation_time", "scheduled_time", "deletion_time")
NEEDED = (*REQUEST, "max_instance_per_node", *TIMES)
MIB_PER_GIB = 1024


def read(path: Path, options: Options) -> Trace:
    """Read `disaggregated_DLRM_trace.csv` (23,871 inference instances of 156 applications, 31 days).

    Each instance is a job of one task. Units of the file: vCPUs, GPUs, GiB, percent of one RDMA card, and
    seconds from the start of the trace. Role CN is a CPU node's part of a model (no GPU), HN a GPU node's
    part (one GPU). An empty creation means before the trace: submitted at 0. An empty deletion means after
    it: the instance is censored and runs until the last time seen. The run time is deletion - scheduling. All
    instances are latency-sensitive, so none may be suspended. `app_name` is the group.

    Further columns: `role`, `max_instance_per_node` (instances of one application that a node may hold, -1 =
    any number), `rdma_percent`, `disk_gib`, `source_wait_s` (scheduling - creation).

    Source: Yang et al., GPU-Disaggregated Serving for Deep Learning Recommendation Models at Scale (NSDI'25).

    Raises
    ------
    InputError: the file cannot be read or a cell is wrong.

    Examples
    --------
    ::

        trace = apportion.load("dlrm2025:disaggregated_DLRM_trace.csv?from=7d&to=14d")
        trace.workload.table.group_by("role").len()
    """
    path = path / FILE if path.is_dir() else path
    raw = read_delimited(path, NEEDED)
    report = QualityReport(rows_read=raw.height, jobs=raw.height)
    # The published description writes NaN where the file has nothing; both mean not within the trace.
    raw = raw.with_columns(
        pl.when(pl.col(name).str.to_lowercase() == "nan").then(None).otherwise(pl.col(name)).alias(name)
        for name in TIMES
    )
    _check_roles(raw["role"], path)
    frame = pl.DataFrame(
        {
            "job_id": distinct(raw["instance_sn"], report),
            "group": raw["app_name"],
            "gpus": number(raw, "gpu_request", path, minimum=0, whole=True, required=True),
            "cpu_milli": number(raw, "cpu_request", path, minimum=0, required=True) * 1000,
            "memory_mib": (number(raw, "memory_request", path, minimum=0, required=True) * MIB_PER_GIB).round(),
            "role": raw["role"],
            "max_instance_per_node": number(
                raw, "max_instance_per_node", path, minimum=-1, whole=True, default=-1
            ).cast(pl.Int32),
        }
    ).with_columns(preemptible=False)
    for name, new in (("rdma_request", "rdma_percent"), ("disk_request", "disk_gib")):
        if name in raw.columns:
            frame = frame.with_columns(number(raw, name, path, minimum=0).alias(new))
    frame = _with_times(frame, raw, path, report)
    return Trace(Workload.of(frame, name=path.stem), report=report)


def _check_roles(role: pl.Series, path: Path) -> None:
    bad = ~role.fill_null("").is_in(["CN", "HN"])
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(f"found {(role[row] or '')[:40]!r}, expected CN or HN", file=path, row=row + 2, column="role")


def _with_times(frame: pl.DataFrame, raw: pl.DataFrame, path: Path, report: QualityReport) -> pl.DataFrame:
    created, scheduled, deleted = (number(raw, name, path, minimum=0) for name in TIMES)
    last = pl.concat([created, scheduled, deleted]).drop_nulls().max() or 0.0
    before, censored = int(created.null_count()), int(deleted.null_count())
    report.repair("no creation_time: it existed before the trace, submitted at 0", before)
    report.censored = censored
    if before:
        report.notes.append("what existed before the trace shows only the part of its run inside the trace")
    submit = created.fill_null(0.0)
    start = pl.select(pl.coalesce(scheduled, submit)).to_series()
    return frame.with_columns(
        submit_s=submit,
        duration_s=at_least_a_second(deleted.fill_null(last) - start, report),
        source_wait_s=scheduled - created,
        status=pl.select(
            pl.when(deleted.is_null()).then(pl.lit("censored")).otherwise(pl.lit("completed"))
        ).to_series(),
    )


FORMAT = Format(
    name="dlrm2025",
    title="Alibaba 2025: CPU and GPU instances that serve recommendation models",
    paper="Yang et al., GPU-Disaggregated Serving for Deep Learning Recommendation Models at Scale, NSDI'25",
    source="https://github.com/alibaba/clusterdata (cluster-trace-gpu-v2025)",
    licence="none stated by alibaba/clusterdata",
    example="dlrm2025:disaggregated_DLRM_trace.csv?from=7d&to=14d",
    read=read,
    headers=(frozenset(NEEDED),),
    directory=(FILE,),
)
