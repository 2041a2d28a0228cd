"""Draw a workload from a preset: whole columns at a time; same preset, options and seed, same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.units import format_duration
from apportion.model.workload import Workload
from apportion.traces.generator.arrivals import batches, natural_span_s, replayed, submissions
from apportion.traces.generator.hardware import attached_cluster
from apportion.traces.generator.people import Submitters, submitters
from apportion.traces.generator.preset import DAY_S, Preset
from apportion.traces.generator.promises import with_promises
from apportion.traces.generator.quantiles import Array
from apportion.traces.generator.requests import requests
from apportion.traces.generator.states import STATES, draw_states

DEFAULT_JOBS = 10_000
STEPS = 5
MOST_JOBS = 100_000_000
LOADS = (0.01, 100.0)

Index = npt.NDArray[np.int64]


class Jobs(NamedTuple):
    """The columns of the jobs, batch after batch; i64[jobs] indices of size, user, template and state.

    rank: f64[jobs], share of the jobs of its size that run shorter. gpus: i64[jobs], devices of a task.
    held: f64[jobs], GPUs of the gang.
    """

    size: Index
    user: Index
    template: Index
    state: Index
    rank: Array
    gpus: Index
    held: Array
    duration_s: Array


def generate(
    preset: Preset,
    jobs: int | None = None,
    seed: int = 0,
    load: float | None = None,
    days: float | None = None,
    *,
    gpus: int | None = None,
    divided: bool = False,
    deadlines: bool = False,
    elastic: bool = False,
    cluster: Cluster | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """Return a workload like that of the preset's cluster, with the cluster attached.

    Parameters
    ----------
    jobs: how many (10,000 by default). days: as many as come in so many days; one or the other.
    load: GPU-seconds asked for over (capacity x span of the submissions); by default what the natural rate
    gives. The span is stretched or compressed for it; with `days`, the number of jobs is what the load needs.
    gpus: capacity of the attached cluster (by default the preset's own). divided: a group has nodes of its
    own. deadlines, elastic: with the columns of `promises`.
    cluster: instead of the preset's. progress: is told how many of how many steps are done.

    Raises
    ------
    InputError: a number is out of range, or both jobs and days are given.
    """
    _check(preset, jobs, load, days, gpus)
    step = _steps(progress)
    rooms: tuple[int, ...]
    if cluster is None:
        cluster, rooms = attached_cluster(preset, gpus, divided)
    else:
        rooms = (cluster.gpus,) * len(preset.groups)
    fitting = preset.fitting(rooms)
    if not fitting.demands:
        raise InputError(f"{preset.name}: found gpus={cluster.gpus}, expected room for its smallest job")
    number = DEFAULT_JOBS if jobs is None else jobs
    if days is not None:
        rate = load / fitting.natural_load(cluster.gpus) if load is not None else 1.0
        number = max(round(days * fitting.arrivals.jobs_per_day * rate), 1)
        if number > MOST_JOBS:
            raise InputError(f"{preset.name}: found days={days:g}, expected at most {MOST_JOBS:,} jobs in them")
    # One stream for each part: the same seed at another load is the same jobs at other times.
    streams = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(6)]
    counts = batches(fitting.arrivals, number, streams[0])
    step()
    who = submitters(fitting, counts, streams[1])
    step()
    drawn = _jobs(fitting, counts, who, streams[2])
    step()
    gpu_seconds = float(np.sum(drawn.held * drawn.duration_s))
    if load is not None:
        span_s = gpu_seconds / (cluster.gpus * load)
    else:
        span_s = days * DAY_S if days is not None else natural_span_s(fitting.arrivals, number)
    submit_s = _submissions(fitting, counts, drawn, span_s, streams[3])
    step()
    frame = _frame(fitting, who, drawn, submit_s, _held(cluster), streams[4])
    frame = with_promises(frame, deadlines, elastic, cluster.gpus, streams[5])
    workload = Workload.of(frame, origin=fitting.origin, name=f"synthetic:{fitting.name}")
    step()
    report = QualityReport(jobs=number, notes=_notes(preset, fitting, cluster.gpus, gpu_seconds, span_s))
    return Trace(workload, cluster, report=report)


def _steps(progress: Callable[[int, int], None] | None) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, STEPS)

    return step


def _check(preset: Preset, jobs: int | None, load: float | None, days: float | None, gpus: int | None) -> None:
    what = f"synthetic:{preset.name}"
    if jobs is not None and days is not None:
        raise InputError(f"{what}: found jobs={jobs} and days={days:g}, expected one of them")
    if jobs is not None and not 1 <= jobs <= MOST_JOBS:
        raise InputError(f"{what}: found jobs={jobs}, expected 1 to {MOST_JOBS:,}")
    if days is not None and not days > 0:
        raise InputError(f"{what}: found days={days:g}, expected more than 0")
    if load is not None and not LOADS[0] <= load <= LOADS[1]:
        raise InputError(f"{what}: found load={load:g}, expected {LOADS[0]:g} to {LOADS[1]:g}")
    if gpus is not None and not 1 <= gpus <= 10_000_000:
        raise InputError(f"{what}: found gpus={gpus}, expected 1 to 10,000,000")


def _jobs(preset: Preset, counts: Index, who: Submitters, rng: np.random.Generator) -> Jobs:
    size, user, template = (np.repeat(x, counts) for x in (who.size, who.user, who.template))
    score = who.effect[template]
    score += preset.people.within * rng.standard_normal(len(score))
    jitter = rng.random(len(score))
    rank = np.empty(len(score))
    duration = np.empty(len(score))
    # Replacing scores by their ranks keeps who is long and who is short, and makes the distribution of each
    # size exactly the published one however skewed the users are.
    for s, demand in enumerate(preset.demands):
        mine = np.flatnonzero(size == s)
        order = mine[np.argsort(score[mine], kind="stable")]
        rank[order] = (np.arange(len(order)) + jitter[order]) / max(len(order), 1)
        duration[order] = demand.durations.at(rank[order])
    state = draw_states(preset, size, rank, rng) if preset.states else np.zeros(0, dtype=np.int64)
    gpus = np.array([d.gpus for d in preset.demands], dtype=np.int64)[size]
    held = np.array([d.size for d in preset.demands], dtype=np.float64)[size]
    return Jobs(size, user, template, state, rank, gpus, held, np.maximum(np.rint(duration), 1.0))


def _submissions(preset: Preset, counts: Index, jobs: Jobs, span_s: float, rng: np.random.Generator) -> Array:
    levels = preset.arrivals.levels
    if levels is None:
        return submissions(preset.arrivals, counts, span_s, preset.origin, rng)
    stratum = np.array(levels.first, dtype=np.int64)[jobs.size]
    for s, bounds in enumerate(levels.bounds):
        mine = np.flatnonzero(jobs.size == s)
        stratum[mine] += np.searchsorted(bounds, jobs.rank[mine], side="right")
    # What a batch has in different strata comes on different days: the days' numbers go before the batches'.
    batch = np.repeat(np.arange(len(counts)), counts)
    order = np.argsort(batch * len(levels.days) + stratum, kind="stable")
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(batch[order]) != 0) | (np.diff(stratum[order]) != 0)
    parts = np.diff(np.append(np.flatnonzero(new), len(order)))
    submit_s = np.empty(len(order))
    submit_s[order] = replayed(preset.arrivals, levels, parts, stratum[order][new], span_s, preset.origin, rng)
    return submit_s


def _held(cluster: Cluster) -> dict[str, int]:
    """Return the GPUs of each model."""
    known = cluster.table.drop_nulls("gpu_model").group_by("gpu_model").agg(pl.col("gpus").sum())
    return dict(known.iter_rows())


def _frame(
    preset: Preset, who: Submitters, jobs: Jobs, submit_s: Array, held: dict[str, int], rng: np.random.Generator
) -> pl.DataFrame:
    order = np.argsort(submit_s, kind="stable")
    user = jobs.user[order]
    users = pl.Series([f"u{i:04d}" for i in range(len(who.user_group))], dtype=pl.String)
    groups = pl.Series([g.name for g in preset.groups], dtype=pl.String)
    owner = np.zeros(len(who.name), dtype=np.int64)
    owner[jobs.template] = jobs.user
    names = pl.select(pl.format("{}-t{}", users.gather(owner), pl.Series(who.name)).alias("job_name")).to_series()
    asked = requests(preset, jobs.size[order], jobs.template[order], held, rng)
    if preset.states:
        asked["status"] = pl.Series(STATES, dtype=pl.String).gather(jobs.state[order])
    return pl.DataFrame(
        {
            "job_id": pl.int_range(len(order), eager=True).cast(pl.String),
            "user": users.gather(user),
            "group": groups.gather(who.user_group[user]),
            "submit_s": submit_s[order],
            "duration_s": jobs.duration_s[order],
            "gpus": jobs.gpus[order].astype(np.int32),
            "job_name": names.gather(jobs.template[order]),
            **asked,
        }
    )


def _notes(preset: Preset, fitting: Preset, capacity: int, gpu_seconds: float, span_s: float) -> list[str]:
    natural = fitting.natural_load(capacity)
    offered = gpu_seconds / (capacity * span_s)
    notes = [
        f"generated, not measured: {preset.source}",
        f"offered load {offered:.2f} of {capacity:,} GPUs over {format_duration(span_s)} "
        f"(expected at the natural rate: {natural:.2f})",
    ]
    kept = {d.label for d in fitting.demands}
    gone = [label for label in dict.fromkeys(d.label for d in preset.demands) if label not in kept]
    if gone:
        sizes = ", ".join(gone)
        notes.append(f"left out: jobs of {sizes} GPUs, which fit nowhere on the attached cluster")
    return notes
