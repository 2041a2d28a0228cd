"""Venus as counts: how many jobs and GPUs were submitted, started and ended in each ten minutes."""

from __future__ import annotations

from pathlib import Path

from apportion.model.trace import QualityReport, Trace
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.series import NO_JOBS, no_jobs, read_counters

SIGNALS = {
    "submit_gpu_job": "submitted_jobs",
    "submit_gpu_num": "submitted_gpus",
    "start_gpu_job": "started_jobs",
    "start_gpu_num": "started_gpus",
    "end_gpu_job": "ended_jobs",
    "end_gpu_num": "ended_gpus",
    "submit_job_all": "submitted_all_jobs",
}
"""Column -> signal. All but the last are of jobs that ask for GPUs."""


def read(path: Path, options: Options) -> Trace:
    """Read `cluster_throughput.csv` of Venus (26,064 rows of ten minutes, April to September 2020).

    Each row counts what happened in the ten minutes from `time` on, naive local time. There are no jobs: the
    trace has the signals `submitted_jobs`, `started_jobs`, `ended_jobs` and the same of `_gpus` (of GPU jobs),
    and `submitted_all_jobs` (CPU jobs too). Second 0 is the first row.

    Source: Hu et al., Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters
    (SC'21), in the form published with Lucid (ASPLOS'23).

    Raises
    ------
    InputError: the file cannot be read, a cell is wrong, or times do not rise.

    Examples
    --------
    ::

        trace = apportion.load("venus-counts:cluster_throughput.csv?from=2020-05-01&to=2020-06-01")
        trace.signals["submitted_jobs"].values.sum()
    """
    report = QualityReport(notes=[NO_JOBS])
    signals, origin = read_counters(path, SIGNALS, report)
    return Trace(no_jobs(origin, path.stem), signals=signals, report=report)


FORMAT = Format(
    name="venus-counts",
    title="SenseTime Venus 2020 as counts: jobs and GPUs submitted, started, ended each ten minutes",
    paper="Hu et al., Lucid: A Non-intrusive, Scalable and Interpretable Scheduler for Deep Learning Training Jobs, "
    "ASPLOS'23",
    source="https://github.com/S-Lab-System-Group/Lucid (simulation/data/Venus/cluster_throughput.csv)",
    licence="S-Lab License 1.0 (non-commercial)",
    example="venus-counts:cluster_throughput.csv",
    read=read,
    headers=(frozenset({"time", *SIGNALS}),),
)
