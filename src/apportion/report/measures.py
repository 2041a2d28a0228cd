"""The numbers that compare runs: where they stand in a summary, how they are written, which is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apportion.report import words

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """One number of a summary.

    Parameters
    ----------
    path: keys of the summary, outermost first. group, name: heading and name in tables.
    lower_is_better: False where more is better. write: the value as people say it.
    """

    path: tuple[str, ...]
    group: str
    name: str
    write: Callable[[float], str]
    lower_is_better: bool = True

    def of(self, summary: Summary) -> float | None:
        """Return the value in `summary`, or None where it does not apply."""
        value: Any = summary
        for key in self.path:
            if not isinstance(value, Mapping) or value.get(key) is None:
                return None
            value = value[key]
        number = float(value)
        return number if math.isfinite(number) else None


def _spread(key: str, group: str, names: Sequence[tuple[str, str]]) -> tuple[Measure, ...]:
    return tuple(Measure((key, part), group, name, words.duration) for part, name in names)


MEASURES: tuple[Measure, ...] = (
    *_spread(
        "jct_s",
        "Completion time",
        [("mean", "mean"), ("p50", "median"), ("p90", "90th percentile"), ("p99", "99th percentile")],
    ),
    Measure(("rounds", "jct_s", "geometric_mean"), "Completion time", "geometric mean", words.duration),
    Measure(("rounds", "jct_s", "harmonic_mean"), "Completion time", "harmonic mean", words.duration),
    *_spread(
        "wait_s",
        "Wait",
        [
            ("mean", "mean"),
            ("p50", "median"),
            ("p90", "90th percentile"),
            ("p99", "99th percentile"),
            ("max", "longest"),
        ],
    ),
    Measure(("makespan_s",), "Cluster", "makespan", words.duration),
    Measure(("gpu_utilization",), "Cluster", "GPU utilisation", words.percent, lower_is_better=False),
    Measure(("jct_mean_ci95_s",), "Completion time", "95 % ± of the mean", words.duration),
    Measure(("steady", "allocated_pct"), "Steady state", "GPUs allocated", words.of_hundred, lower_is_better=False),
    Measure(("allocated_ci95_pct",), "Steady state", "95 % ±", words.of_hundred),
    Measure(("steady", "fragmented_pct"), "Steady state", "GPUs in fragments", words.of_hundred),
    Measure(("fragmented_ci95_pct",), "Steady state", "95 % ±", words.of_hundred),
    Measure(("completed",), "Jobs", "completed", words.count, lower_is_better=False),
    Measure(("rejected",), "Jobs", "rejected", words.count),
    Measure(("unfinished",), "Jobs", "unfinished", words.count),
    Measure(("preemptions",), "Jobs", "preemptions", words.count),
    Measure(("ftf", "worst"), "Fairness", "worst finish-time ratio", words.amount),
    Measure(("ftf", "unfair_fraction"), "Fairness", "jobs treated unfairly", words.percent),
    Measure(("ftf", "contention", "worst"), "Fairness", "worst, by contention", words.amount),
    Measure(("ftf", "contention", "unfair_fraction"), "Fairness", "unfair, by contention", words.percent),
    Measure(("rounds", "envy", "mean"), "Fairness", "mean envy", words.amount),
    Measure(("deadlines", "met"), "Fairness", "deadlines met", words.count, lower_is_better=False),
    Measure(("rounds", "busy"), "Rounds", "GPU time at work", words.percent, lower_is_better=False),
    Measure(("rounds", "lease_extension"), "Rounds", "leases extended", words.percent, lower_is_better=False),
    Measure(("energy_kwh",), "Footprint", "energy, kWh", words.amount),
    Measure(("carbon_g",), "Footprint", "carbon, gCO2eq", words.amount),
    Measure(("cost_usd",), "Footprint", "cost, USD", words.amount),
)


def best(values: Sequence[float | None], lower_is_better: bool) -> list[bool]:
    """Return which of `values` are the best, ties included; none where fewer than two can be compared."""
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return [False] * len(values)
    top = min(known) if lower_is_better else max(known)
    return [v is not None and math.isclose(v, top, rel_tol=1e-9, abs_tol=1e-12) for v in values]
