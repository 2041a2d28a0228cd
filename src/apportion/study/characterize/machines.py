"""What the cluster is made of."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model import words
from apportion.model.cluster import UNLIMITED
from apportion.study.characterize import figures
from apportion.study.characterize.section import Analysis, Section, Subject


def look(subject: Subject) -> Section:
    """Tabulate the nodes by GPU model, GPUs, cores and memory."""
    assert subject.cluster is not None
    nodes = subject.cluster.table
    cores = pl.when(pl.col("cpu_milli") < UNLIMITED).then(pl.col("cpu_milli") / 1000)
    memory = pl.when(pl.col("memory_mib") < UNLIMITED).then(pl.col("memory_mib") / 1024)
    kinds = (
        nodes.group_by(
            "gpu_model", pl.col("gpus").alias("gpus_per_node"), cores.alias("cores"), memory.alias("memory_gib")
        )
        .agg(pl.len().alias("nodes"), pl.col("gpus").cast(pl.Int64).sum())
        .sort("gpus", "nodes", "gpu_model", descending=[True, True, False], nulls_last=True)
    )
    models = (
        nodes.filter(pl.col("gpus") > 0)
        .group_by(pl.col("gpu_model").fill_null("unnamed"))
        .agg(pl.len().alias("nodes"), pl.col("gpus").cast(pl.Int64).sum())
        .sort("gpus", "gpu_model", descending=[True, False])
        .with_columns(share=pl.col("gpus") / max(subject.cluster.gpus, 1))
    )
    numbers = {
        "nodes": float(nodes.height),
        "gpu_nodes": float((nodes["gpus"] > 0).sum()),
        "gpus": float(subject.cluster.gpus),
        "models": float(models.height),
    }
    tables = {"kinds": kinds.head(50), "models": models}
    said = [f"{words.plural(nodes.height, 'node')} hold {words.plural(subject.cluster.gpus, 'GPU')}"]
    if models.height > 1:
        top = models.row(0, named=True)
        said[0] += f" of {models.height} models, {words.percent(top['share'])} of them {top['gpu_model']}"
    if kinds["gpus_per_node"].n_unique() > 1 and models.height:
        least, most = (int(n) for n in np.unique(nodes["gpus"].to_numpy()[nodes["gpus"].to_numpy() > 0])[[0, -1]])
        if least != most:
            said[0] += f"; a node holds {least} to {most}, so large jobs fit only on some"
    said[0] += "."
    return Section("machines", "The cluster", figures.known(numbers), tables, tuple(said))


ANALYSES = (Analysis("machines", "The cluster", ("cluster",), look, "Weng NSDI'22, Weng ATC'23"),)
