"""How long jobs run: distribution, and who runs long."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model import words
from apportion.study.characterize import figures
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.sizes import gpus
from apportion.study.characterize.subject import noun, on_gpus, says, take

POWERS = tuple(2.0**k for k in range(25))
"""Seconds at which the distribution function is tabulated, as the papers do: up to half a year."""

LONG = {"1h": 3_600.0, "1d": 86_400.0, "1w": 604_800.0}
SPLITS = (
    ("by_size", "size"),
    ("by_kind", "kind"),
    ("by_status", "status"),
    ("by_model", "model"),
    ("by_group", "group"),
)
FEW = 30
"""Fewer jobs than this say nothing about a median."""


def look(subject: Subject) -> Section:
    """Tabulate the run times of GPU jobs (of all jobs in a trace without GPUs), and of the others by size `0`."""
    keys = [key for _, key in SPLITS if key == "size" or says(subject.jobs, key)]
    jobs = figures.in_order(on_gpus(subject.jobs, "duration_s", "gpu_s", *keys), "duration_s", ("gpu_s", *keys))
    run, work = jobs["duration_s"], jobs["gpu_s"]
    busy = bool((work > 0).any())
    numbers = {f"{name}_s": value for name, value in figures.quantiles(run).items()}
    logs = run.clip(lower_bound=1e-3).log()
    numbers |= {"ln_mean": float(logs.mean()), "ln_sd": float(logs.std(ddof=0))}  # type: ignore[arg-type]
    for name, limit in LONG.items():
        longer = run > limit
        numbers[f"over_{name}_share"] = float(longer.mean())  # type: ignore[arg-type]
        if busy:
            numbers[f"over_{name}_gpu_time_share"] = float(work.filter(longer).sum()) / float(work.sum())
    if busy:
        held = work.to_numpy()
        numbers |= {f"top_{p}pct_gpu_time_share": figures.share_of_top(held, p / 100) for p in (1, 5, 10)}
    curve = {"duration_s": np.array(POWERS), "jobs": figures.cdf(run, POWERS)}
    if busy:
        curve["gpu_time"] = figures.cdf(run, POWERS, work)
    tables = {"cdf": pl.DataFrame(curve)}
    for name, key in SPLITS:
        if key in keys:
            tables[name] = figures.by(jobs, key, "duration_s")
    others = take(subject.jobs, "duration_s", "size").filter(subject.jobs["gpu_demand"] == 0)
    if 0 < others.height < subject.jobs.height:
        without = figures.by(figures.in_order(others, "duration_s", ["size"]), "size", "duration_s")
        both = pl.concat([without, tables["by_size"]])
        tables["by_size"] = both.with_columns(share=pl.col("jobs") / pl.col("jobs").sum())
    numbers = figures.known(numbers)
    by_size = _of_sizes(tables["by_size"])
    said = (*_sentences(numbers, noun(subject.jobs)), *by_size)
    return Section("durations", "Run times", numbers, tables, said, beside={"by_size": by_size} if by_size else {})


def _sentences(n: dict[str, float], what: str) -> list[str]:
    out = [
        f"Half of the {what}s end within {words.duration(n['p50_s'])}; one in ten runs longer than "
        f"{words.duration(n['p90_s'])}, one in a hundred longer than {words.duration(n['p99_s'])}."
    ]
    if n.get("over_1d_share", 0) > 0 and "over_1d_gpu_time_share" in n:
        held, share = n["over_1d_gpu_time_share"], n["over_1d_share"]
        means = "these" if held >= 0.5 else "the shorter ones"
        out.append(
            f"The {words.percent(share)} that run for more than a day hold {words.percent(held)} of GPU time: "
            f"how full the cluster is depends on {means}."
        )
    return out


def _of_sizes(by_size: pl.DataFrame) -> tuple[str, ...]:
    sizes = by_size.filter((pl.col("jobs") >= FEW) & (pl.col("size") != "0"))
    if sizes.height < 2:
        return ()
    shortest, longest = sizes.sort("p50").row(0, named=True), sizes.sort("p50").row(-1, named=True)
    if longest["p50"] < 2 * shortest["p50"]:
        return ("The size of a job tells little about its length: the medians of all sizes are within a factor of 2.",)
    return (
        f"Sizes differ: half of the jobs of {gpus(longest['size'])} run longer than {words.duration(longest['p50'])}, "
        f"half of those of {gpus(shortest['size'])} end within {words.duration(shortest['p50'])}.",
    )


ANALYSES = (
    Analysis("durations", "Run times", ("duration_s",), look, "Jeon ATC'19, Hu SC'21, Weng NSDI'22, Hu NSDI'24"),
)
