"""Helios: four SenseTime clusters of 2020 (Venus, Earth, Saturn, Uranus), a folder each."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError, did_you_mean
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import moment, number, read_delimited
from apportion.traces.format import Format
from apportion.traces.joblog import NEEDED, accounting
from apportion.traces.options import Options

LOG, CAPACITY = "cluster_log.csv", "cluster_gpu_number.csv"
NODE_GPUS = 8
"""Every node of the four clusters has eight GPUs."""


def read(path: Path, options: Options) -> Trace:
    """Read one cluster of the Helios release.

    Units of the file: calendar times, `gpu_num` GPUs and `cpu_num` cores of the whole job, `node_num` nodes
    (kept). A job is one task with all its GPUs; `group` is its virtual cluster. The run time is end -
    start; the queueing time of the log stays as `source_wait_s`. TIMEOUT and NODE_FAIL count as failed. The
    release has no job names.

    With `cluster_gpu_number.csv` beside the log, each virtual cluster has the median of its daily GPUs
    (from the first to the last submission, over the days on which it had any) in nodes of eight, for its
    jobs alone.

    Options
    -------
    vc: only this virtual cluster. cpu: drop (default) or keep the jobs without GPUs, about half of the log.

    Source: Hu et al., Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU
    Datacenters (SC'21).

    Raises
    ------
    InputError: a file is missing, a cell is wrong, or the virtual cluster has no jobs.

    Examples
    --------
    ::

        trace = apportion.load("helios:data/Earth?vc=vc6YE")
        trace.cluster.gpus
    """
    vc = options.text("vc")
    keep_cpu = options.choice("cpu", ("drop", "keep"), "drop") == "keep"
    log = path / LOG if path.is_dir() else path
    raw = read_delimited(log, (*NEEDED, "vc"))
    report = QualityReport()
    groups = raw["vc"].fill_null("").str.strip_chars().alias("group")
    only = None
    if vc is not None:
        known = sorted(groups.unique())
        if vc not in known:
            raise InputError(
                f"found no job of vc={vc}{did_you_mean(vc, known)} (it has {', '.join(known[:30])})", file=log
            )
        only = groups == vc
        report.drop(f"of another virtual cluster than {vc}", int((~only).sum()))
    frame, origin = accounting(raw, [groups], log, report, keep_cpu=keep_cpu, only=only)
    workload = Workload.of(frame, origin=origin, name=log.parent.name or "helios")
    capacity = log.parent / CAPACITY
    if not capacity.exists():
        report.notes.append(f"no cluster: {CAPACITY} is not beside the log")
        return Trace(workload, report=report)
    last = origin + timedelta(seconds=float(workload.table["submit_s"][-1]))
    sizes = _capacity(capacity, origin, last, vc)
    _describe(workload.table, sizes, report)
    return Trace(workload, _nodes(sizes, capacity), report=report)


def _capacity(path: Path, first: datetime, last: datetime, vc: str | None) -> dict[str, int]:
    """Return the usual number of GPUs of each virtual cluster between two times."""
    raw = read_delimited(path, ("date",))
    midnight = raw.with_columns(pl.col("date").str.slice(0, 10) + " 00:00:00")
    day = moment(midnight, "date", path, required=True)
    # The day of the first submission counts although it began before it.
    inside = (day > first - timedelta(days=1)) & (day <= last)
    if not inside.any():
        inside = day.is_not_null()
    sizes = {}
    for name in raw.columns:
        if name in ("date", "total") or vc not in (None, name):
            continue
        daily = number(raw, name, path, minimum=0, whole=True, default=0).filter(inside)
        # A day of 0 GPUs is one before the virtual cluster was made or after it was merged into another.
        sizes[name] = int(daily.filter(daily > 0).quantile(0.5, "nearest") or 0)
    return sizes


def _describe(jobs: pl.DataFrame, sizes: dict[str, int], report: QualityReport) -> None:
    """Say how the capacity was chosen and which jobs it cannot hold."""
    report.notes.append(
        "capacity changes daily: each virtual cluster has the median of its GPUs over the days of the log"
    )
    most = jobs["group"].replace_strict(sizes, default=0, return_dtype=pl.Int64)
    over = int((jobs["gpus"] > most).sum())
    if over:
        report.notes.append(f"{over:,} jobs ask for more GPUs than their virtual cluster usually has")


def _nodes(sizes: dict[str, int], path: Path) -> Cluster | None:
    """Return nodes of eight GPUs, and a smaller last one where eight does not divide the size."""
    if not any(sizes.values()):
        return None
    groups = pl.DataFrame(
        {"group": list(sizes), "size": list(sizes.values())}, schema={"group": pl.String, "size": pl.Int64}
    ).filter(pl.col("size") > 0)
    nodes = groups.with_columns(first=pl.int_ranges(0, "size", NODE_GPUS)).explode("first")
    frame = nodes.select(
        node=pl.format("{}-{}", "group", (pl.col("first") // NODE_GPUS).cast(pl.String).str.zfill(3)),
        gpus=pl.min_horizontal(pl.lit(NODE_GPUS), pl.col("size") - pl.col("first")),
        group="group",
    )
    return Cluster.of(frame, name=path.parent.name or "helios")


FORMAT = Format(
    name="helios",
    title="SenseTime Helios 2020: Venus, Earth, Saturn or Uranus, a folder each",
    paper="Hu et al., Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters, SC'21",
    source="https://github.com/S-Lab-System-Group/HeliosData (data.zip)",
    licence="CC-BY-4.0",
    example="helios:data/Earth?vc=vc6YE",
    read=read,
    headers=(frozenset({*NEEDED, "vc"}),),
    directory=(LOG,),
)
