"""A workload as batch jobs of Slurm that sleep: a day of a trace in a minute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from apportion.model.workload import Workload


@dataclass(frozen=True)
class Script:
    """A batch job: the row of the workload it stands for, what `sbatch` is given, and when (seconds from the start)."""

    row: int
    submit_s: float
    options: tuple[str, ...]
    text: str


def scripts(workload: Workload, factor: float, least_s: float = 0.2, log: str = "/dev/null") -> Iterator[Script]:
    """Yield the jobs in the order of submission.

    Parameters
    ----------
    factor: every time of the trace is divided by it. least_s: the shortest run. log: file to which every run appends a
    line with the job's id and its devices.
    """
    for row, job in enumerate(workload.table.iter_rows(named=True)):
        model = f"{job['gpu_models'][0]}:" if job["gpu_models"] else ""
        options = [f"--job-name={job['job_id']}", f"-N{job['tasks']}"]
        if job["gpus"]:
            options.append(f"--gres=gpu:{model}{job['gpus']}")
        if job["cpu_milli"]:
            options.append(f"--mincpus={max(1, round(job['cpu_milli'] / 1000))}")
        seconds = max(job["duration_s"] / factor, least_s)
        text = f"#!/bin/sh\necho $SLURM_JOB_ID $SLURM_JOB_NAME $CUDA_VISIBLE_DEVICES >> {log}\nsleep {seconds:.2f}\n"
        yield Script(row, job["submit_s"] / factor, tuple(options), text)
