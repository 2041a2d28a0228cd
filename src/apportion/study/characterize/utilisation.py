"""How busy held GPUs (and the cores and memory beside them) were, where the trace says so."""

from __future__ import annotations

import polars as pl

from apportion.model.words import percent
from apportion.study.characterize.figures import by, cdf, in_order, known, quantiles
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import says, take

COLUMNS = {
    "gpu_util": "GPU",
    "gpu_memory_util": "GPU memory",
    "cpu_util": "CPU",
    "memory_util": "memory",
}
"""Columns, each in percent of what the job held, mean over its run -> what they are of."""
IDLE_PCT = 1.0
"""A device below this is idle."""
LOW_PCT = 50.0
AT = (0.0, 1.0, 2.0, 5.0, *(10.0 * k for k in range(1, 10)), 95.0, 99.0, 100.0)
PUBLISHED = {"Seren": 99, "Kalos": 98, "PAI": 3, "Philly": 48}
"""Median utilisation in percent of GPU-minutes (Hu et al., NSDI 2024, data of the figure of GPU utilisation)."""

KEY, TITLE = "utilisation", "How busy held GPUs were"


def look(subject: Subject) -> Section:
    """Return the distribution over jobs, weighted by GPU time too, by size and by how jobs ended.

    The columns are means over a job's run, in percent; so short idle phases of a busy job are not seen.
    """
    columns = [name for name in (*COLUMNS, "gpu_demand", "gpu_s", "size", "status") if name in subject.jobs.columns]
    jobs = take(subject.jobs, *columns).filter((pl.col("gpu_demand") > 0) & pl.col("gpu_util").is_not_null())
    if not jobs.height:
        return Section(KEY, TITLE, skipped="column gpu_util says nothing of jobs that held GPUs")
    util = jobs["gpu_util"].clip(0, 100)
    weight = jobs["gpu_s"]
    total = float(weight.sum()) or 1.0
    spread = quantiles(util)
    numbers = {f"gpu_util_{name}_pct": value for name, value in spread.items()} | {
        "jobs_share": jobs.height / max(subject.jobs.height, 1),
        "gpu_time_mean_util_pct": float((util * weight).sum()) / total,
        "idle_jobs_share": float((util < IDLE_PCT).mean() or 0.0),  # type: ignore[arg-type]
        "idle_gpu_time_share": float(weight.filter(util < IDLE_PCT).sum()) / total,
        "low_gpu_time_share": float(weight.filter(util < LOW_PCT).sum()) / total,
    }
    of_time = [float(weight.filter(util <= x).sum()) / total for x in AT]
    tables = {"cdf": pl.DataFrame({"gpu_util_pct": AT, "jobs_share": cdf(util, AT), "gpu_time_share": of_time})}
    keys = [key for key in ("size", "status") if says(jobs, key)]
    ascending = in_order(jobs, "gpu_util", keys)
    tables |= {f"by_{key}": by(ascending, key, "gpu_util") for key in keys}
    for column in COLUMNS:
        if column != "gpu_util" and says(jobs, column):
            numbers |= {f"{column}_{name}_pct": value for name, value in quantiles(jobs[column]).items()}
    found = known(numbers)
    by_end = _of_ends(found, tables)
    said = (*_sentences(found), *by_end)
    return Section(KEY, TITLE, found, tables, said, beside={"by_status": by_end} if by_end else {})


def _sentences(numbers: dict[str, float]) -> list[str]:
    idle, low = numbers["idle_gpu_time_share"], numbers["low_gpu_time_share"]
    nearest = min(PUBLISHED, key=lambda name: abs(PUBLISHED[name] - numbers["gpu_util_p50_pct"]))
    out = [
        f"Held GPUs were {numbers['gpu_time_mean_util_pct']:.0f} % busy on average over their time: {percent(idle)} of "
        f"it was held by jobs that did nothing with them, {percent(low)} by jobs that used less than half.",
        f"The median job keeps its GPUs {numbers['gpu_util_p50_pct']:.0f} % busy; of the published clusters {nearest} "
        f"is nearest (half of its GPU-minutes below {PUBLISHED[nearest]} %).",
    ]
    if low > 0.3:
        out.append("Smaller requests, or sharing GPUs between jobs, would do more here than new GPUs.")
    for column, what in COLUMNS.items():
        if f"{column}_mean_pct" in numbers and column != "gpu_util":
            out.append(f"Of the {what} jobs held, {numbers[f'{column}_mean_pct']:.0f} % was used on average.")
    return out


def _of_ends(numbers: dict[str, float], tables: dict[str, pl.DataFrame]) -> tuple[str, ...]:
    if "by_status" not in tables or tables["by_status"].height < 2:
        return ()
    worst = tables["by_status"].sort("mean").row(0, named=True)
    if worst["mean"] >= 0.8 * numbers["gpu_util_mean_pct"]:
        return ()
    return (f"Jobs that ended as {worst['status']} used their GPUs least, {worst['mean']:.0f} % on average.",)


ANALYSES = (
    Analysis(
        KEY,
        TITLE,
        ("gpu_util",),
        look,
        "Jeon et al., ATC'19; Weng et al., NSDI'22; Hu et al., NSDI'24; Samsi et al., HPEC'21",
    ),
)
