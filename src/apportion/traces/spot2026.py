"""Alibaba's spot-GPU trace of 2026 (GFS): high-priority and spot jobs, and the nodes of six GPU models."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, read_delimited
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second, distinct

JOBS, NODES = "job_info_df.csv", "node_info_df.csv"
JOB = (
    "job_name",
    "organization",
    "gpu_model",
    "cpu_request",
    "gpu_request",
    "worker_num",
    "submit_time",
    "duration",
    "job_type",
)
NODE = ("gpu_model", "gpu_capacity_num", "cpu_num", "node_name")
HOUR_S = 3600.0
CROWDED = 5.0
"""Hour 0 is suspect when it holds this many times the jobs of a mean hour."""


def read(path: Path, options: Options) -> Trace:
    """Read `job_info_df.csv` (466,867 jobs, 84 organisations, 184 days) and `node_info_df.csv` (4,278 nodes).

    `path` is the folder of both or the job file, whose nodes are then looked for beside it. Units of the
    file: seconds from the first submission; vCPUs and GPUs of one worker. The `worker_num` workers of a job
    are its gang (`tasks`). A fractional GPU request shares one device. HP jobs have priority 1 and are not
    suspended; Spot jobs are best effort and preemptible. The organisation is `user` and `group`.

    Hour 0 of the published file holds 3,740 jobs that were there before the trace began; they stay, and a
    note says so. `from=3600` leaves them out.

    Source: Duan et al., GFS: A Preemptive Scheduling Framework for GPU Clusters with Predictive Spot
    Management (ASPLOS'26).

    Raises
    ------
    InputError: a file cannot be read or a cell is wrong.

    Examples
    --------
    ::

        trace = apportion.load("spot2026:spot2026?from=30d&to=37d")
        trace.cluster.gpus  # 10412
    """
    folder = path if path.is_dir() else path.parent
    if path.name == NODES:
        path = folder
    job_file = folder / JOBS if path.is_dir() else path
    if path.is_dir() and not job_file.exists():
        raise InputError(f"no {JOBS} in this folder, expected the jobs beside {NODES}", file=path)
    report = QualityReport()
    jobs = _jobs(job_file, report)
    node_file = folder / NODES
    cluster = _nodes(node_file) if node_file.exists() else None
    if cluster is None:
        report.notes.append(f"no cluster: {NODES} is not beside the jobs")
    return Trace(Workload.of(jobs, name="spot2026"), cluster, report=report)


def _jobs(path: Path, report: QualityReport) -> pl.DataFrame:
    raw = read_delimited(path, JOB)
    report.rows_read = report.jobs = raw.height
    kind = raw["job_type"].fill_null("").str.strip_chars()
    bad = ~kind.is_in(["HP", "Spot"])
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(f"found {kind[row][:40]!r}, expected HP or Spot", file=path, row=row + 2, column="job_type")
    # Thousandths of a GPU: a share of one device, or equal shares of the fewest devices that hold it.
    milli = (number(raw, "gpu_request", path, minimum=0, maximum=1e6, required=True) * 1000).round()
    devices = (milli / 1000).ceil()
    report.repair(
        "a fraction above one GPU became equal shares of the next whole number of devices",
        int(((milli > 1000) & (milli % 1000 != 0)).sum()),
    )
    model = raw["gpu_model"].fill_null("").str.strip_chars()
    frame = pl.DataFrame(
        {
            "job_id": distinct(raw["job_name"], report),
            "user": raw["organization"],
            "group": raw["organization"],
            "submit_s": number(raw, "submit_time", path, minimum=0, required=True),
            "duration_s": at_least_a_second(number(raw, "duration", path, minimum=0, required=True), report),
            "tasks": number(raw, "worker_num", path, minimum=1, whole=True, required=True),
            "gpus": devices,
            "gpu_milli": (milli / devices.clip(lower_bound=1)).round(),
            "cpu_milli": number(raw, "cpu_request", path, minimum=0, default=0) * 1000,
            "priority": (kind == "HP").cast(pl.Int32),
            "preemptible": kind == "Spot",
            "best_effort": kind == "Spot",
            "model": model,
        }
    )
    _note_hour_zero(frame["submit_s"], report)
    bound = (pl.col("model") != "") & (pl.col("gpus") > 0)
    return frame.with_columns(
        gpu_models=pl.when(bound).then(pl.concat_list("model")).otherwise(pl.lit([], dtype=pl.List(pl.String)))
    ).drop("model")


def _note_hour_zero(submit_s: pl.Series, report: QualityReport) -> None:
    first = int((submit_s < HOUR_S).sum())
    hours = float(submit_s.max() or 0.0) / HOUR_S  # type: ignore[arg-type]
    if hours > 1 and first > CROWDED * submit_s.len() / hours:
        report.notes.append(
            f"hour 0 holds {first:,} jobs, most of them older than the trace (from=3600 leaves them out)"
        )


def _nodes(path: Path) -> Cluster:
    raw = read_delimited(path, NODE)
    frame = pl.DataFrame(
        {
            "node": raw["node_name"],
            "gpu_model": raw["gpu_model"],
            "gpus": number(raw, "gpu_capacity_num", path, minimum=0, whole=True, required=True),
            "cpu_milli": number(raw, "cpu_num", path, minimum=0, required=True) * 1000,
        }
    )
    try:
        return Cluster.of(frame, name="spot2026")
    except InputError as error:
        raise InputError(str(error), file=path) from None


FORMAT = Format(
    name="spot2026",
    title="Alibaba 2026: high-priority and spot jobs on six GPU models",
    paper="Duan et al., GFS: A Preemptive Scheduling Framework for GPU Clusters with Predictive Spot "
    "Management, ASPLOS'26",
    source="https://github.com/alibaba/clusterdata (cluster-trace-v2026-spot-gpu)",
    licence="none stated by alibaba/clusterdata",
    example="spot2026:spot2026?from=30d&to=37d",
    read=read,
    headers=(frozenset(JOB), frozenset(NODE)),
    directory=(JOBS, NODES),
)
