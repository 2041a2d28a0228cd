"""How many GPUs jobs ask for, and which sizes hold the GPU time."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model import words
from apportion.study.characterize import figures
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import noun, take

AT = (0.25, 0.5, *(2.0**k for k in range(12)))
"""GPUs at which the distribution function is tabulated."""

NODE_GPUS = 8
"""What a node holds where no cluster says otherwise."""


def look(subject: Subject) -> Section:
    """Tabulate GPUs of the whole gang: by bucket and by exact demand of all jobs, cumulated over the GPU jobs."""
    jobs, total = subject.jobs, float(subject.jobs["gpu_s"].sum())
    gpu = take(jobs, "gpu_demand", "gpu_s").filter(jobs["gpu_demand"] > 0)
    if gpu.is_empty():
        return Section("sizes", "Sizes", skipped="no job asks for GPUs")
    tables = {
        "cdf": pl.DataFrame(
            {
                "gpus": np.array(AT),
                "jobs": figures.cdf(gpu["gpu_demand"], AT),
                "gpu_time": figures.cdf(gpu["gpu_demand"], AT, gpu["gpu_s"]),
            }
        ),
        "by_size": figures.ordered(_shares(jobs, "size", total), "size", "jobs"),
        "exact": _shares(jobs, "gpu_demand", total).sort("jobs", "gpu_demand", descending=[True, False]).head(20),
    }
    node = _largest_node(subject)
    wide = gpu.filter(pl.col("gpu_demand") > node)
    numbers = figures.known(
        {
            "no_gpu_share": 1 - gpu.height / jobs.height,
            "below_one_gpu_share": _share(gpu, pl.col("gpu_demand") < 1),
            "one_gpu_share": _share(gpu, pl.col("gpu_demand") == 1),
            "one_gpu_gpu_time_share": _time_share(gpu, pl.col("gpu_demand") == 1),
            "up_to_8_gpus_share": _share(gpu, pl.col("gpu_demand") <= 8),
            "up_to_8_gpus_gpu_time_share": _time_share(gpu, pl.col("gpu_demand") <= 8),
            "node_gpus": node,
            "wider_than_node_share": wide.height / gpu.height,
            "wider_than_node_gpu_time_share": float(wide["gpu_s"].sum()) / total if total else float("nan"),
        }
    )
    said = tuple(_sentences(numbers, tables["by_size"], noun(jobs), subject.cluster is not None))
    return Section("sizes", "Sizes", numbers, tables, said)


def _shares(jobs: pl.DataFrame, key: str, total: float) -> pl.DataFrame:
    return (
        take(jobs, key, "gpu_s")
        .lazy()
        .group_by(key)
        .agg(pl.len().alias("jobs"), (pl.col("gpu_s").sum() / 3600).alias("gpu_h"))
        .with_columns(
            share=pl.col("jobs") / jobs.height,
            gpu_time_share=pl.col("gpu_h") * 3600 / total if total else pl.lit(0.0),
        )
        .collect()
    )


def _share(jobs: pl.DataFrame, which: pl.Expr) -> float:
    return float(jobs.select(which.mean()).item())


def _time_share(jobs: pl.DataFrame, which: pl.Expr) -> float:
    total = float(jobs["gpu_s"].sum())
    return float(jobs.select(pl.col("gpu_s").filter(which).sum()).item()) / total if total else float("nan")


def _largest_node(subject: Subject) -> int:
    if subject.cluster is None:
        return NODE_GPUS
    nodes = subject.cluster.table.filter(~pl.col("pooled"))
    most = nodes["gpus"].max()
    return most if isinstance(most, int) and most > 0 else NODE_GPUS


def _sentences(n: dict[str, float], by_size: pl.DataFrame, what: str, known_nodes: bool) -> list[str]:
    asking = by_size.filter(pl.col("size") != "0")
    most, heaviest = asking.sort("jobs").row(-1, named=True), asking.sort("gpu_h").row(-1, named=True)
    share = most["jobs"] / int(asking["jobs"].sum())
    first = f"{words.percent(share)} of the {what}s ask for {gpus(most['size'])}"
    if most["size"] == heaviest["size"]:
        out = [f"{first}, and they hold {words.percent(most['gpu_time_share'])} of GPU time, more than any other size."]
    else:
        out = [
            f"{first} but hold only {words.percent(most['gpu_time_share'])} of GPU time; jobs of "
            f"{gpus(heaviest['size'])} hold most, {words.percent(heaviest['gpu_time_share'])}: they decide how busy "
            "the cluster is, the small ones how long the queue looks."
        ]
    node = f"{n['node_gpus']:g} GPUs, " + ("the largest node" if known_nodes else "a usual node")
    if n["wider_than_node_share"] > 0:
        out.append(
            f"{words.percent(n['wider_than_node_share'])} need more than {node}, and hold "
            f"{words.percent(n.get('wider_than_node_gpu_time_share', 0.0))} of GPU time: for them several nodes must "
            "be free together."
        )
    else:
        out.append(f"No job needs more than {node}: none has to span nodes.")
    if n["below_one_gpu_share"] > 0:
        out.append(
            f"{words.percent(n['below_one_gpu_share'])} ask for less than one GPU: they can share devices, and strand "
            "what is left on them."
        )
    return out


def gpus(size: str) -> str:
    """Return a label of sizes as people say it: `1 GPU`, `5-8 GPUs`, `less than 1 GPU`."""
    if size.startswith("<"):
        return f"less than {size[1:]} GPU"
    return f"{size.replace('>', 'more than ')} GPU{'' if size == '1' else 's'}"


ANALYSES = (Analysis("sizes", "Sizes", ("gpus",), look, "Jeon ATC'19, Hu SC'21, Weng ATC'23, Hu NSDI'24"),)
