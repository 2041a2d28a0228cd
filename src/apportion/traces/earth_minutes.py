"""Earth as series: each minute, what ran and waited in each virtual cluster."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from apportion.model.errors import InputError, did_you_mean
from apportion.model.signal import Signal
from apportion.model.trace import QualityReport, Trace
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.series import NO_JOBS, no_jobs, read_counters

SIGNALS = {
    "running_gpu_num": "busy_gpus",
    "total_gpu_num": "total_gpus",
    "pending_gpu_num": "waiting_gpus",
    "running_gpujob_num": "running_jobs",
    "pending_gpujob_num": "waiting_jobs",
}
"""Column -> signal, of jobs that ask for GPUs."""
FILE = "cluster_sequence_vc.csv"


def read(location: Path, options: Options) -> Trace:
    """Read `cluster_sequence_vc.csv` of one virtual cluster, or of all in the folder above (44,640 minutes each).

    There are no jobs: the trace has the signals `busy_gpus`, `total_gpus`, `waiting_gpus`, `running_jobs` and
    `waiting_jobs` of all virtual clusters, and those of each as `busy_gpus/vc6YE`. Naive local time; second 0 is the
    first row.

    Options
    -------
    vc: only this virtual cluster, where the location is the folder above.

    Source: Hu et al., Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters
    (SC'21).

    Raises
    ------
    InputError: a file cannot be read, a cell is wrong, times do not rise, or the files are not of the same minutes.

    Examples
    --------
    ::

        trace = apportion.load("earth-minutes:Earth_vcs?vc=vc6YE")
        trace.signals["busy_gpus"].values.mean()
    """
    report = QualityReport(notes=[NO_JOBS])
    files = _files(location, options.text("vc"))
    origin: datetime | None = None
    signals: dict[str, Signal] = {}
    for name, path in files.items():
        own, first = read_counters(path, SIGNALS, report)
        for key, signal in own.items():
            signals[f"{key}/{name}"] = Signal(signal.times_s, signal.values, signal.unit, f"{key}/{name}")
            before = signals.get(key)
            if before is None:
                signals[key] = signal
            elif origin != first or not np.array_equal(before.times_s, signal.times_s):
                raise InputError("found other minutes than in the files before it, expected the same", file=path)
            else:
                signals[key] = Signal(signal.times_s, before.values + signal.values, signal.unit, key)
        origin = first
    assert origin is not None
    return Trace(no_jobs(origin, location.stem), signals=signals, report=report)


def _files(location: Path, vc: str | None) -> dict[str, Path]:
    """Return the file of each virtual cluster by its name, that of its folder."""
    if not location.is_dir():
        if vc is not None:
            raise InputError(f"found vc={vc} beside a file, expected the folder of all", file=location)
        return {location.resolve().parent.name: location}
    if (location / FILE).is_file():
        return _files(location / FILE, vc)
    found = {path.parent.name: path for path in sorted(location.glob(f"*/{FILE}"))}
    if not found:
        raise InputError(f"found no */{FILE}, expected one for each virtual cluster", file=location)
    if vc is None:
        return found
    if vc not in found:
        raise InputError(f"found no vc={vc}{did_you_mean(vc, found)} (it has {', '.join(found)})", file=location)
    return {vc: found[vc]}


FORMAT = Format(
    name="earth-minutes",
    title="SenseTime Earth 2020 as series: busy and waiting GPUs of each virtual cluster each minute",
    paper="Hu et al., Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters, SC'21",
    source="https://github.com/S-Lab-System-Group/HeliosArtifact (analysis/2_cluster characterization/Earth_vcs)",
    licence="none stated by S-Lab-System-Group/HeliosArtifact (the trace it is made of: CC-BY-4.0)",
    example="earth-minutes:Earth_vcs?vc=vc6YE",
    read=read,
    headers=(frozenset({"time", *SIGNALS}),),
    directory=(FILE, f"*/{FILE}"),
)
