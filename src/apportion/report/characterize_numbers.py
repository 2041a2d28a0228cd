"""The numbers that open a report on a workload, in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from apportion.report import words
from apportion.study.characterize.report import Report

Write = Callable[[float], str]

ROWS: tuple[tuple[str, str, str, str, Write], ...] = (
    ("overview", "jobs", "Jobs", "jobs", words.count),
    ("overview", "gpu_jobs", "Jobs", "with GPUs", words.count),
    ("overview", "users", "Jobs", "users", words.count),
    ("overview", "groups", "Jobs", "groups", words.count),
    ("overview", "span_s", "Jobs", "submitted within", words.duration),
    ("overview", "gpu_h", "GPUs", "GPU-hours", words.amount),
    ("overview", "asked_gpus", "GPUs", "GPUs asked for, on average", words.amount),
    ("overview", "capacity_gpus", "GPUs", "GPUs of the cluster", words.count),
    ("overview", "offered_load", "GPUs", "load", words.percent),
    ("overview", "gpus_mean", "GPUs of a job", "GPUs of a job, mean", words.amount),
    ("overview", "gpus_p50", "GPUs of a job", "median", words.amount),
    ("overview", "gpus_max", "GPUs of a job", "most", words.amount),
    ("overview", "duration_mean_s", "Run time", "run time, mean", words.duration),
    ("overview", "duration_p50_s", "Run time", "median", words.duration),
    ("overview", "duration_max_s", "Run time", "longest", words.duration),
    ("overview", "wait_mean_s", "Wait", "wait, mean", words.duration),
    ("overview", "wait_p50_s", "Wait", "median", words.duration),
    ("arrivals_series", "jobs", "Arrivals", "jobs", words.count),
    ("arrivals_series", "gpus", "Arrivals", "GPUs they ask for", words.count),
    ("arrivals_series", "jobs_per_hour", "Arrivals", "jobs an hour", words.amount),
    ("arrivals_series", "max_count", "Arrivals", "most in one step", words.count),
    ("nodes_series", "mean_total_nodes", "Nodes", "nodes, on average", words.count),
    ("nodes_series", "mean_active_nodes", "Nodes", "nodes in use, on average", words.count),
    ("nodes_series", "max_active_nodes", "Nodes", "most", words.count),
    ("nodes_series", "in_use_share", "Nodes", "nodes in use", words.percent),
    ("power_off", "nodes_off_mean", "Nodes", "could be off, on average", words.count),
    ("gpus_series", "mean_total_gpus", "GPUs", "GPUs, on average", words.count),
    ("gpus_series", "mean_busy_gpus", "GPUs", "GPUs in use, on average", words.count),
    ("gpus_series", "max_busy_gpus", "GPUs", "most", words.count),
    ("gpus_series", "in_use_share", "GPUs", "GPUs in use", words.percent),
)
"""Section, its number, heading, what the number is called, how it is written."""


@dataclass(frozen=True)
class Row:
    """One number in words, and beside it those that are published of others (`-` where nothing is)."""

    key: str
    group: str
    name: str
    here: str
    others: tuple[str, ...]


def others(report: Report) -> list[str]:
    """Return the published clusters whose overview stands beside that of the trace."""
    published = report["overview"].tables.get("against")
    return [] if published is None else [name for name in published.columns if name not in ("number", "here")]


def rows(report: Report) -> list[Row]:
    """Return what is known, in the order of `ROWS`: of jobs, or of the series of a trace that has no jobs."""
    names = others(report)
    published = report["overview"].tables.get("against")
    given = {} if published is None else {row["number"]: row for row in published.iter_rows(named=True)}
    numbers = {section.key: section.numbers for section in report.sections}
    found = []
    for section, key, group, name, write in ROWS:
        value = numbers.get(section, {}).get(key)
        if value is not None:
            theirs = [given.get(key, {}).get(other) if section == "overview" else None for other in names]
            cells = tuple(write(float(v)) if v is not None else "-" for v in theirs)
            found.append(Row(key, group, name, write(value), cells))
    return found
