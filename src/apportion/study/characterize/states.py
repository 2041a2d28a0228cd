"""How jobs end: by number, by GPU time, by size and by length."""

from __future__ import annotations

import polars as pl

from apportion.model import words
from apportion.study.characterize import figures
from apportion.study.characterize.durations import FEW
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.sizes import gpus
from apportion.study.characterize.subject import noun, on_gpus, span_s

STATES = ("completed", "cancelled", "failed", "censored")
"""In the order of the tables; censored: the end was not observed."""


def look(subject: Subject) -> Section:
    """Tabulate the final states of GPU jobs (of all jobs in a trace without GPUs)."""
    jobs = on_gpus(subject.jobs, "status", "size", "gpu_s", "duration_s").filter(pl.col("status").is_in(STATES))
    if jobs.is_empty():
        return Section("states", "How jobs end", skipped="no column status: no GPU job says how it ended")
    ends = pl.Enum(STATES)
    jobs = jobs.with_columns(pl.col("status").cast(ends))
    total = float(jobs["gpu_s"].sum())
    by_state = (
        pl.DataFrame({"status": pl.Series(STATES, dtype=ends)})
        .join(
            jobs.group_by("status").agg(
                pl.len().alias("jobs"),
                (pl.col("gpu_s").sum() / 3600).alias("gpu_h"),
                pl.col("duration_s").median().alias("duration_p50_s"),
            ),
            on="status",
            how="left",
            maintain_order="left",
        )
        .with_columns(pl.col("jobs", "gpu_h").fill_null(0))
        .with_columns(share=pl.col("jobs") / jobs.height, gpu_time_share=pl.col("gpu_h") * 3600 / (total or 1.0))
        .with_columns(pl.col("status").cast(pl.String))
    )
    numbers: dict[str, float] = {}
    for row in by_state.iter_rows(named=True):
        if row["status"] == "censored" and not row["jobs"]:
            continue
        numbers[f"{row['status']}_share"] = row["share"]
        if total:
            numbers[f"{row['status']}_gpu_time_share"] = row["gpu_time_share"]
        if row["jobs"]:
            numbers[f"{row['status']}_duration_p50_s"] = row["duration_p50_s"]
    days = span_s(subject.jobs) / 86_400
    if total and days > 0:
        numbers["failed_gpu_h_per_day"] = float(by_state.filter(status="failed")["gpu_h"].item()) / days
    ends_by_size = jobs.group_by("size").agg(
        pl.len().alias("jobs"), *((pl.col("status") == state).mean().alias(state) for state in STATES)
    )
    tables = {"by_state": by_state, "by_size": figures.ordered(ends_by_size, "size", "jobs")}
    by_size = _of_sizes(tables["by_size"])
    said = (*_sentences(numbers, noun(subject.jobs)), *by_size)
    beside = {"by_size": by_size} if by_size else {}
    return Section("states", "How jobs end", figures.known(numbers), tables, said, beside=beside)


def _sentences(n: dict[str, float], what: str) -> list[str]:
    out = []
    failed, cancelled = n["failed_share"], n["cancelled_share"]
    first = (
        f"{words.percent(n['completed_share'])} of the {what}s complete, {words.percent(cancelled)} are cancelled and "
        f"{words.percent(failed)} fail"
    )
    if "failed_gpu_time_share" in n:
        lost = n["failed_gpu_time_share"] + n["cancelled_gpu_time_share"]
        first += f"; {words.percent(lost)} of GPU time goes into jobs that are cancelled or fail"
    out.append(f"{first}.")
    if failed > 0 and "failed_duration_p50_s" in n and "completed_duration_p50_s" in n:
        bad, good = n["failed_duration_p50_s"], n["completed_duration_p50_s"]
        means = "early, so most failures cost little" if bad < good else "no earlier than others end"
        daily = (
            f"; {words.amount(n['failed_gpu_h_per_day'])} GPU-hours a day end that way"
            if "failed_gpu_h_per_day" in n
            else ""
        )
        out.append(
            f"Half of the failures come within {words.duration(bad)}, {means} (completed jobs: {words.duration(good)})"
            f"{daily}."
        )
    if n.get("censored_share", 0) > 0:
        out.append(
            f"The end of {words.percent(n['censored_share'])} was not observed: their run times are at least what is "
            "given."
        )
    return out


def _of_sizes(by_size: pl.DataFrame) -> tuple[str, ...]:
    """Say where most and where fewest jobs complete, where the two are a tenth apart."""
    sizes = by_size.filter((pl.col("jobs") >= FEW) & (pl.col("size") != "0")).sort("completed")
    if sizes.height < 2:
        return ()
    worst, best = sizes.row(0, named=True), sizes.row(-1, named=True)
    if best["completed"] - worst["completed"] < 0.1:
        return ()
    return (
        f"Of jobs of {gpus(worst['size'])} {words.percent(worst['completed'])} complete, of those of "
        f"{gpus(best['size'])} {words.percent(best['completed'])}.",
    )


ANALYSES = (Analysis("states", "How jobs end", ("status",), look, "Jeon ATC'19, Hu SC'21, Hu NSDI'24"),)
