"""Acme: the LLM development clusters Seren and Kalos of Shanghai AI Laboratory, 2023."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, read_delimited
from apportion.traces.format import Format
from apportion.traces.joblog import NEEDED, accounting
from apportion.traces.options import Options

NODES = {"seren": 286, "kalos": 302}
"""Nodes of eight A100 with 80 GB. These are from memory of the paper, not from the released files."""


def read(path: Path, options: Options) -> Trace:
    """Read `trace_seren.csv` or `trace_kalos.csv`.

    Units of the file: calendar times with a zone, +08:00 in Seren and +00:00 in Kalos, both read as UTC;
    `gpu_num` GPUs and `cpu_num` cores of the whole job; `mem_per_pod_GB` (Kalos), times `node_num` pods, is
    its memory. The run time is end - start: `duration` of Kalos counts the queue. `type` (Eval, Pretrain,
    SFT, MLLM, Debug, Other) is kept and is also the `group`, for the release names no partition; the
    queueing time stays as `source_wait_s`.

    Options
    -------
    cluster: seren or kalos attaches the size of that cluster, and chooses the file in a folder that has both.
    cpu: drop (default) or keep the jobs without GPUs.

    Source: Hu et al., Characterization of Large Language Model Development in the Datacenter (NSDI'24).

    Raises
    ------
    InputError: a file is missing or a cell is wrong.

    Examples
    --------
    ::

        trace = apportion.load("acme:trace_kalos.csv?cluster=kalos")
        trace.workload.table.group_by("type").len()
    """
    cluster = options.text("cluster")
    if cluster is not None and cluster not in NODES:
        raise InputError(f"acme: found cluster={cluster}, expected {' or '.join(NODES)}")
    keep_cpu = options.choice("cpu", ("drop", "keep"), "drop") == "keep"
    path = _file(path, cluster)
    raw = read_delimited(path, (*NEEDED, "type"))
    report = QualityReport()
    kind = raw["type"].fill_null("").str.strip_chars()
    extra = [kind, kind.alias("group")]
    if "mem_per_pod_GB" in raw.columns:
        pods = number(raw, "node_num", path, default=1) if "node_num" in raw.columns else 1
        memory = number(raw, "mem_per_pod_GB", path, minimum=0, maximum=1e9, default=0)
        extra.append((memory * pods * 1024).round().alias("memory_mib"))
    frame, origin = accounting(raw, extra, path, report, keep_cpu=keep_cpu)
    report.notes.append("times are UTC; the clusters are in UTC+8")
    nodes = None
    if cluster is not None:
        nodes = _cluster(cluster)
        report.notes.append(
            f"cluster: {NODES[cluster]} nodes of 8 A100-80GB, recalled from the paper, not read from files"
        )
    return Trace(Workload.of(frame, origin=origin, name=path.stem), nodes, report=report)


def _file(path: Path, cluster: str | None) -> Path:
    """Return the job table to read in `path`, which is one or a folder with one for each cluster."""
    if not path.is_dir():
        return path
    found = [name for name in NODES if (path / f"trace_{name}.csv").exists()]
    if cluster is None and len(found) == 2:
        raise InputError(
            "holds trace_seren.csv and trace_kalos.csv; choose with ?cluster=seren or ?cluster=kalos",
            file=path,
        )
    return path / f"trace_{cluster or (found[0] if found else 'seren')}.csv"


def _cluster(name: str) -> Cluster:
    count = NODES[name]
    frame = pl.DataFrame(
        {
            "node": [f"{name}-{i:03d}" for i in range(count)],
            "gpu_model": ["A100-80GB"] * count,
            "gpus": [8] * count,
            "gpu_memory_mib": [80 * 1024] * count,
        }
    )
    return Cluster.of(frame, name=name)


FORMAT = Format(
    name="acme",
    title="Shanghai AI Laboratory Acme 2023: LLM development on Seren and Kalos",
    paper="Hu et al., Characterization of Large Language Model Development in the Datacenter, NSDI'24",
    source="https://github.com/InternLM/AcmeTrace (data/job_trace)",
    licence="CC-BY-4.0",
    example="acme:trace_kalos.csv?cluster=kalos",
    read=read,
    headers=(frozenset({*NEEDED, "type"}),),
    directory=("trace_seren.csv", "trace_kalos.csv"),
)
