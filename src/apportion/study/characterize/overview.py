"""What there is: jobs, users, GPUs, run times, waits, ends; as one row that can be laid beside other clusters'."""

from __future__ import annotations

import polars as pl

from apportion.model import words
from apportion.study.characterize.figures import known
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import groups_for_users, on_gpus, says, span_s, take

ENDS = ("completed", "cancelled", "failed")


USED = ("gpu_demand", "duration_s", "wait_s", "gpu_s", "status")

MOST = 0.95
"""Part of the jobs whose shortest span is said."""


def look(subject: Subject) -> Section:
    """Count and average; the table `summary` has the columns of the cluster summary that Acme released."""
    jobs = subject.jobs
    gpu = on_gpus(jobs, *USED)
    with_gpus = bool((jobs["gpu_demand"] > 0).any())
    cpu = take(jobs, *USED).filter(jobs["gpu_demand"] == 0)
    span, gpu_s = span_s(jobs), float(jobs["gpu_s"].sum())
    numbers: dict[str, float] = {
        "jobs": jobs.height,
        "gpu_jobs": gpu.height if with_gpus else 0,
        "span_s": span,
        "gpu_h": gpu_s / 3600,
        "gpus_mean": _number(gpu["gpu_demand"].mean()),
        "gpus_p50": _number(gpu["gpu_demand"].median()),
        "gpus_max": _number(gpu["gpu_demand"].max()),
        "duration_mean_s": _number(gpu["duration_s"].mean()),
        "duration_p50_s": _number(gpu["duration_s"].median()),
        "duration_max_s": _number(gpu["duration_s"].max()),
        "wait_mean_s": _number(gpu["wait_s"].mean()),
        "wait_p50_s": _number(gpu["wait_s"].median()),
        "asked_gpus": gpu_s / span if span > 0 else float("nan"),
    }
    if says(jobs, "group"):
        numbers["groups"] = _different(jobs, "group")
    if says(jobs, "user") and not groups_for_users(jobs):
        numbers["users"] = _different(jobs, "user")
    if subject.cluster is not None:
        numbers["capacity_gpus"] = subject.cluster.gpus
        if subject.cluster.gpus > 0:
            numbers["offered_load"] = numbers["asked_gpus"] / subject.cluster.gpus
    # most of a snapshot is of its last days: averages over the whole span then mislead
    submit = jobs["submit_s"].to_numpy()
    several = round(MOST * (len(submit) - 1))
    numbers["span_of_95pct_s"] = float((submit[several:] - submit[: len(submit) - several]).min())
    numbers = known(numbers)
    summary = pl.DataFrame([_summary(subject, gpu if with_gpus else gpu.clear(), cpu)])
    return Section("overview", "Overview", numbers, {"summary": summary}, tuple(_sentences(numbers)))


def _sentences(n: dict[str, float]) -> list[str]:
    whose = next((f" of {words.plural(n[k], k[:-1])}" for k in ("users", "groups") if n.get(k, 0) > 1), "")
    what = f"{words.plural(n['jobs'], 'job')}{whose} in {words.duration(n['span_s'])}"
    if "asked_gpus" not in n or not n["gpu_jobs"]:
        out = [f"{what}."]
    elif "offered_load" in n:
        load = n["offered_load"]
        means = (
            "more than there is, so the queue can only grow" if load > 1 else "there is room, if it is shared out well"
        )
        out = [
            f"{what} ask for {words.amount(n['asked_gpus'])} GPUs on average, {words.percent(load)} of the "
            f"{words.count(n['capacity_gpus'])} of the cluster: {means}."
        ]
    else:
        out = [
            f"{what} ask for {words.amount(n['gpu_h'])} GPU-hours: a cluster of fewer than "
            f"{words.amount(n['asked_gpus'])} GPUs cannot keep up with them."
        ]
    if n["span_of_95pct_s"] < 0.5 * n["span_s"]:
        out.append(
            f"{words.percent(MOST)} of the jobs come within {words.duration(n['span_of_95pct_s'])}: averages over the "
            "whole span say little, look at that part alone (from=, to=)."
        )
    mean, median = n["duration_mean_s"], n["duration_p50_s"]
    ratio = mean / median if median > 0 else 1.0
    if ratio >= 2:
        out.append(
            f"A job runs {words.duration(mean)} on average, but half of them end within {words.duration(median)}: a "
            "few long jobs make up the mean, so look at quantiles, not at means."
        )
    else:
        out.append(f"A job runs {words.duration(mean)} on average and {words.duration(median)} in the middle.")
    return out


