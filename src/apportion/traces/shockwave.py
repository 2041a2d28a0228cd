"""Shockwave: training jobs whose batch size changes while they run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from apportion.model.errors import InputError
from apportion.model.profiles import Profiles
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, shortened
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.regimes import SAMPLES, batch_schedule, epochs_of
from apportion.traces.repairs import at_least_a_second
from apportion.traces.step_jobs import is_number, jobs_of, read_tabs, with_deadline, with_throughput
from apportion.traces.throughputs import of_gpu, read_profiles, table_beside

COLUMNS = (
    "job_type",
    "command",
    "working_dir",
    "num_steps_arg",
    "needs_data_dir",
    "total_steps",
    "scale_factor",
    "mode",
    "priority_weight",
    "slo",
    "duration_s",
    "arrival_s",
)
MODES = ("static", "accordion", "gns")
BESIDE = ("tacc_throughputs.json", "wisr_throughputs.json")
"""The authors' tables: the first for the 32-GPU run, the second for those scaled to 64, 128 and 256 GPUs."""

GPU = "v100"
SAME = 0.01
"""A table belongs to a trace when total_steps / throughput is the trace's duration within this share."""

MOST_EPOCHS = 1_000_000
"""More epochs than this in one job are a mistake (and would not fit the memory)."""


def read(path: Path, options: Options) -> Trace:
    """Read a trace of the artefact: tab separated, no header, 12 columns.

    The columns are those of Gavel (see `apportion.traces.gavel`) with the dynamic `mode` (static, accordion,
    gns) after scale_factor and the duration (s) before the arrival. That duration is total_steps / throughput
    at the *initial* batch size. A dynamic job's batch grows and it ends sooner or later than that, so the run
    time here is the sum of its profiled epoch durations after adaptation, which the artefact divides by for
    finish-time fairness. It needs the authors' throughput table; without one the durations of the file stand,
    and a note says so.

    Further columns: `mode`, `batch_size` (initial), `epochs` (null where the job type has no batch size),
    `total_steps`, `steps_per_s` (at the initial batch), `initial_duration_s` (the file's), `job_type`, which
    is also the profile, `priority_weight`, `slo`.

    Options
    -------
    throughputs: JSON table; default tacc_throughputs.json or wisr_throughputs.json beside the trace,
    whichever reproduces its durations. duration: profile (default) or given, the file's.

    Source: Zheng et al., Shockwave: Fair and Efficient Cluster Scheduling for Dynamic Adaptation in Machine
    Learning (NSDI'23).

    Raises
    ------
    InputError: a file cannot be read, a cell is wrong, or a job type is not in the table.

    Examples
    --------
    ::

        trace = apportion.load("shockwave:120_jobs.trace?throughputs=tacc_throughputs.json")
        trace.workload.table.select("mode", "batch_size", "epochs", "duration_s", "initial_duration_s")
    """
    given = options.text("throughputs")
    wanted = options.choice("duration", ("profile", "given"), "profile")
    raw = read_tabs(path, (COLUMNS,))
    report = QualityReport(rows_read=raw.height, jobs=raw.height)
    initial = number(raw, "duration_s", path, minimum=0, required=True, header_rows=0)
    mode = raw["mode"].fill_null("").str.strip_chars()
    bad = ~mode.is_in(MODES)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(
            f"found {shortened(mode[row], 40)!r}, expected one of {', '.join(MODES)}",
            file=path,
            row=row + 1,
            column="mode",
        )
    frame = jobs_of(raw, path).with_columns(mode=mode, initial_duration_s=initial)
    profiles = None
    tables = [table_beside(path, given)] if given is not None else _tables_beside(path)
    epochs = _epochs(frame, path)
    frame = frame.with_columns(epochs=epochs)
    if not tables:
        report.notes.append(
            f"no {' or '.join(BESIDE)} beside the trace: the durations are those of the file, without the "
            "change of batch sizes (throughputs=FILE.json adds it)"
        )
        frame = frame.with_columns(duration_s="initial_duration_s")
    else:
        frame, speeds, profiles = _best_table(frame, tables, path, report)
        profiled = _profiled_s(frame, speeds) if wanted == "profile" else frame["initial_duration_s"]
        frame = frame.with_columns(duration_s=profiled)
    frame = frame.with_columns(duration_s=at_least_a_second(frame["duration_s"], report))
    workload = Workload.of(with_deadline(frame, report), name=path.stem, profiles=profiles)
    return Trace(workload, report=report)


