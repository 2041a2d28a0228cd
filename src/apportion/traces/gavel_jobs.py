"""Gavel's generated jobs, draw for draw: `gavel-jobs:TABLE.json?jobs=5000&rate=4.8&seed=1&multi=yes`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import polars as pl

from apportion.model.errors import InputError
from apportion.model.profiles import Profiles
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.step_jobs import with_deadline
from apportion.traces.throughputs import of_gpu, read_profiles

MODELS: tuple[tuple[str, tuple[int, ...], bool], ...] = (
    ("ResNet-18", (16, 32, 64, 128, 256), True),
    ("ResNet-50", (16, 32, 64, 128), True),
    ("Transformer", (16, 32, 64, 128, 256), True),
    ("LM", (5, 10, 20, 40, 80), True),
    ("Recommendation", (512, 1024, 2048, 4096, 8192), False),
    ("A3C", (), False),
    ("CycleGAN", (), False),
)
"""Model, its batch sizes (none = they are not named), whether it trains on several GPUs."""

JOB_TYPES: tuple[tuple[str, bool], ...] = tuple(
    (f"{model} (batch size {size})" if size else model, several)
    for model, sizes, several in MODELS
    for size in sizes or (0,)
)
REFERENCE = "v100"
"""GPU model on which a drawn run time holds."""

DEFAULT_JOBS = 5000
MOST_JOBS = 10_000_000
RATES = (1e-6, 1e9)
HIGH = 5.0
"""Weight of a job of high priority; of every five jobs one is."""

SWITCHES = ("multi", "priorities", "slos")


@dataclass(frozen=True)
class Drawn:
    """A job as drawn; `slo` is a multiple of the run time, -1 = none."""

    submit_s: float
    job_type: str
    gpus: int
    duration_s: float
    weight: float
    slo: float


def read(path: Path, options: Options) -> Trace:
    """Generate jobs as the released simulator does: same seed, same jobs, to the last bit.

    `path` is the authors' table of throughputs. A job runs 60 x 10^U(1.5, 3) s with probability 0.8, else
    60 x 10^U(3, 4) s, alone on a V100; its steps are that times the throughput there, not rounded. Job types
    are equally likely. Times between arrivals are exponential. Jobs, arrivals and SLOs have random streams of
    their own (seed + 2, + 3 and + 6), so that the same jobs come at any rate.

    Further columns: those of `apportion.traces.gavel`.

    Options
    -------
    jobs: how many (5000). rate: jobs an hour; without it all are there at second 0. seed: 0.
    multi: yes = 1, 2, 4 or 8 GPUs with probabilities 0.7, 0.1, 0.15 and 0.05. priorities: yes = every fifth
    job has weight 5. slos: yes = deadlines after 1.2, 2 or 10 times the run time, equally likely.

    Source: Narayanan et al., Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning Workloads
    (OSDI'20), section 7.1, and the released code.

    Raises
    ------
    InputError: the table cannot be read or lacks a job type, or an option is out of range.

    Examples
    --------
    ::

        trace = apportion.load("gavel-jobs:simulation_throughputs.json?jobs=100&seed=1&multi=yes")
    """
    jobs = options.integer("jobs", DEFAULT_JOBS)
    rate = options.number("rate")
    seed = options.integer("seed", 0, minimum=0) or 0
    multi, priorities, slos = (options.choice(key, ("yes", "no"), "no") == "yes" for key in SWITCHES)
    if jobs is None or not 1 <= jobs <= MOST_JOBS:
        raise InputError(f"gavel-jobs: found jobs={jobs}, expected 1 to {MOST_JOBS:,}")
    if rate is not None and not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"gavel-jobs: found rate={rate:g}, expected {RATES[0]:g} to {RATES[1]:g} jobs an hour")
    profiles = read_profiles(path)
    between_s = 3600.0 / rate if rate is not None else 0.0
    drawn = list(draw(jobs, between_s, seed, multi=multi, priorities=priorities, slos=slos))
    frame = _frame(drawn, profiles, path)
    report = QualityReport(jobs=frame.height, notes=[f"generated; run times hold on {REFERENCE} of {path.name}"])
    return Trace(Workload.of(with_deadline(frame, report), name=_name(rate, seed), profiles=profiles), report=report)


def draw(
    jobs: int, between_s: float, seed: int, *, multi: bool = False, priorities: bool = False, slos: bool = False
) -> Iterator[Drawn]:
    """Yield jobs in the order of arrival; `between_s` is the mean time between them, 0 = all come at once."""
    of_job, of_arrival, of_slo = Random(seed + 2), Random(seed + 3), Random(seed + 6)
    now = 0.0
    for _ in range(jobs):
        # a width is drawn even where all jobs have one GPU, so that both workloads have the same run times
        drawn_width = _width(of_job.random())
        longer = of_job.random() >= 0.8
        duration_s = 60 * (10 ** (of_job.uniform(3, 4) if longer else of_job.uniform(1.5, 3)))
        width = drawn_width if multi else 1
        job_type, several = of_job.choice(JOB_TYPES)
        while width > 1 and not several:
            job_type, several = of_job.choice(JOB_TYPES)
        weight = HIGH if priorities and of_job.random() <= 0.2 else 1.0
        yield Drawn(now, job_type, width, duration_s, weight, _slo(of_slo.random()) if slos else -1.0)
        if between_s:
            now += -math.log(1.0 - of_arrival.random()) / (1.0 / between_s)


def _width(u: float) -> int:
    return 1 if u < 0.7 else 2 if u < 0.8 else 4 if u < 0.95 else 8


def _slo(u: float) -> float:
    return 1.2 if u < 0.33 else 2.0 if u < 0.67 else 10.0


def _frame(drawn: list[Drawn], profiles: Profiles, path: Path) -> pl.DataFrame:
    table = of_gpu(profiles.alone, REFERENCE, path)
    speeds = {(kind, width): speed for kind, width, speed in table.iter_rows() if speed > 0}
    for job in drawn:
        if (job.job_type, job.gpus) not in speeds:
            raise InputError(
                f"found no throughput of {job.job_type!r} on {job.gpus} GPUs of {REFERENCE}, which is drawn", file=path
            )
    speed = [speeds[job.job_type, job.gpus] for job in drawn]
    return pl.DataFrame(
        {
            "job_id": [str(i) for i in range(len(drawn))],
            "submit_s": [job.submit_s for job in drawn],
            "duration_s": [job.duration_s for job in drawn],
            "gpus": [job.gpus for job in drawn],
            "total_steps": [job.duration_s * s for job, s in zip(drawn, speed, strict=True)],
            "steps_per_s": speed,
            "job_type": [job.job_type for job in drawn],
            "priority_weight": [job.weight for job in drawn],
            "slo": [job.slo for job in drawn],
        }
    ).with_columns(
        profile="job_type",
        priority=pl.col("priority_weight").round(),
        batch_size=pl.col("job_type").str.extract(r"\(batch size (\d+)\)$", 1).cast(pl.Int64),
        mode=pl.lit("static"),
    )


def _name(rate: float | None, seed: int) -> str:
    return f"gavel-jobs seed {seed}" + (f", {rate:g} an hour" if rate is not None else "")


FORMAT = Format(
    name="gavel-jobs",
    title="Gavel: the jobs its simulator generates, draw for draw",
    paper="Narayanan et al., Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning Workloads, OSDI'20",
    source="generated from simulation_throughputs.json of https://github.com/stanford-futuredata/gavel (scheduler)",
    licence="MIT",
    example="gavel-jobs:simulation_throughputs.json?jobs=5000&rate=4.8&multi=yes",
    read=read,
)
