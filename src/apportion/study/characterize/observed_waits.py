"""How long jobs waited, as the source recorded it: for whom, for what, and against how long they ran."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model import words
from apportion.study.characterize import figures
from apportion.study.characterize.durations import FEW, POWERS
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.sizes import gpus
from apportion.study.characterize.subject import noun, on_gpus, says

SPLITS = (("by_size", "size"), ("by_group", "group"), ("by_model", "model"), ("by_kind", "kind"))
LENGTHS = {"under 1 min": 60.0, "1-10 min": 600.0, "10-60 min": 3600.0, "1-6 h": 21_600.0, "6-24 h": 86_400.0}
LONGER = "over 1 d"


def look(subject: Subject) -> Section:
    """Tabulate the waits of GPU jobs (of all jobs in a trace without GPUs)."""
    keys = [key for _, key in SPLITS if says(subject.jobs, key)]
    jobs = figures.in_order(on_gpus(subject.jobs, "wait_s", "duration_s", *keys), "wait_s", ("duration_s", *keys))
    if jobs.is_empty():
        return Section("observed_waits", "Waits as recorded", skipped="no GPU job has a recorded wait")
    wait = jobs["wait_s"]
    stay = wait + jobs["duration_s"]
    numbers = {f"{name}_s": value for name, value in figures.quantiles(wait).items()}
    numbers |= {
        "over_1min_share": float((wait > 60).mean()),  # type: ignore[arg-type]
        "over_1h_share": float((wait > 3600).mean()),  # type: ignore[arg-type]
        # the same as more than half of the time from submission to end
        "longer_than_run_share": float((wait > jobs["duration_s"]).mean()),  # type: ignore[arg-type]
        "part_of_stay": float(wait.sum()) / float(stay.sum()) if float(stay.sum()) > 0 else float("nan"),
        "slowest_1pct_wait_share": figures.share_of_top(wait.to_numpy(), 0.01),
    }
    tables = {"cdf": pl.DataFrame({"wait_s": list(POWERS), "jobs": figures.cdf(wait, POWERS)})}
    for name, key in SPLITS:
        if key in keys and (table := figures.by(jobs, key, "wait_s")).height > 1:
            tables[name] = table
    tables["by_duration"] = _by_duration(jobs)
    numbers = figures.known(numbers)
    apart = {name: _apart(tables[name], key) for name, key in SPLITS if name in tables}
    beside = {name: (sentence,) for name, sentence in apart.items() if sentence}
    said = (*_sentences(numbers, noun(subject.jobs)), *(sentence for (sentence,) in beside.values()))
    return Section("observed_waits", "Waits as recorded", numbers, tables, said, beside=beside)


def _by_duration(jobs: pl.DataFrame) -> pl.DataFrame:
    """Return waits by length of run, with the share of jobs that waited more than half of their stay."""
    labels = [*LENGTHS, LONGER]
    bucket = np.searchsorted(list(LENGTHS.values()), jobs["duration_s"].to_numpy(), side="left").astype(np.uint8)
    length = pl.Series("duration", labels, dtype=pl.Enum(labels)).gather(bucket)
    half = jobs["wait_s"] > jobs["duration_s"]
    frame = jobs.select("wait_s").with_columns(length, half.alias("half"))
    waited = frame.group_by("duration").agg(pl.col("half").mean().alias("over_half_share"))
    table = figures.by(frame, "duration", "wait_s")
    return table.join(waited.with_columns(pl.col("duration").cast(pl.String)), on="duration", maintain_order="left")


def _sentences(n: dict[str, float], what: str) -> list[str]:
    share, worst = words.percent(n["over_1min_share"]), words.duration(n["p99_s"])
    if n["over_1min_share"] < 0.01:
        out = [f"Hardly any {what} waits: {share} wait more than a minute, and 99 of 100 start within {worst}."]
    else:
        out = [
            f"{share} of the {what}s wait more than a minute, half at most {words.duration(n['p50_s'])}, one in ten "
            f"longer than {words.duration(n['p90_s'])} and one in a hundred longer than {worst}."
        ]
    if n["longer_than_run_share"] > 0:
        out.append(
            f"{words.percent(n['longer_than_run_share'])} wait longer than they run; all in all "
            f"{words.percent(n['part_of_stay'])} of the time from submission to end is waiting."
        )
    return out


def _apart(table: pl.DataFrame, key: str) -> str:
    """Say which value of `key` waits longest, where the ninth tenths are apart by more than a factor of 2."""
    table = table.filter(pl.col("jobs") >= FEW).sort("p90")
    if table.height < 2:
        return ""
    least, most = table.row(0, named=True), table.row(-1, named=True)
    if most["p90"] < 2 * max(least["p90"], 30.0):
        return ""
    one, other = (_called(key, row[key]) for row in (most, least))
    return (
        f"One in ten {one} waits longer than {words.duration(most['p90'])}; for {other} it is "
        f"{words.duration(least['p90'])}."
    )


def _called(key: str, value: str) -> str:
    if key == "size":
        return f"jobs of {gpus(value)}"
    return {"group": f"jobs of {value}", "model": f"jobs on {value}", "kind": f"{value} jobs"}[key]


ANALYSES = (
    Analysis(
        "observed_waits", "Waits as recorded", ("wait_s",), look, "Jeon ATC'19, Hu SC'21, Weng NSDI'22, Hu NSDI'24"
    ),
)