def _summary(subject: Subject, gpu: pl.DataFrame, cpu: pl.DataFrame) -> dict[str, object]:
    """Return one row of Acme's `cluster_summary.csv`: seconds, GPUs and GPU-seconds; null where nothing is known."""
    row: dict[str, object] = {
        "id": subject.trace.workload.name,
        "job_num": subject.jobs.height,
        "cpu_job_num": cpu.height,
        "gpu_job_num": gpu.height,
    }
    for short, column in (("run_time", "duration_s"), ("que_time", "wait_s")):
        row[f"avg_{short}_gpu"], row[f"med_{short}_gpu"] = gpu[column].mean(), gpu[column].median()
        row[f"avg_{short}_cpu"], row[f"med_{short}_cpu"] = cpu[column].mean(), cpu[column].median()
    row["avg_gpu_num"], row["med_gpu_num"] = gpu["gpu_demand"].mean(), gpu["gpu_demand"].median()
    row["max_run_time_gpu"], row["max_gpu"] = gpu["duration_s"].max(), gpu["gpu_demand"].max()
    for frame, kind in ((gpu, "gpu"), (cpu, "cpu")):
        by_end = frame.lazy().group_by("status").agg(pl.len().alias("jobs"), pl.col("gpu_s").sum())
        stated = by_end.collect(engine="streaming").drop_nulls("status")
        known_jobs, known_s = float(stated["jobs"].sum()), float(stated["gpu_s"].sum())
        for end, short in zip(ENDS, ("complete", "cancel", "fail")):
            ended = stated.filter(pl.col("status") == end)
            time = float(ended["gpu_s"].sum())
            row[f"{short}_rate_{kind}"] = float(ended["jobs"].sum()) / known_jobs if known_jobs else None
            row[f"{short}_{kind}_time"] = time if known_jobs else None
            row[f"{short}_rate_{kind}_time"] = time / known_s if known_s else None
    return {name: row[name] for name in COLUMNS}


COLUMNS = (
    "id", "job_num", "cpu_job_num", "gpu_job_num", "avg_run_time_gpu", "avg_que_time_gpu", "avg_gpu_num",
    "med_run_time_gpu", "med_que_time_gpu", "med_gpu_num", "max_run_time_gpu", "max_gpu", "complete_rate_gpu",
    "cancel_rate_gpu", "fail_rate_gpu", "complete_gpu_time", "cancel_gpu_time", "fail_gpu_time",
    "complete_rate_gpu_time", "cancel_rate_gpu_time", "fail_rate_gpu_time", "avg_run_time_cpu", "avg_que_time_cpu",
    "med_run_time_cpu", "med_que_time_cpu", "complete_rate_cpu", "cancel_rate_cpu", "fail_rate_cpu",
)  # fmt: skip
"""Columns of the summary, in the order of the released file."""


def _different(jobs: pl.DataFrame, column: str) -> int:
    """Return the number of values, in little memory however many rows there are."""
    return take(jobs, column).lazy().group_by(column).agg().collect(engine="streaming").height


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


ANALYSES = (
    Analysis("overview", "Overview", ("submit_s", "duration_s"), look, "all; summary as in Hu et al., NSDI'24"),
)
