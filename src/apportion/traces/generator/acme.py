"""What the presets of Acme's clusters Seren and Kalos share.

Hu et al., "Characterization of Large Language Model Development in the Datacenter", NSDI'24: distribution functions
read from the vector figures (exact to 0.1 points), shares of states from the released summary, GPU utilisation from
the released distribution. March to August 2023 (184 days).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from apportion.traces.generator.helios import (
    BATCH_EXPONENT,
    BATCH_LARGEST,
    BATCH_PROBABILITY,
    DAILY_CORRELATION,
    DAILY_CV,
    GPUS_PER_NODE,
    WEEKDAYS,
)
from apportion.traces.generator.preset import Arrivals, Group, People, Preset
from apportion.traces.generator.quantiles import Quantiles
from apportion.traces.generator.rake import Kind, by_kind
from apportion.traces.generator.venus import HOURS

DAYS = 184
LEVELS = (0, 10, 25, 50, 75, 90, 95, 99, 100)
"""Percent of the jobs of a type at which the paper's durations are given; the ends are the cluster's."""


@dataclass(frozen=True)
class Tables:
    """One cluster's tables.

    Parameters
    ----------
    jobs: GPU jobs in the six months. nodes: of 8 A100. durations: of all jobs. gpus, shares, gpu_time: by size.
    kinds: type -> share of jobs, seconds at `LEVELS` without the ends, usual GPUs, spread in doublings.
    pretrain_gpu_time: its share, 0 to 1. utilisation: percent at levels in percent.
    """

    name: str
    title: str
    jobs: int
    nodes: int
    durations: Quantiles
    gpus: tuple[int, ...]
    shares: tuple[float, ...]
    gpu_time: tuple[float, ...]
    kinds: Mapping[str, tuple[float, tuple[float, ...], float, float]]
    pretrain_gpu_time: float
    states: tuple[float, float, float]
    gpu_time_states: tuple[float, float, float]
    utilisation: tuple[tuple[float, ...], tuple[float, ...]]


def acme(tables: Tables) -> Preset:
    """Return the preset of one cluster."""
    longest = float(tables.durations.seconds[-1])
    kinds = {
        name: Kind(share, Quantiles.of(LEVELS, (1.0, *seconds, longest)), gpus, width)
        for name, (share, seconds, gpus, width) in tables.kinds.items()
    }
    found = by_kind(
        tables.durations, tables.gpus, tables.shares, tables.gpu_time, kinds, ("Pretrain", tables.pretrain_gpu_time)
    )
    demands = tuple(replace(demand, states=tables.states) for demand in found)
    return Preset(
        name=tables.name,
        title=tables.title,
        source=f"{tables.name.capitalize()} (Acme, NSDI'24; hours, weekdays, batches and users of Venus)",
        origin=datetime(2023, 3, 1),
        # Neither submissions by hour nor users are published: those of Venus stand in.
        arrivals=Arrivals(
            jobs_per_day=tables.jobs / DAYS,
            hours=HOURS,
            weekdays=WEEKDAYS,
            daily_cv=DAILY_CV,
            daily_correlation=DAILY_CORRELATION,
            batch_probability=BATCH_PROBABILITY,
            batch_exponent=BATCH_EXPONENT,
            batch_largest=BATCH_LARGEST,
        ),
        demands=demands,
        states=tables.states,
        gpu_time_states=tables.gpu_time_states,
        people=People(users=310, sigma=1.4, taste_sigma=0.8, user_variance=0.3, repeats=3, within=0.08),
        groups=(Group(tables.name, tables.nodes, (1.0,) * len(demands)),),
        gpus_per_node=GPUS_PER_NODE,
        gpu_model="A100-80GB",
        gpu_utilisation=tables.utilisation,
    )
