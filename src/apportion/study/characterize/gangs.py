"""How many tasks start together: a gang waits until all of its tasks have a place."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model import words
from apportion.study.characterize import figures
from apportion.study.characterize.section import Analysis, Section, Subject

AT = (1, 2, 4, 8, 10, 16, 32, 50, 64, 100, 128, 200, 256, 400, 512, 600, 1024)


def look(subject: Subject) -> Section:
    """Tabulate the share of jobs and of tasks in gangs of at least so many tasks."""
    tasks = subject.jobs["tasks"].to_numpy().astype(np.float64)
    largest = float(tasks.max())
    if largest <= 1:
        return Section("gangs", "Gangs", skipped="no column tasks: every job is one task")
    at = [n for n in AT if n <= largest]
    least = [tasks >= n for n in at]
    ccdf = pl.DataFrame(
        {
            "tasks": at,
            "jobs": [float(which.mean()) for which in least],
            "task_share": [float(tasks[which].sum() / tasks.sum()) for which in least],
        }
    )
    several = tasks > 1
    work = subject.jobs["gpu_s"].to_numpy()
    numbers = figures.known(
        {
            "gang_share": float(several.mean()),
            "gang_task_share": float(tasks[several].sum() / tasks.sum()),
            "gang_gpu_time_share": float(work[several].sum() / work.sum()) if work.sum() > 0 else float("nan"),
            "tasks_mean": float(tasks.mean()),
            "tasks_max": largest,
        }
    )
    held = (
        f" and {words.percent(numbers['gang_gpu_time_share'])} of GPU time" if "gang_gpu_time_share" in numbers else ""
    )
    said = (
        f"{words.percent(numbers['gang_share'])} of the jobs are gangs of several tasks, with "
        f"{words.percent(numbers['gang_task_share'])} of all tasks{held}; the largest needs {words.count(largest)} "
        "places at the same moment.",
    )
    return Section("gangs", "Gangs", numbers, {"ccdf": ccdf}, said)


ANALYSES = (Analysis("gangs", "Gangs", ("tasks",), look, "Weng NSDI'22"),)
