"""Job lists of GAIA, sampled from PAI, Azure and Mustang: `arrival_time,length,cpus`."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, read_delimited
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second

NEEDED = ("arrival_time", "length", "cpus")
UNIT_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
CORES_PER_GPU = 23.22
"""Cores for each GPU of the clusters that `clip` cuts to, as in the PAI simulator."""


def read(path: Path, options: Options) -> Trace:
    """Read a job list of GAIA (`pai_1k.csv`: a week in seconds; `pai-100k.csv`: a year in hours).

    A row is a job of one task whose `cpus` resource units are its GPUs, 1 to 400 in the files. The files do
    not say their unit of time: without `unit=` it is seconds when every arrival and length is a whole number,
    else hours, and a note says which. Hours and minutes become whole seconds. Jobs are numbered by their row.

    Options
    -------
    unit: s, min or h. cpu: cores for each GPU (none are asked for by default). clip: N cuts requests to a
    cluster of N GPUs and, with `cpu`, round(23.22 N) cores; cores follow the request before the cut.

    Source: Hanafy et al., Going Green for Less Green: Optimizing the Cost of Reducing Cloud Carbon Emissions
    (ASPLOS'24); jobs from Weng et al., MLaaS in the Wild (NSDI'22).

    Raises
    ------
    InputError: the file cannot be read or a cell is wrong.

    Examples
    --------
    ::

        trace = apportion.load("gaia:pai-100k.csv?unit=h&cpu=6&clip=130")
    """
    given = options.choice("unit", ("guess", *UNIT_S), "guess")
    cores = options.number("cpu", default=0.0, minimum=0) or 0.0
    clip = options.integer("clip", minimum=1)
    raw = read_delimited(path, NEEDED)
    report = QualityReport(rows_read=raw.height)
    arrival = number(raw, "arrival_time", path, minimum=0, maximum=1e11, required=True)
    length = number(raw, "length", path, minimum=0, maximum=1e11, required=True)
    gpus = number(raw, "cpus", path, minimum=0, whole=True, required=True)
    unit = given if given != "guess" else _guess(arrival, length, report)
    if unit != "s":
        arrival, length = (arrival * UNIT_S[unit]).round(), (length * UNIT_S[unit]).round()
    cpu_milli = (gpus * cores * 1000).round()
    if clip is not None:
        report.repair(f"request cut to {clip:,} GPUs", int((gpus > clip).sum()))
        gpus = gpus.clip(upper_bound=clip)
        cpu_milli = cpu_milli.clip(upper_bound=1000.0 * round(CORES_PER_GPU * clip))
    frame = pl.DataFrame({"submit_s": arrival, "duration_s": length, "gpus": gpus, "cpu_milli": cpu_milli})
    frame = frame.with_row_index("job_id").with_columns(pl.col("job_id").cast(pl.String))
    report.drop("asks for no resources (cpus 0)", int((gpus == 0).sum()))
    frame = frame.filter(pl.col("gpus") > 0)
    frame = frame.with_columns(duration_s=at_least_a_second(frame["duration_s"], report))
    report.jobs = frame.height
    return Trace(Workload.of(frame, name=path.stem), report=report)


def _guess(arrival: pl.Series, length: pl.Series, report: QualityReport) -> str:
    whole = bool((arrival == arrival.floor()).all() and (length == length.floor()).all())
    report.notes.append(
        "times taken as seconds, for all are whole numbers (unit=h or unit=min says otherwise)"
        if whole
        else "times taken as hours, for some have a fraction (unit=s or unit=min says otherwise)"
    )
    return "s" if whole else "h"


FORMAT = Format(
    name="gaia",
    title="job lists of GAIA: arrival, length, size",
    paper="Hanafy et al., Going Green for Less Green: Optimizing the Cost of Reducing Cloud Carbon "
    "Emissions, ASPLOS'24",
    source="https://github.com/umassos/GAIA (src/cluster_traces)",
    licence="MIT",
    example="gaia:pai-100k.csv?unit=h",
    read=read,
    headers=(frozenset(NEEDED),),
)
