"""Job lists of the Tiresias simulator, and of Astraea, which adds tenants and expected times."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, read_delimited
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second, distinct

NEEDED = ("job_id", "num_gpu", "submit_time", "model_name", "duration")
COLUMNS = frozenset({*NEEDED, "iterations", "interval"})
ASTRAEA = frozenset({"user", "expect_time"})
DISTRIBUTION = frozenset({"duration"})
"""Header of `yarn-gput1000.csv`: GPU-seconds of past jobs for the Gittins index, no jobs to run."""


def read(path: Path, options: Options) -> Trace:
    """Read `60_job.csv` of Tiresias or `fake_job.csv` of Astraea (500 jobs, 20 tenants).

    Units of the file: seconds; `num_gpu` is the total of a job. `model_name` is the profile. Astraea's `user`
    is `user` and `group`, and its `expect_time`, seconds from the submission, gives `deadline_s`. Rows
    without GPUs are dropped. `iterations` stays as a column; `interval`, the time to the next job, repeats
    `submit_time`.

    `yarn-gput1000.csv` holds the GPU-time distribution that the Gittins index needs, not jobs: it is refused.

    Sources: Gu et al., Tiresias: A GPU Cluster Manager for Distributed Deep Learning (NSDI'19); Ye et al.,
    Astraea: A Fair Deep Learning Scheduler for Multi-Tenant GPU Clusters (TPDS'22).

    Raises
    ------
    InputError: the file cannot be read, a cell is wrong, or it is a list of run times.

    Examples
    --------
    ::

        trace = apportion.load("tiresias:60_job.csv")
        trace.workload.table.select("job_id", "gpus", "profile", "duration_s")
    """
    raw = read_delimited(path, ())
    if frozenset(raw.columns) == DISTRIBUTION:
        raise InputError(
            "found only run times (the GPU-time distribution of the Gittins index), expected jobs with "
            + ", ".join(NEEDED),
            file=path,
            row=1,
        )
    raw = read_delimited(path, NEEDED)
    report = QualityReport(rows_read=raw.height)
    submit = number(raw, "submit_time", path, minimum=0, required=True)
    frame = pl.DataFrame(
        {
            "job_id": distinct(raw["job_id"], report),
            "submit_s": submit,
            "duration_s": number(raw, "duration", path, minimum=0, required=True),
            "gpus": number(raw, "num_gpu", path, minimum=0, whole=True, required=True),
            "profile": raw["model_name"],
        }
    )
    if "user" in raw.columns:
        frame = frame.with_columns(user=raw["user"], group=raw["user"])
    if "expect_time" in raw.columns:
        frame = frame.with_columns(deadline_s=submit + number(raw, "expect_time", path, minimum=0))
    if "iterations" in raw.columns:
        frame = frame.with_columns(number(raw, "iterations", path, minimum=0))
    report.drop("asks for 0 GPUs", int((frame["gpus"] == 0).sum()))
    frame = frame.filter(pl.col("gpus") > 0)
    frame = frame.with_columns(duration_s=at_least_a_second(frame["duration_s"], report))
    report.jobs = frame.height
    return Trace(Workload.of(frame, name=path.stem), report=report)


def looks_like_tiresias(lines: list[str]) -> bool:
    """Say whether the header is exactly Tiresias', with or without Astraea's columns, or its run times."""
    header = frozenset(cell.strip().strip('"') for cell in lines[0].split(",")) if lines else frozenset()
    return header in (COLUMNS, COLUMNS | ASTRAEA, DISTRIBUTION)


FORMAT = Format(
    name="tiresias",
    title="job lists of the Tiresias and Astraea simulators",
    paper="Gu et al., Tiresias: A GPU Cluster Manager for Distributed Deep Learning, NSDI'19",
    source="https://github.com/SymbioticLab/Tiresias (simulator); "
    "https://github.com/yzs981130/Astraea_Artifacts (simulation/data)",
    licence="Apache-2.0; Astraea: MIT",
    example="tiresias:60_job.csv",
    read=read,
    sniff=looks_like_tiresias,
)
