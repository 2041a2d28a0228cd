"""What the presets of SenseTime's Helios clusters share (Earth, Saturn, Uranus; Venus has tables of its own).

Hu et al., "Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters", SC'21.
Distribution functions are read from the paper's vector figures (exact to 0.1 points). April to September 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from apportion.traces.generator.preset import Arrivals, Demand, Group, People, Preset
from apportion.traces.generator.quantiles import Quantiles
from apportion.traces.generator.split import split_by_size

# Completed, cancelled, failed in percent of jobs by size, all four clusters together; from 64 GPUs on the last row.
STATES_BY_SIZE = {
    1: (66.8, 18.5, 14.7),
    2: (40.5, 32.5, 27.0),
    4: (57.6, 19.4, 23.0),
    8: (55.1, 29.2, 15.7),
    16: (42.8, 46.3, 10.9),
    32: (43.9, 41.1, 15.0),
    64: (21.3, 68.5, 10.2),
}

# Venus alone has public submissions (Lucid artifact): its weekdays, daily spread and batches stand for all.
WEEKDAYS = (1.02, 1.10, 1.27, 1.20, 0.95, 0.68, 0.77)
DAILY_CV, DAILY_CORRELATION = 0.4, 0.2
BATCH_PROBABILITY, BATCH_EXPONENT, BATCH_LARGEST = 0.055, 2.2, 400

GPUS_PER_NODE = 8


@dataclass(frozen=True)
class Tables:
    """One cluster's tables.

    Parameters
    ----------
    hourly: GPU jobs submitted in each hour of the day, on average. percent: of GPU jobs that run at most 1, 4, 8, 16,
    ... seconds; the last is 100. jobs_upto, gpu_time_upto: cumulative percent of jobs and of GPU time by size.
    states, gpu_time_states: completed, cancelled, failed. nodes: of each virtual cluster, with its weight among jobs.
    """

    name: str
    title: str
    hourly: tuple[float, ...]
    percent: tuple[float, ...]
    gpus: tuple[int, ...]
    jobs_upto: tuple[float, ...]
    gpu_time_upto: tuple[float, ...]
    states: tuple[float, float, float]
    gpu_time_states: tuple[float, float, float]
    users: int
    sigma: float
    nodes: Mapping[str, tuple[int, float]]


def durations(percent: Sequence[float]) -> Quantiles:
    """Return the curve of all jobs from the percentages at 1, 4, 8, 16, ... s."""
    seconds = (1.0, 1.0, *(2.0**k for k in range(2, len(percent) + 1)))
    return Quantiles.of((0, *percent), seconds)


def shares(upto: Sequence[float]) -> tuple[float, ...]:
    """Return the steps of a cumulative table."""
    return tuple(round(b - a, 6) for a, b in pairwise((0.0, *upto)))


def helios(tables: Tables) -> Preset:
    """Return the preset of one cluster."""
    jobs, gpu_time = shares(tables.jobs_upto), shares(tables.gpu_time_upto)
    curves = split_by_size(durations(tables.percent), tables.gpus, jobs, gpu_time)
    return Preset(
        name=tables.name,
        title=tables.title,
        source=f"{tables.name.capitalize()} (Helios, SC'21; weekdays and batches of Venus)",
        origin=datetime(2020, 4, 1),
        arrivals=Arrivals(
            jobs_per_day=sum(tables.hourly),
            hours=tables.hourly,
            weekdays=WEEKDAYS,
            daily_cv=DAILY_CV,
            daily_correlation=DAILY_CORRELATION,
            batch_probability=BATCH_PROBABILITY,
            batch_exponent=BATCH_EXPONENT,
            batch_largest=BATCH_LARGEST,
        ),
        demands=tuple(
            Demand(gpus, share, curve, STATES_BY_SIZE[min(gpus, 64)])
            for gpus, share, curve in zip(tables.gpus, jobs, curves, strict=True)
        ),
        states=tables.states,
        gpu_time_states=tables.gpu_time_states,
        # Repeats as in Weng et al., NSDI'22.
        people=People(
            users=tables.users, sigma=tables.sigma, taste_sigma=0.8, user_variance=0.3, repeats=3, within=0.08
        ),
        groups=tuple(
            Group(name, nodes, tuple(weight if g <= nodes * GPUS_PER_NODE else 0.0 for g in tables.gpus))
            for name, (nodes, weight) in tables.nodes.items()
        ),
        gpus_per_node=GPUS_PER_NODE,
    )
