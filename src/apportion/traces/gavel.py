"""Gavel: jobs given as training steps, whose run time follows from measured throughputs."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second
from apportion.traces.step_jobs import is_number, jobs_of, read_tabs, with_deadline, with_throughput
from apportion.traces.throughputs import of_gpu, read_profiles, table_beside

COMMON = ("job_type", "command")
COLUMNS = (
    *COMMON,
    "working_dir",
    "num_steps_arg",
    "needs_data_dir",
    "total_steps",
    "scale_factor",
    "priority_weight",
    "slo",
    "arrival_s",
)
OLD_COLUMNS = (*COMMON, "num_steps_arg", "needs_data_dir", "total_steps", "arrival_s", "scale_factor")
"""The older form, of `traces/msr`."""

BESIDE = ("physical_cluster_throughputs.json", "simulation_throughputs.json")


def read(path: Path, options: Options) -> Trace:
    """Read a `.trace` of Gavel: tab separated, no header, 10 columns (7 in the older form of `traces/msr`).

    The columns are job_type, command, working_dir, num_steps_arg, needs_data_dir (0/1), total_steps,
    scale_factor (GPUs of the job), priority_weight, SLO and arrival (s). The run time is total_steps /
    throughput on the GPU model `gpu`, from the authors' table of (job type, width) -> steps/s. An SLO above 0
    is a multiple of the run time: the deadline is arrival + SLO x run time. `job_type` is the profile. Jobs
    are numbered by their line.

    Further columns: `total_steps`, `steps_per_s`, `priority_weight`, `slo`, `batch_size`, `mode` (always
    static).

    Options
    -------
    throughputs: JSON table; default physical_cluster_throughputs.json or else simulation_throughputs.json
    beside the trace. gpu: model whose throughput gives the run time (v100). Jobs that do not run on it are
    dropped.

    Source: Narayanan et al., Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning Workloads
    (OSDI'20).

    Raises
    ------
    InputError: a file cannot be read, a cell is wrong, or the job type is not in the table.

    Examples
    --------
    ::

        trace = apportion.load("gavel:physical_minimize_makespan.trace?throughputs=speeds.json&gpu=p100")
    """
    gpu = options.text("gpu", "v100") or "v100"
    given = options.text("throughputs")
    raw = read_tabs(path, (COLUMNS, OLD_COLUMNS))
    table_path = _table(path, given)
    report = QualityReport(rows_read=raw.height)
    frame = jobs_of(raw, path)
    profiles = read_profiles(table_path)
    chosen = of_gpu(profiles.alone, gpu, table_path)
    frame = with_throughput(frame, profiles.alone, chosen, path, table_path)
    runs = (frame["steps_per_s"] > 0).fill_null(False)
    report.drop(f"does not run on {gpu} (no throughput)", int((~runs).sum()))
    frame = frame.filter(runs).with_columns(duration_s=pl.col("total_steps") / pl.col("steps_per_s"))
    frame = frame.with_columns(duration_s=at_least_a_second(frame["duration_s"], report), mode=pl.lit("static"))
    frame = with_deadline(frame, report)
    report.jobs = frame.height
    report.notes.append(f"run times from {table_path.name} on {gpu}")
    return Trace(Workload.of(frame, name=path.stem, profiles=profiles), report=report)


def _table(trace: Path, given: str | None) -> Path:
    if given is not None:
        return table_beside(trace, given)
    for name in BESIDE:
        if (trace.parent / name).exists():
            return trace.parent / name
    raise InputError(
        f"the trace counts steps, not seconds; add ?throughputs=FILE.json ({' or '.join(BESIDE)} of the "
        "Gavel repository)",
        file=trace,
    )


def looks_like_gavel(lines: list[str]) -> bool:
    """Say whether the first line has the tab-separated cells of either form."""
    cells = lines[0].split("\t") if lines else []
    numbers = {len(COLUMNS): cells[4:], len(OLD_COLUMNS): cells[3:]}.get(len(cells), [])
    return bool(numbers) and numbers[0] in ("0", "1") and all(map(is_number, numbers))


FORMAT = Format(
    name="gavel",
    title="Gavel: steps of heterogeneous training jobs",
    paper="Narayanan et al., Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning Workloads, OSDI'20",
    source="https://github.com/stanford-futuredata/gavel (scheduler/traces)",
    licence="MIT",
    example="gavel:physical_minimize_makespan.trace?throughputs=simulation_throughputs.json",
    read=read,
    sniff=looks_like_gavel,
)
