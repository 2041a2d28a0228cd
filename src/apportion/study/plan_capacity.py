"""How many nodes of which kind reach a target: the cheapest addition to a cluster, found by running the workload on it.

For each kind of node the number is doubled until the target is reached, then halved in: with one node less it is
missed, which is verified by a run. Kinds are not mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from apportion.live.changes import added, grown, kind_words, kinds_of
from apportion.live.futures import recent
from apportion.live.situation import Situation
from apportion.live.words import gpus, plural
from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.units import format_duration
from apportion.model.workload import Workload
from apportion.policies.protocol import Policy
from apportion.study.simulate import simulate
from apportion.study.target import Target, parse_target

MOST = 4
"""So many times the nodes of the cluster are added at most, but at least `LEAST_MOST`."""
LEAST_MOST = 64


@dataclass(frozen=True)
class Option:
    """Nodes of one kind that reach the target, or do not.

    Parameters
    ----------
    kind: row of a cluster's table. count: nodes added, the fewest that reach it; None = not even `tried` nodes do.
    cost: of those, in `unit`. value_s: achieved with them. value_less_s: achieved with one less.
    """

    kind: dict[str, Any]
    count: int | None
    tried: int
    cost: float
    unit: str
    value_s: float
    value_less_s: float

    def __str__(self) -> str:
        if self.count is None:
            return f"{kind_words(self.kind)}: not with {plural(self.tried, 'node')} more"
        cost = f"{self.cost:,.2f} USD/h" if self.unit == "USD/h" else gpus(1000 * self.cost)
        return f"{plural(self.count, 'node')} of {kind_words(self.kind)} ({cost})"


@dataclass(frozen=True)
class CapacityPlan:
    """The answer: the cheapest addition that reaches the target.

    Parameters
    ----------
    target, policy: what was asked. now_s: seconds, the value of the measure without any change.
    options: one a kind of node, the cheapest first, those that do not reach it last. runs: simulations it took.
    rejected: jobs that the cluster cannot run at all; they do not count.
    """

    target: Target
    policy: str
    value_s: float
    options: tuple[Option, ...]
    runs: int
    rejected: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def reached(self) -> bool:
        """Whether the cluster reaches the target as it is."""
        return self.target.met(self.value_s)

    @property
    def best(self) -> Option | None:
        """The cheapest option that reaches the target, None where it is reached already or not at all."""
        return next((option for option in self.options if option.count is not None), None)

    def sentences(self) -> list[str]:
        """Return the answer in plain words."""
        value = _seconds(self.value_s)
        if self.reached:
            return [f"{self.target} is reached already under {self.policy}: {value}", *self.notes]
        if self.best is None:
            out = [f"{self.target} is not reached under {self.policy} by adding nodes: {value} as it is"]
            return [*out, *(str(option) for option in self.options), *self.notes]
        best = self.best
        out = [
            f"{self.target} under {self.policy} needs {best} more: {value} -> {_seconds(best.value_s)}",
            f"with one node less it is {_seconds(best.value_less_s)}",
        ]
        out += [f"or: {option}" if option.count else str(option) for option in self.options if option is not best]
        return [*out, *self.notes]

    def summary(self) -> dict[str, Any]:
        """Return the answer for JSON; times in seconds."""
        return {
            "target": str(self.target),
            "policy": self.policy,
            "reached": self.reached,
            "value_s": self.value_s,
            "runs": self.runs,
            "rejected": self.rejected,
            "options": [vars(option) for option in self.options],
            "notes": list(self.notes),
        }


def plan_capacity(
    workload: Workload | Situation,
    cluster: Cluster | None,
    policy: str | Policy,
    target: str | Target,
    *,
    kinds: Sequence[str] = (),
    history: pl.DataFrame | None = None,
    backfill: str = "skip",
    seed: int = 0,
    most: int | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> CapacityPlan:
    """Find the cheapest nodes to add so that a workload reaches a target.

    Parameters
    ----------
    workload: jobs to run, such as the last two weeks; of a situation those submitted lately, with `history` the jobs
    that ended. cluster: None = the situation's.
    target: such as `p95 wait < 30m`. kinds: kinds of nodes to add, such as `8:A100`; default: those of the cluster.
    backfill, seed: as for `simulate`. most: nodes added at most. progress: called with a kind and a number of nodes
    before each run.

    The cost of a node is its `price_usd_per_h`, or its GPUs where not every kind has a price.

    Raises
    ------
    InputError: the target or a kind is not understood, or there are no jobs.
    """
    goal = parse_target(target) if isinstance(target, str) else target
    notes: list[str] = []
    if isinstance(workload, Situation):
        cluster = cluster or workload.cluster
        past = history if history is not None else workload.jobs.filter(pl.col("state") == "ended")
        workload = recent(workload, past)
        notes.append(f"on the last {plural(len(workload), 'job')}")
    if cluster is None:
        raise InputError("found no cluster, expected one to add nodes to")
    if not len(workload):
        raise InputError("found no jobs, expected a workload to plan for")
    runs = 0

    def value_with(kind: dict[str, Any] | None, count: int) -> tuple[float, int]:
        nonlocal runs
        if progress is not None:
            progress(kind_words(kind) if kind else "as it is", count)
        runs += 1
        larger = cluster if kind is None else grown(cluster, kind, count)
        result = simulate(workload, larger, policy, backfill=backfill, seed=seed)
        return goal.value(result), int((result.jobs["status"] == "rejected").sum())

    name = policy if isinstance(policy, str) else policy.name
    value, rejected = value_with(None, 0)
    if rejected:
        notes.append(f"{plural(rejected, 'job')} that the cluster cannot run at all do not count")
    if goal.met(value):
        return CapacityPlan(goal, name, value, (), runs, rejected, tuple(notes))
    rows = [_kind(text, cluster) for text in kinds] or [
        {key: item for key, item in kind.items() if key != "nodes"} for kind in kinds_of(cluster)
    ]
    rows = [row for row in rows if row["gpus"] > 0]
    priced = all(row["price_usd_per_h"] is not None for row in rows)
    limit = most or max(MOST * len(cluster), LEAST_MOST)
    options = []
    for row in rows:
        count, with_, without = _fewest(lambda n, row=row: value_with(row, n)[0], goal, limit, value)  # type: ignore[misc]
        each = float(row["price_usd_per_h"]) if priced else float(row["gpus"])
        options.append(Option(row, count, limit, each * (count or 0), "USD/h" if priced else "GPUs", with_, without))
    options.sort(key=lambda option: (option.count is None, option.cost))
    return CapacityPlan(goal, name, value, tuple(options), runs, rejected, tuple(notes))


def _fewest(
    value_with: Callable[[int], float], goal: Target, limit: int, value: float
) -> tuple[int | None, float, float]:
    """Return the fewest nodes that reach the goal, the value with them, and with one less."""
    low, low_value, high = 0, value, 1
    while True:
        high_value = value_with(high)
        if goal.met(high_value):
            break
        if high >= limit:
            return None, high_value, high_value
        low, low_value, high = high, high_value, min(2 * high, limit)
    while high - low > 1:
        middle = (low + high) // 2
        found = value_with(middle)
        if goal.met(found):
            high, high_value = middle, found
        else:
            low, low_value = middle, found
    return high, high_value, low_value


def _kind(text: str, cluster: Cluster) -> dict[str, Any]:
    return added(f"1x{text}" if text.count("x") == 0 else text, cluster).kind


def _seconds(value: float) -> str:
    return "some never start" if value == float("inf") else format_duration(value)
