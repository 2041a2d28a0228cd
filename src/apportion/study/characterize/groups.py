"""How groups (virtual clusters, accounts) share jobs and GPU time, and how full their nodes would be."""

from __future__ import annotations

import polars as pl

from apportion.model import words
from apportion.study.characterize import figures
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import on_gpus, span_s


def look(subject: Subject) -> Section:
    """Tabulate each group's jobs, GPU time and load; the load over its own nodes where it has some, else over all."""
    jobs = on_gpus(subject.jobs, "group", "gpu_s", "gpu_demand", "duration_s", "wait_s")
    if (jobs["group"] == "").any():
        jobs = jobs.filter(pl.col("group") != "")
    total, span = float(jobs["gpu_s"].sum()), span_s(subject.jobs)
    table = (
        jobs.lazy()
        .with_columns(pl.col("group").cast(pl.Categorical))
        .group_by("group")
        .agg(
            pl.len().alias("jobs"),
            (pl.col("gpu_s").sum() / 3600).alias("gpu_h"),
            pl.col("gpu_demand").mean().alias("gpus_mean"),
            pl.col("duration_s").median().alias("duration_p50_s"),
            pl.col("wait_s").median().alias("wait_p50_s"),
        )
        .with_columns(
            pl.col("group").cast(pl.String),
            share=pl.col("jobs") / jobs.height,
            gpu_time_share=pl.col("gpu_h") * 3600 / (total or 1.0),
            asked_gpus=pl.col("gpu_h") * 3600 / (span or float("nan")),
        )
        .collect()
    )
    if table.height < 2:
        return Section("groups", "Groups", skipped="no column group: all jobs are of one group")
    table = _with_load(table, subject).sort(["gpu_h", "jobs", "group"], descending=[True, True, False])
    amounts, counts = table["gpu_h"].to_numpy(), table["jobs"].cast(pl.Float64).to_numpy()
    numbers = {
        "groups": float(table.height),
        "largest_share": float(table["share"].max()),  # type: ignore[arg-type]
        "largest_gpu_time_share": float(table["gpu_time_share"].max()),  # type: ignore[arg-type]
        "jobs_gini": figures.gini(counts),
        "gpu_time_gini": figures.gini(amounts),
    }
    own = table.filter(pl.col("capacity_gpus") > 0) if "capacity_gpus" in table.columns else table.clear()
    if own.height:
        numbers["highest_load"] = float(own["load"].max())  # type: ignore[arg-type]
        numbers["overloaded_groups"] = float((own["load"] > 1).sum())
        numbers["half_empty_groups"] = float((own["load"] < 0.5).sum())
    said = tuple(_sentences(table, own, total > 0))
    return Section("groups", "Groups", figures.known(numbers), {"by_group": table.head(100)}, said)


def _with_load(table: pl.DataFrame, subject: Subject) -> pl.DataFrame:
    """Add the GPUs of the nodes that are a group's own, and what it asks for over them."""
    if subject.cluster is None:
        return table
    own = (
        subject.cluster.table.filter(pl.col("group").is_not_null())
        .group_by("group")
        .agg(pl.col("gpus").sum().cast(pl.Int64).alias("capacity_gpus"))
    )
    if own.is_empty():
        return table.with_columns(part_of_cluster=pl.col("asked_gpus") / max(subject.cluster.gpus, 1))
    load = pl.when(pl.col("capacity_gpus") > 0).then(pl.col("asked_gpus") / pl.col("capacity_gpus"))
    return table.join(own, on="group", how="left").with_columns(load=load)


def _sentences(table: pl.DataFrame, own: pl.DataFrame, busy: bool) -> list[str]:
    many = table.sort(["jobs", "group"], descending=[True, False]).row(0, named=True)
    if not busy:
        return [f"{many['group']} submits most, {words.percent(many['share'])} of the jobs of {table.height} groups."]
    heavy = table.row(0, named=True)
    if many["group"] == heavy["group"]:
        out = [
            f"{heavy['group']} submits most, {words.percent(heavy['share'])} of the jobs, and holds most GPU time, "
            f"{words.percent(heavy['gpu_time_share'])}, of {table.height} groups."
        ]
    else:
        out = [
            f"Of {table.height} groups {many['group']} submits most jobs, {words.percent(many['share'])}, for "
            f"{words.percent(many['gpu_time_share'])} of GPU time; {heavy['group']} holds most GPU time, "
            f"{words.percent(heavy['gpu_time_share'])}, with {words.percent(heavy['share'])} of the jobs."
        ]
    if own.height:
        full, idle = own.filter(pl.col("load") > 1), own.filter(pl.col("load") < 0.5)
        if full.height and idle.height:
            out.append(
                f"{words.plural(full.height, 'group')} ask for more than their nodes hold while "
                f"{words.plural(idle.height, 'group')} use less than half of theirs: shared nodes would serve both."
            )
        else:
            top = own.sort("load").row(-1, named=True)
            out.append(f"The fullest, {top['group']}, asks for {words.percent(top['load'])} of its own nodes.")
    return out


ANALYSES = (Analysis("groups", "Groups", ("group",), look, "Jeon ATC'19, Hu SC'21"),)