def _tables_beside(trace: Path) -> list[Path]:
    return [trace.parent / name for name in BESIDE if (trace.parent / name).exists()]


def _epochs(frame: pl.DataFrame, path: Path) -> pl.Series:
    """Return the epochs of each job, null where its type names no known model and batch size."""
    epochs: list[int | None] = []
    for row, (job_type, batch, steps) in enumerate(
        frame.select("job_type", "batch_size", "total_steps").iter_rows(), start=1
    ):
        model = job_type.partition(" (")[0]
        epochs.append(epochs_of(model, batch, int(steps)) if batch and model in SAMPLES else None)
        if (epochs[-1] or 0) > MOST_EPOCHS:
            raise InputError(
                f"found {int(steps)} steps ({epochs[-1]:,} epochs), expected at most {MOST_EPOCHS:,} epochs",
                file=path,
                row=row,
                column="total_steps",
            )
    return pl.Series("epochs", epochs, dtype=pl.Int64)


def _best_table(
    frame: pl.DataFrame, tables: list[Path], path: Path, report: QualityReport
) -> tuple[pl.DataFrame, pl.DataFrame, Profiles]:
    """Return the jobs with `steps_per_s`, the table that reproduces the file's durations best, and all of it."""
    found: list[tuple[float, Path, pl.DataFrame, pl.DataFrame, Profiles]] = []
    for table in tables:
        profiles = read_profiles(table)
        speeds = of_gpu(profiles.alone, GPU, table)
        timed = with_throughput(frame, profiles.alone, speeds, path, table)
        ratio = timed["total_steps"] / timed["steps_per_s"] / timed["initial_duration_s"]
        off = (ratio - 1).abs().drop_nans().quantile(0.9) if ratio.len() else 0.0
        found.append((float("inf") if off is None else off, table, timed, speeds, profiles))
    off, table, timed, speeds, profiles = min(found, key=lambda entry: entry[0])
    report.notes.append(f"run times from {table.name} on {GPU}")
    if off > SAME:
        report.notes.append(
            f"{table.name} is not the table of this trace: total_steps / throughput is off its durations "
            f"by {off:.0%} and more for a tenth of the jobs"
        )
    return timed, speeds, profiles


def _profiled_s(frame: pl.DataFrame, speeds: pl.DataFrame) -> pl.Series:
    """Return the sum over epochs of (samples / batch) / throughput of that batch, after adaptation.

    An epoch whose batch size the table does not know keeps the initial one: the artefact refuses such a
    change.
    """
    keys = zip(speeds["job_type"], speeds["scale_factor"], strict=True)
    speed = {key: s for key, s in zip(keys, speeds["steps_per_s"], strict=True) if s > 0}
    columns = ("job_type", "gpus", "mode", "batch_size", "epochs", "initial_duration_s")
    out: list[float] = []
    for job_type, width, mode, batch, epochs, initial_s in frame.select(columns).iter_rows():
        model, width = job_type.partition(" (")[0], int(width)
        if epochs is None or (job_type, width) not in speed:
            out.append(initial_s)
            continue
        sizes, counts = np.unique(batch_schedule(model, batch, width, mode, epochs), return_counts=True)
        total_s = 0.0
        for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
            known = (f"{model} (batch size {size})", width) in speed
            used = size if known else batch
            total_s += count * SAMPLES[model] / used / speed[f"{model} (batch size {used})", width]
        out.append(total_s)
    return pl.Series("duration_s", out, dtype=pl.Float64)


def looks_like_shockwave(lines: list[str]) -> bool:
    """Say whether the first line has the twelve tab-separated cells of a trace."""
    cells = lines[0].split("\t") if lines else []
    return len(cells) == len(COLUMNS) and cells[7] in MODES and all(map(is_number, cells[8:]))


FORMAT = Format(
    name="shockwave",
    title="Shockwave: training jobs with static, Accordion or GNS batch sizes",
    paper="Zheng et al., Shockwave: Fair and Efficient Cluster Scheduling for Dynamic Adaptation in Machine "
    "Learning, NSDI'23",
    source="https://github.com/uw-mad-dash/shockwave (scheduler/traces/reproduce)",
    licence="MIT",
    example="shockwave:120_jobs.trace?throughputs=tacc_throughputs.json",
    read=read,
    sniff=looks_like_shockwave,
)
