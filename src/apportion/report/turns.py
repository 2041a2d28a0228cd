"""Who has GPUs when: by user or group, and job by job, over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.engine.layout import F8, I8
from apportion.report.breakdown import OTHERS
from apportion.report.curves import Bins
from apportion.report.occupancy import bins_since, integrate
from apportion.study.result import Result

LARGEST = 7
"""Users or groups shown by name; with the others there is a colour for each."""


@dataclass(frozen=True)
class Holders:
    """GPUs held over time: `gpus` f64[names, bins], means; `what` the names are, `user` or `group`."""

    what: str
    names: list[str]
    gpus: F8


@dataclass(frozen=True)
class Turns:
    """Part of the GPUs asked for that was held, for each row of jobs and bin of time.

    Parameters
    ----------
    part: f32[rows, bins], percent, nan where no job of the row is in the system. rows: ids, `17` or `17 … 21`.
    """

    part: npt.NDArray[np.float32]
    rows: list[str]


def holders(results: Sequence[Result], bins: Bins) -> list[Holders] | None:
    """Return who held GPUs in each run: the largest groups, or users where there is one group; None for one user.

    The names are the same for all runs, the largest demand (GPUs x run time in any run's workload) first.
    """
    jobs = pl.concat([r.jobs.select("user", "group", demand=pl.col("gpus") * pl.col("duration_s")) for r in results])
    what = next((column for column in ("group", "user") if jobs[column].n_unique() > 1), None)
    if what is None:
        return None
    ranked = jobs.group_by(what).agg(pl.col("demand").sum()).sort(["demand", what], descending=[True, False])[what]
    shown = ranked.to_list() if ranked.len() <= LARGEST + 1 else ranked[:LARGEST].to_list()
    names = [name or f"(no {what})" for name in shown] + ([OTHERS] if len(shown) < ranked.len() else [])
    number = {name: i for i, name in enumerate(shown)}
    out = []
    for result in results:
        row = np.array([number.get(name, LARGEST) for name in result.jobs[what]], np.int64)
        out.append(Holders(what, names, _held(result, row, len(names), bins)))
    return out


def job_turns(result: Result, bins: Bins, max_rows: int) -> Turns | None:
    """Return the turns of the jobs that ask for GPUs, in the order of submission, at most `max_rows` rows of them.

    None where there is no such job.
    """
    jobs = result.jobs
    shown = np.flatnonzero(((jobs["gpus"] > 0) & (jobs["status"] != "rejected")).to_numpy())
    if not shown.size:
        return None
    shown = shown[np.argsort(jobs["submit_s"].to_numpy()[shown], kind="stable")]
    count = min(max_rows, shown.size)
    place = np.arange(shown.size) * count // shown.size
    row = np.full(jobs.height, -1, np.int64)
    row[shown] = place
    asked = jobs["gpus"].to_numpy()[shown]
    there = [bins_since(jobs[column].to_numpy().astype(np.float64)[shown], bins) for column in ("submit_s", "end_s")]
    present = integrate(place, there[0], asked, count, bins.count) - integrate(
        place, there[1], asked, count, bins.count
    )
    held = _held(result, row, count, bins)
    # what is there for a sliver of a bin has no colour of its own
    seen = present > 1e-3
    part = np.where(seen, 100 * np.clip(held / np.where(seen, present, 1.0), 0, 1), np.nan).astype(np.float32)
    first = np.searchsorted(place, np.arange(count))
    last = np.append(first[1:], shown.size) - 1
    ids = jobs["job_id"]
    rows = [
        str(ids[int(shown[a])]) if a == b else f"{ids[int(shown[a])]} … {ids[int(shown[b])]}"
        for a, b in zip(first.tolist(), last.tolist())
    ]
    return Turns(part, rows)


def by_model(result: Result, until_s: float) -> dict[str, float]:
    """Return the part of the GPU time of each GPU model that was allocated, from the first submission to `until_s`."""
    nodes = result.cluster.table
    model = nodes["gpu_model"].fill_null("")
    names = sorted(name for name in model.unique() if nodes.filter(model == name)["gpus"].sum() > 0)
    number = {name: i for i, name in enumerate(names)}
    at: I8 = np.array([number.get(name, -1) for name in model], np.int64)
    there = np.array([nodes.filter(model == name)["gpus"].sum() for name in names], np.float64)
    first = float(result.jobs["submit_s"].min() or 0.0)  # type: ignore[arg-type]
    runs = result.placements.filter(pl.col("gpus") > 0)
    end = np.minimum(runs["end_s"].fill_null(np.inf).to_numpy(), until_s)
    seconds = (end - runs["start_s"].to_numpy()).clip(min=0) * runs["gpus"].to_numpy()
    held = np.bincount(at[runs["node"].to_numpy()], seconds, len(names))
    return dict(zip(names, (held / (there * max(until_s - first, 1e-9))).tolist(), strict=True))


def _held(result: Result, row_of_job: I8, rows: int, bins: Bins) -> F8:
    """Return the mean GPUs held in each bin by the jobs of each row; -1 = in none."""
    pieces = result.placements
    gpus = pieces["gpus"].to_numpy().astype(np.float64)
    row = row_of_job[pieces["job"].to_numpy()]
    used = (gpus > 0) & (row >= 0)
    row, gpus = row[used], gpus[used]
    start = bins_since(pieces["start_s"].to_numpy()[used], bins)
    end = bins_since(pieces["end_s"].to_numpy().astype(np.float64)[used], bins)
    return np.asarray(integrate(row, start, gpus, rows, bins.count) - integrate(row, end, gpus, rows, bins.count))
