"""What sharing GPUs saves: how many would be needed if every task held whole ones."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model.words import percent
from apportion.study.characterize.figures import known
from apportion.study.characterize.running import F8, assumed, edges, starts
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import take

MOMENTS = 1000
"""Moments that are looked at, evenly over the trace."""
WHOLE = 1000
USED = ("submit_s", "wait_s", "duration_s", "tasks", "gpus", "gpu_milli", "gpu_util")
BUSY_PCT = 95.0
"""A device this busy has no room for another task (Weng et al., NSDI 2022)."""

KEY, TITLE = "sharing", "What sharing GPUs saves"


def look(subject: Subject) -> Section:
    """Count the GPUs that what ran needed at evenly spaced moments, each task alone on its devices and packed.

    Packing is best fit decreasing by the asked share of a device, as if any task could move to any device at any time:
    a scheduler that never moves tasks needs more, and no scheduler needs less than the sum of the shares.
    """
    columns = [name for name in USED if name in subject.jobs.columns]
    part = take(subject.jobs, *columns).filter((pl.col("gpus") > 0) & (pl.col("gpu_milli") > 0))
    shared = part.filter(pl.col("gpu_milli") < WHOLE)
    if not shared.height:
        return Section(KEY, TITLE, skipped="no job asks for a part of a GPU (column gpu_milli)")
    at = edges(subject)
    if at.size < 2:
        return Section(KEY, TITLE, skipped="the trace is shorter than ten minutes")
    at = at[np.unique(np.linspace(0, at.size - 1, min(MOMENTS, at.size)).astype(np.int64))]
    whole = _running(part.filter(pl.col("gpu_milli") >= WHOLE), at)
    levels = shared["gpu_milli"].unique().sort(descending=True).to_list()
    counts = np.array([_running(shared.filter(pl.col("gpu_milli") == level), at) for level in levels])
    alone = whole + counts.sum(axis=0)
    packed = whole + np.array([devices(levels, counts[:, i]) for i in range(at.size)])
    asked = whole + np.array(levels) @ counts / WHOLE
    saved = alone - packed
    peak = int(alone.argmax())
    numbers = {
        "shared_jobs_share": shared.height / max(part.height, 1),
        "mean_gpus_alone": alone.mean(),
        "mean_gpus_shared": packed.mean(),
        "mean_gpus_asked": asked.mean(),
        "mean_saving_share": saved.sum() / alone.sum() if alone.sum() else np.nan,
        "peak_gpus_alone": alone[peak],
        "peak_gpus_shared": packed[peak],
        "largest_saving_gpus": saved.max(),
        "largest_saving_share": np.max(saved / np.maximum(alone, 1)),
    }
    numbers |= _contention(shared, at, counts, levels)
    table = pl.DataFrame({"time_s": at, "alone_gpus": alone, "shared_gpus": packed, "asked_gpus": asked})
    found = known(numbers)
    return Section(KEY, TITLE, found, {"gpus": table}, (*_sentences(found), *assumed(part)))


def devices(levels: list[int], counts: F8) -> int:
    """Return the devices that best fit decreasing needs for `counts` tasks of each of `levels` (descending milli)."""
    left: dict[int, int] = {}  # milli free -> devices with that much
    needed = 0
    for level, tasks in zip(levels, np.rint(counts).astype(np.int64).tolist(), strict=True):
        for free in sorted(free for free in left if free >= level):
            if tasks <= 0:
                break
            # the fullest device that has room stays so until it has none
            tasks = _fill(left, free, left.pop(free), level, tasks)
        if tasks > 0:
            each = WHOLE // level
            more = -(-tasks // each)
            needed += more
            _fill(left, WHOLE, more, level, tasks)
    return needed


def _fill(left: dict[int, int], free: int, count: int, level: int, tasks: int) -> int:
    """Put up to `tasks` tasks on `count` devices with `free` milli each; return how many found no place."""
    each = free // level
    full, rest = divmod(min(tasks, count * each), each)
    for amount, devices_ in ((free - each * level, full), (free - rest * level, 1 if rest else 0)):
        if devices_:
            left[amount] = left.get(amount, 0) + devices_
    untouched = count - full - (1 if rest else 0)
    if untouched:
        left[free] = left.get(free, 0) + untouched
    return max(tasks - count * each, 0)


def _running(jobs: pl.DataFrame, at: F8, weight: F8 | None = None) -> F8:
    """Return the devices (or the sum of `weight` over them) that jobs used at each moment."""
    if not jobs.height:
        return np.zeros(at.size)
    held = (jobs["tasks"] * jobs["gpus"]).to_numpy().astype(np.float64)
    held = held if weight is None else held * weight
    out = np.zeros(at.size)
    for times, sign in zip(starts(jobs), (1, -1), strict=True):
        order = np.argsort(times)
        sums = np.concatenate([[0.0], np.cumsum(held[order])])
        out += sign * sums[np.searchsorted(times[order], at, side="right")]
    return out


def _contention(shared: pl.DataFrame, at: F8, counts: F8, levels: list[int]) -> dict[str, float]:
    """Return how busy the packed devices would be on average, where the trace says what tasks used."""
    if "gpu_util" not in shared.columns or shared["gpu_util"].count() == 0:
        return {}
    used = _running(shared, at, shared["gpu_util"].fill_null(0.0).to_numpy()) / 100
    needed = np.array([devices(levels, counts[:, i]) for i in range(at.size)])
    some = needed > 0
    load = 100 * used[some] / needed[some]
    return {"shared_devices_util_pct": load.mean(), "contended_time_share": float((load >= BUSY_PCT).mean())}


def _sentences(numbers: dict[str, float]) -> list[str]:
    out = []
    if "mean_saving_share" in numbers:
        out.append(
            f"Sharing saves {percent(numbers['mean_saving_share'])} of the GPUs on average: what runs fits on "
            f"{numbers['mean_gpus_shared']:,.0f} instead of {numbers['mean_gpus_alone']:,.0f}."
        )
    out.append(
        f"At the busiest moment {numbers['peak_gpus_alone']:,.0f} GPUs would be needed without sharing and "
        f"{numbers['peak_gpus_shared']:,.0f} with it: that difference is what need not be bought."
    )
    if "shared_devices_util_pct" in numbers:
        load, time = numbers["shared_devices_util_pct"], numbers["contended_time_share"]
        out.append(
            f"Packed like this, shared GPUs would be {load:.0f} % busy on average and over {BUSY_PCT:.0f} % in "
            f"{percent(time)} of the time: "
            + ("tasks would slow each other down." if time > 0.05 else "little contention.")
        )
    return out


ANALYSES = (Analysis(KEY, TITLE, ("gpu_milli",), look, "Weng et al., MLaaS in the Wild, NSDI'22"),)
