"""The target workload: the typical tasks that fragmentation is measured against (Weng et al., ATC 2023, section 4)."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.engine.encode import Encoded, group_of, model_bits
from apportion.engine.layout import LEVEL, TARGET, Records

POPULARITY = 0.95
"""Share of all tasks that the typical ones make up, as published."""


def typical_tasks(encoded: Encoded, popularity: float = POPULARITY) -> Records:
    """Return the most frequent classes of tasks as `TARGET` records, most frequent first.

    A class is (CPU, milli-GPU, GPUs, allowed models as written), without memory; where nodes belong to groups, also
    whose nodes it may use. Classes are taken until they make up `popularity` of all tasks; their shares then add up to
    1. Of equally frequent classes the larger demand comes first. A task larger than any node counts as one that fills a
    node.
    """
    table = encoded.workload.table
    names = {"cpu": "cpu_milli", "milli": "gpu_milli", "gpus": "gpus"}
    classes = table.select(
        "tasks",
        **{new: pl.col(old).cast(pl.Int64) for new, old in names.items()},
        models=pl.col("gpu_models").list.join("|"),
        part=pl.Series(encoded.part),
    ).with_columns(pl.when(pl.col("gpus") > 0).then("milli").otherwise(0).alias("milli"))
    classes = classes.with_columns(pl.when(pl.col("milli") > 0).then("gpus").otherwise(0).alias("gpus"))
    keys = ["cpu", "milli", "gpus", "models", "part"]
    counted = classes.group_by(keys).agg(pl.col("tasks").cast(pl.Int64).sum().alias("count"))
    counted = counted.sort("count", *keys, descending=True)
    total = int(counted["count"].sum())
    if total == 0:
        return np.zeros(0, TARGET)
    covered = counted["count"].cum_sum()
    kept = counted.head(int((covered < popularity * total).sum()) + 1)
    share = kept["count"].to_numpy() / total
    if kept.height < counted.height:
        share = share / (int(kept["count"].sum()) / total)
    out = np.zeros(kept.height, TARGET)
    largest = max(int(encoded.nodes["gpus"].max(initial=0)), 1)
    gpus = kept["gpus"].to_numpy()
    size = np.minimum(gpus, largest)
    cpu = kept["cpu"].to_numpy()
    out["cpu"] = np.where(gpus > largest, -(-cpu * size // np.maximum(gpus, 1)), cpu)
    out["milli"], out["gpus"], out["share"] = kept["milli"].to_numpy(), size, share
    out["models"] = [model_bits(text, encoded.models) for text in kept["models"]]
    out["group"] = [group_of(part, encoded.owners) for part in kept["part"]]
    out["level"] = np.unique(out["milli"], return_inverse=True)[1]
    return out


def levels(targets: Records) -> Records:
    """Return the scratch records of `fragment`, one for each distinct milli-GPU."""
    out = np.zeros(max(1, int(targets["level"].max(initial=-1)) + 1), LEVEL)
    out["milli"][targets["level"]] = targets["milli"]
    return out
