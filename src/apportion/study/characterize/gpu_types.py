"""Which GPU models jobs run on or insist on, and whether the cluster has them in that proportion."""

from __future__ import annotations

import polars as pl

from apportion.model import words
from apportion.study.characterize import figures
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import says, span_s, take

ANY = "any"


def look(subject: Subject) -> Section:
    """Tabulate GPU jobs by the model they are bound to (`A|B`: one of them), or else by the one they ran on."""
    columns = ("gpu_models", "model", "gpu_s", "duration_s", "gpu_demand")
    jobs = take(subject.jobs, *columns).filter(subject.jobs["gpu_demand"] > 0)
    total = float(jobs["gpu_s"].sum())
    if jobs.is_empty():
        return Section("gpu_types", "GPU models", skipped="no job asks for GPUs")
    bound = says(jobs, "gpu_models")
    label = pl.col("gpu_models").list.sort().list.join("|") if bound else pl.col("model")
    kinds = jobs.lazy().select(label.fill_null("").alias("model"), "gpu_s", "duration_s")
    table = (
        kinds.group_by("model")
        .agg(
            pl.len().alias("jobs"),
            (pl.col("gpu_s").sum() / 3600).alias("gpu_h"),
            pl.col("duration_s").median().alias("duration_p50_s"),
        )
        .with_columns(
            pl.col("model").replace("", ANY if bound else "unknown"),
            share=pl.col("jobs") / jobs.height,
            gpu_time_share=pl.col("gpu_h") * 3600 / (total or 1.0),
        )
        .sort(["jobs", "model"], descending=[True, False])
        .collect()
    )
    table = _with_capacity(table, subject)
    numbers: dict[str, float] = {"models": float(table.height)}
    if bound:
        tied = table.filter(pl.col("model") != ANY)
        numbers["constrained_jobs"] = float(tied["jobs"].sum())
        numbers["constrained_share"] = float(tied["share"].sum())
        numbers["constrained_gpu_time_share"] = float(tied["gpu_time_share"].sum())
    said = tuple(_sentences(numbers, table, bound))
    return Section("gpu_types", "GPU models", figures.known(numbers), {"by_model": table.head(50)}, said)


def _with_capacity(table: pl.DataFrame, subject: Subject) -> pl.DataFrame:
    """Add the GPUs of the models that a row allows, and the load that its jobs alone would put on them."""
    if subject.cluster is None or not says(subject.cluster.table, "gpu_model"):
        return table
    nodes = subject.cluster.table.group_by("gpu_model").agg(pl.col("gpus").sum()).drop_nulls()
    have = dict(nodes.iter_rows())
    capacity = [
        subject.cluster.gpus if name == ANY else sum(have.get(part, 0) for part in name.split("|"))
        for name in table["model"]
    ]
    span = span_s(subject.jobs)
    with_gpus = table.with_columns(capacity_gpus=pl.Series(capacity, dtype=pl.Int64))
    if span <= 0:
        return with_gpus
    load = pl.col("gpu_h") * 3600 / span / pl.col("capacity_gpus")
    return with_gpus.with_columns(load=pl.when(pl.col("capacity_gpus") > 0).then(load))


def _sentences(n: dict[str, float], table: pl.DataFrame, bound: bool) -> list[str]:
    if not bound:
        top = table.row(0, named=True)
        return [
            f"Jobs ran on {words.plural(table.height, 'GPU model')}; most, {words.percent(top['share'])}, on "
            f"{top['model']}, where they hold {words.percent(top['gpu_time_share'])} of GPU time."
        ]
    tied = table.filter(pl.col("model") != ANY)
    top = tied.row(0, named=True)
    out = [
        f"{words.percent(n['constrained_share'])} of the GPU jobs insist on a GPU model, most of them on "
        f"{top['model'].replace('|', ' or ')} ({words.percent(top['jobs'] / int(tied['jobs'].sum()))}): free GPUs of "
        "other models are no use to them."
    ]
    if "load" in tied.columns:
        hot = tied.filter(pl.col("load").is_not_null()).sort("load")
        if hot.height:
            row = hot.row(-1, named=True)
            out.append(
                f"Those that insist on {row['model'].replace('|', ' or ')} alone ask for {words.percent(row['load'])} "
                f"of the {words.count(row['capacity_gpus'])} there are."
            )
        missing = tied.filter(pl.col("capacity_gpus") == 0)
        if missing.height:
            out.append(
                f"{words.plural(int(missing['jobs'].sum()), 'job')} insist on models that the cluster does not have: "
                "they can never start."
            )
    return out


ANALYSES = (Analysis("gpu_types", "GPU models", ("model",), look, "Weng NSDI'22, Weng ATC'23"),)
