"""Alibaba's GPU-sharing cluster of 2023 (`openb`): pods and nodes of the FGD paper."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, read_delimited, state
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second, distinct

REQUEST = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
TIMES = ("creation_time", "deletion_time", "scheduled_time")
NODE = ("sn", "cpu_milli", "memory_mib", "gpu", "model")


def read(path: Path, options: Options) -> Trace:
    """Read the pods of `cluster-trace-gpu-v2023` and the nodes they ran on.

    Each pod is a job of one task: `gpus` devices with `gpu_milli` of each, milli-CPU, MiB. Second 0 is the
    first creation in the trace (it has no calendar). The run time is deletion - scheduling. `Running` pods
    were cut off by the end of the snapshot: they are censored. `gpu_spec` (`V100M16|V100M32`) lists the
    allowed models. QoS LS and Guaranteed have priority 1, BE is best effort; the column `qos` is kept. The
    multigpu variants have no times: all pods are submitted at 0 and run for 1 s, which suits packing
    experiments only.

    Options
    -------
    pods: variant, the `default` in openb_pod_list_default.csv; `compare --fill` also takes several, as in
    `default,cpu050` or `gpu*`, and all with `*`. nodes: gpu_node (1,213 nodes with GPUs) or
    all_node. pending: drop (default) or keep the pods that were never scheduled; kept ones last deletion -
    creation, censored. Packing experiments keep them by default.

    Source: Weng et al., Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient
    Descent (ATC'23).

    Raises
    ------
    InputError: a file is missing or a cell is wrong.

    Examples
    --------
    ::

        trace = apportion.load("openb:openb?pods=gpuspec33&pending=keep")
        trace.cluster.gpus  # 6212
    """
    variant = options.text("pods")
    nodes = options.text("nodes")
    pending = options.choice("pending", ("drop", "keep"), "drop")
    if nodes not in (None, "gpu_node", "all_node"):
        raise InputError(f"openb: found nodes={nodes}, expected gpu_node or all_node")
    folder = path
    if path.is_file():
        if variant is not None:
            raise InputError(f"openb: found pods={variant} beside a file, expected a folder", file=path)
        folder = path.parent
    else:
        path = path / f"openb_pod_list_{variant or 'default'}.csv"
    report = QualityReport()
    jobs = _pods(path, pending == "keep", report)
    node_file = folder / f"openb_node_list_{nodes or 'gpu_node'}.csv"
    cluster = None
    if nodes is not None or node_file.exists():
        cluster = _nodes(node_file)
    else:
        report.notes.append(f"no cluster: {node_file.name} is not beside the pods")
    return Trace(Workload.of(jobs, name=path.stem), cluster, report=report)


def _pods(path: Path, keep_pending: bool, report: QualityReport) -> pl.DataFrame:
    raw = read_delimited(path, REQUEST)
    report.rows_read = raw.height
    devices = number(raw, "num_gpu", path, minimum=0, whole=True, required=True)
    milli = number(raw, "gpu_milli", path, minimum=0, maximum=1000, whole=True, required=True)
    has_gpu = (devices > 0) & (milli > 0)
    frame = pl.DataFrame(
        {
            "job_id": distinct(raw["name"], report),
            "cpu_milli": number(raw, "cpu_milli", path, minimum=0, required=True),
            "memory_mib": number(raw, "memory_mib", path, minimum=0, required=True),
            "gpus": devices * has_gpu,
            "gpu_milli": milli * has_gpu,
        }
    )
    if "gpu_spec" in raw.columns:
        spec = raw["gpu_spec"].fill_null("").str.strip_chars(" |").str.split("|")
        frame = frame.with_columns(gpu_models=spec.list.eval(pl.element().filter(pl.element() != "")))
    if "qos" in raw.columns:
        frame = frame.with_columns(
            qos=raw["qos"],
            priority=raw["qos"].is_in(["LS", "Guaranteed"]).cast(pl.Int32),
            best_effort=(raw["qos"] == "BE"),
        )
    frame = _with_times(frame, raw, path, keep_pending, report)
    report.jobs = frame.height
    return frame


def _with_times(
    frame: pl.DataFrame, raw: pl.DataFrame, path: Path, keep_pending: bool, report: QualityReport
) -> pl.DataFrame:
    if not set(TIMES) <= set(raw.columns):
        report.notes.append("the file has no times: every pod is submitted at 0 and runs for 1 s")
        return frame.with_columns(submit_s=pl.lit(0.0), duration_s=pl.lit(1.0))
    created, deleted, scheduled = (number(raw, name, path) for name in TIMES)
    last = pl.concat([created, deleted, scheduled]).max()
    frame = frame.with_columns(
        submit_s=created,
        source_wait_s=scheduled - created,
        status=state(raw["pod_phase"]) if "pod_phase" in raw.columns else pl.lit(None, dtype=pl.String),
        start=scheduled,
        end=deleted,
        cut=deleted.is_null() | scheduled.is_null(),
    ).with_columns(end=pl.col("end").fill_null(pl.lit(last, dtype=pl.Float64)))
    report.drop("no creation_time", int(created.null_count()))
    frame = frame.filter(pl.col("submit_s").is_not_null())
    if keep_pending:
        frame = frame.with_columns(start=pl.col("start").fill_null(pl.col("submit_s")))
    else:
        report.drop("never scheduled (pending=keep keeps them)", int(frame["start"].null_count()))
        frame = frame.filter(pl.col("start").is_not_null())
    frame = frame.with_columns(
        duration_s=at_least_a_second(frame["end"] - frame["start"], report),
        status=pl.when("cut").then(pl.lit("censored")).otherwise("status"),
    ).drop("start", "end", "cut")
    report.censored = int((frame["status"] == "censored").sum())
    return frame


def _nodes(path: Path) -> Cluster:
    raw = read_delimited(path, NODE)
    gpus = number(raw, "gpu", path, minimum=0, whole=True, required=True)
    model = raw["model"].fill_null("")
    frame = pl.DataFrame(
        {
            "node": raw["sn"],
            "gpu_model": pl.select(pl.when(model == "").then(None).otherwise(model)).to_series(),
            "gpus": gpus,
            "cpu_milli": number(raw, "cpu_milli", path, minimum=0, required=True),
            "memory_mib": number(raw, "memory_mib", path, minimum=0, required=True),
        }
    )
    try:
        return Cluster.of(frame, name=path.stem)
    except InputError as error:
        raise InputError(str(error), file=path) from None


FORMAT = Format(
    name="openb",
    title="Alibaba GPU-sharing cluster 2023: pods and heterogeneous nodes",
    paper="Weng et al., Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation "
    "Gradient Descent, ATC'23",
    source="https://github.com/alibaba/clusterdata (cluster-trace-gpu-v2023/csv)",
    licence="none stated; Apache-2.0 in the copy of hkust-adsl/kubernetes-scheduler-simulator",
    example="openb:openb?pods=default",
    read=read,
    headers=(frozenset(REQUEST),),
    directory=("openb_pod_list_*.csv",),
    variants="pods",
    timeless={"pending": "keep"},
)
