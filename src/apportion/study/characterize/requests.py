"""What a task asks for beside its GPUs, whether nodes have it in that proportion, and what of it is used."""

from __future__ import annotations

from typing import Any

import polars as pl

from apportion.model import words
from apportion.model.cluster import UNLIMITED, Cluster
from apportion.study.characterize import figures
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import noun, on_gpus, says

ASKED = {
    "gpus": pl.col("gpus") * pl.col("gpu_milli") / 1000,
    "cores": pl.col("cpu_milli") / 1000,
    "memory_gib": pl.col("memory_mib") / 1024,
}
USED = {
    "gpus": ("used_gpu_milli", pl.col("used_gpu_milli") / 1000),
    "cores": ("used_cpu_milli", pl.col("used_cpu_milli") / 1000),
    "memory_gib": ("used_memory_mib", pl.col("used_memory_mib") / 1024),
}
"""Columns with the mean use of a task over its life, in the units of the requests."""

NAMES = {"gpus": "GPUs", "cores": "cores", "memory_gib": "GiB of memory"}
PAIRS = {"cores": "cpu_milli", "memory_gib": "memory_mib"}


def look(subject: Subject) -> Section:
    """Tabulate requests of a task of GPU jobs, a job once; per GPU against the nodes; and use where it was measured."""
    kept = [name for name, _ in USED.values() if name in subject.jobs.columns]
    jobs = on_gpus(subject.jobs, "tasks", "gpus", "gpu_milli", "cpu_milli", "memory_mib", "gpu_demand", *kept)
    asked = [name for name in ASKED if name == "gpus" or says(jobs, PAIRS[name])]
    used = [name for name in asked if says(jobs, USED[name][0])]
    if asked == ["gpus"] and not used:
        return Section(
            "requests", "Requests and use", skipped="no column cpu_milli, memory_mib or used_...: only GPUs are known"
        )
    rows: list[dict[str, Any]] = []
    numbers: dict[str, float] = {}
    for name in asked:
        found = figures.quantiles(jobs.select(ASKED[name].cast(pl.Float64)).to_series())
        rows.append({"resource": name, "what": "asked", **found})
        numbers |= {f"{name}_p50": found["p50"], f"{name}_p95": found["p95"]}
    for name in used:
        found = figures.quantiles(jobs.select(USED[name][1].cast(pl.Float64)).to_series())
        rows.append({"resource": name, "what": "used", **found})
        numbers |= {f"used_{name}_p50": found["p50"]} | _over(jobs, name)
    per_gpu = _per_gpu(jobs, subject.cluster, [name for name in asked if name != "gpus"])
    for row in per_gpu.iter_rows(named=True):
        numbers[f"{row['resource']}_per_gpu_asked"] = row["asked"]
        if row["offered"] is not None:
            numbers[f"{row['resource']}_per_gpu_offered"] = row["offered"]
    numbers = figures.known(numbers)
    tables = {"requests": pl.DataFrame(rows), "per_gpu": per_gpu}
    said = tuple(_sentences(numbers, asked, used, noun(subject.jobs)))
    return Section("requests", "Requests and use", numbers, tables, said)


def _over(jobs: pl.DataFrame, name: str) -> dict[str, float]:
    """Return the share of tasks that use more than they asked for, and the part of all requests that is used."""
    both = jobs.select(asked=ASKED[name].cast(pl.Float64), used=USED[name][1].cast(pl.Float64)).drop_nulls()
    total = float(both["asked"].sum())
    return {
        f"{name}_over_request_share": float((both["used"] > both["asked"]).mean()),  # type: ignore[arg-type]
        f"{name}_used_part": float(both["used"].sum()) / total if total else float("nan"),
    }


def _per_gpu(jobs: pl.DataFrame, cluster: Cluster | None, names: list[str]) -> pl.DataFrame:
    """Return what tasks with GPUs ask for beside each GPU, all in all, and what nodes with GPUs have."""
    gpu = jobs.filter(pl.col("gpu_demand") > 0)
    devices = float(gpu["gpu_demand"].sum())
    nodes = cluster.table.filter(pl.col("gpus") > 0) if cluster is not None else None
    rows = []
    for name in names:
        if not devices:
            continue
        column = PAIRS[name]
        asked = float(gpu.select((ASKED[name] * pl.col("tasks")).sum()).item()) / devices
        offered = None
        if nodes is not None and nodes.height and not (nodes[column] >= UNLIMITED).any():
            unit = 1000 if column == "cpu_milli" else 1024
            offered = float(nodes[column].sum()) / unit / float(nodes["gpus"].sum())
        rows.append({"resource": name, "asked": asked, "offered": offered})
    return pl.DataFrame(rows, schema={"resource": pl.String, "asked": pl.Float64, "offered": pl.Float64})


def _sentences(n: dict[str, float], asked: list[str], used: list[str], what: str) -> list[str]:
    parts = [f"{words.amount(n[f'{name}_p50'])} {NAMES[name]}" for name in asked if name != "gpus"]
    out = [f"A task of half of the {what}s asks for at most {' and for at most '.join(parts)}."] if parts else []
    for name in asked:
        want, have = n.get(f"{name}_per_gpu_asked"), n.get(f"{name}_per_gpu_offered")
        if want is None or have is None:
            continue
        means = (
            f"{NAMES[name]} run out first, and GPUs stay free for want of them" if want > have else "GPUs run out first"
        )
        out.append(
            f"For each GPU jobs ask for {words.amount(want)} {NAMES[name]}, nodes have {words.amount(have)}: {means}."
        )
    return out + [
        f"Of the {NAMES[name]} asked for {words.percent(n[f'{name}_used_part'])} are used; "
        f"{words.percent(n[f'{name}_over_request_share'])} of the tasks use more than they asked for."
        for name in used
        if f"{name}_used_part" in n
    ]


ANALYSES = (Analysis("requests", "Requests and use", ("gpus",), look, "Weng NSDI'22"),)
