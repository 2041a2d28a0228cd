"""Philly as a series: how many nodes were active, of how many, in each minute."""

from __future__ import annotations

from pathlib import Path

from apportion.model.trace import QualityReport, Trace
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.series import NO_JOBS, no_jobs, read_counters

SIGNALS = {"active": "active_nodes", "total": "total_nodes"}
"""Column -> signal."""


def read(path: Path, options: Options) -> Trace:
    """Read `philly_node_sequence.csv` (105,644 minutes, 2017-10-03 to 2017-12-15).

    Each row says how many nodes had a job and how many there were, naive local time. There are no jobs: the trace
    has the signals `active_nodes` and `total_nodes`. Second 0 is the first row.

    Source: Hu et al., Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters
    (SC'21), from Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training Workloads (ATC'19).

    Raises
    ------
    InputError: the file cannot be read, a cell is wrong, or times do not rise.

    Examples
    --------
    ::

        trace = apportion.load("philly-nodes:philly_node_sequence.csv")
        trace.signals["active_nodes"].at(3600)
    """
    report = QualityReport(notes=[NO_JOBS])
    signals, origin = read_counters(path, SIGNALS, report)
    return Trace(no_jobs(origin, path.stem), signals=signals, report=report)


FORMAT = Format(
    name="philly-nodes",
    title="Microsoft Philly 2017 as a series: active nodes each minute",
    paper="Hu et al., Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters, SC'21",
    source="https://github.com/S-Lab-System-Group/HeliosArtifact (framework/CES Service/data)",
    licence="CC-BY-4.0 (msr-fiddle/philly-traces)",
    example="philly-nodes:philly_node_sequence.csv",
    read=read,
    headers=(frozenset({"time", *SIGNALS}),),
)
