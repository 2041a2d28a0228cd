"""What if: the live situation goes on as it is and as it would be after some changes, both in the same futures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.layout import F8, SKIP
from apportion.live.changes import Change
from apportion.live.forward import Forward, waiting_rows
from apportion.live.futures import Futures
from apportion.live.lookup import row_of
from apportion.live.situation import PENDING, Situation
from apportion.model.errors import InputError
from apportion.model.units import format_duration
from apportion.policies.protocol import Policy
from apportion.predict.run_time import RunTimes

HORIZON_S = 14 * 86_400.0
"""A job that has not started after so long counts as if it had waited so long."""
HOURS = 24.0
"""How long the use of GPUs is measured."""
MEASURES = {
    "mean_wait_s": "mean wait",
    "p50_wait_s": "median wait",
    "p95_wait_s": "95th percentile of the wait",
    "job_wait_s": "wait of job {job}",
    "gpu_use": "GPU use over the next {hours:g} h",
}
"""What is compared; waits are those still to come, of the jobs that wait now."""


@dataclass(frozen=True)
class Measure:
    """One number in every future: f8[draws], before and after the changes, drawn together."""

    before: F8
    after: F8

    @property
    def difference(self) -> float:
        """Mean of after minus before."""
        return float((self.after - self.before).mean())

    def spread(self, share: float = 0.9) -> tuple[float, float]:
        """Return between what the difference lies in this share of the futures."""
        low, high = np.quantile(self.after - self.before, [(1 - share) / 2, (1 + share) / 2])
        return float(low), float(high)

    def summary(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        low, high = self.spread()
        return {
            "before": float(self.before.mean()),
            "after": float(self.after.mean()),
            "difference": self.difference,
            "p5": low,
            "p95": high,
        }


@dataclass(frozen=True)
class WhatIf:
    """A live situation beside a changed one.

    Parameters
    ----------
    changes: in words. policy: before and after. now_s: of the situation. waiting: jobs compared, those that wait now in
    both. measures: by the names of `MEASURES`. job_id: asked about. hours: of `gpu_use`. beyond: starts that did not
    come within `HORIZON_S`, before and after, as a share of all.
    """

    changes: tuple[str, ...]
    policy: tuple[str, str]
    now_s: float
    waiting: int
    draws: int
    measures: dict[str, Measure]
    job_id: str | None = None
    hours: float = HOURS
    beyond: tuple[float, float] = (0.0, 0.0)

    def sentences(self) -> list[str]:
        """Return the comparison in plain words."""
        what = " and ".join(self.changes) or "nothing"
        if self.policy[0] != self.policy[1]:
            what = f"{what}, {self.policy[1]} instead of {self.policy[0]}" if self.changes else \
                   f"{self.policy[1]} instead of {self.policy[0]}"  # fmt: skip
        jobs = "1 job waits" if self.waiting == 1 else f"{self.waiting:,} jobs wait"
        out = [f"changed: {what}; {jobs} now, {self.draws} possible futures"]
        for name, measure in self.measures.items():
            title = MEASURES[name].format(job=self.job_id, hours=self.hours)
            write = _percent if name == "gpu_use" else format_duration
            low, high = measure.spread()
            sign = "+" if measure.difference > 0 else ""
            out.append(
                f"{title}: {write(float(measure.before.mean()))} -> {write(float(measure.after.mean()))} "
                f"({sign}{write(measure.difference)}; in 90 % of the futures {write(low)} to {write(high)})"
            )
        if any(self.beyond):
            before, after = (f"{100 * share:.1f} %" for share in self.beyond)
            out.append(f"not started within {format_duration(HORIZON_S)}: {before} -> {after}")
        return out

    def summary(self) -> dict[str, Any]:
        """Return the comparison for JSON; times in seconds."""
        return {
            "changes": list(self.changes),
            "policy": list(self.policy),
            "now_s": self.now_s,
            "waiting": self.waiting,
            "draws": self.draws,
            "job_id": self.job_id,
            "hours": self.hours,
            "beyond_horizon": list(self.beyond),
            "measures": {name: measure.summary() for name, measure in self.measures.items()},
        }


def what_if(
    situation: Situation,
    policy: Policy,
    changes: Sequence[Change] = (),
    history: pl.DataFrame | None = None,
    *,
    other_policy: Policy | None = None,
    job_id: str | None = None,
    hours: float = HOURS,
    run_times: RunTimes | None = None,
    draws: int = 50,
    seed: int = 0,
    arrivals: bool = True,
    backfill: int = SKIP,
    other_backfill: int | None = None,
) -> WhatIf:
    """Compare the live situation with a changed one in the same possible futures.

    Parameters
    ----------
    changes: what is otherwise, see `apportion.live.changes`. other_policy, other_backfill: after the changes; default:
    the same. job_id: one job to tell about. hours: how long the use of GPUs is measured.
    history, run_times, draws, seed, arrivals, backfill: as for `predict_start`.

    Raises
    ------
    InputError: a job or node is not known, or no job waits that could be compared.
    """
    if draws < 1:
        raise InputError(f"found {draws} draws, expected at least 1")
    if not 0 < hours <= HORIZON_S / 3600:
        raise InputError(f"found {hours!r} hours, expected more than 0 and at most {HORIZON_S / 3600:g}")
    changed = situation
    for change in changes:
        changed = change.apply(changed)
    after = other_policy or policy
    if job_id is not None and situation.jobs["state"][row_of(situation, job_id)] != PENDING:
        raise InputError(f"job {job_id} runs, expected one that waits")
    there = set(changed.jobs.filter(pl.col("state") == PENDING)["job_id"])
    ids = [job for job in situation.jobs["job_id"].gather(waiting_rows(situation)) if job in there]
    futures = Futures.of(situation, history, run_times=run_times, draws=draws, seed=seed, arrivals=arrivals)
    sides = (
        _side(situation, policy, futures, ids, backfill, seed, hours),
        _side(changed, after, futures, ids, backfill if other_backfill is None else other_backfill, seed, hours),
    )
    measures: dict[str, Measure] = {}
    waits = [np.minimum(side[0], HORIZON_S) for side in sides]
    if ids:
        measures["mean_wait_s"] = Measure(*(w.mean(axis=1) for w in waits))
        for name, level in (("p50_wait_s", 0.5), ("p95_wait_s", 0.95)):
            measures[name] = Measure(*(np.quantile(w, level, axis=1) for w in waits))
    if job_id is not None:
        if job_id not in there:
            raise InputError(f"job {job_id} does not wait any more after the changes, expected one that does")
        measures["job_wait_s"] = Measure(*(w[:, ids.index(job_id)] for w in waits))
    measures["gpu_use"] = Measure(*(side[1] for side in sides))
    beyond = [float(np.isinf(side[0]).mean()) if ids else 0.0 for side in sides]
    return WhatIf(
        tuple(str(change) for change in changes), (policy.name, after.name), situation.now_s, len(ids), draws,
        measures, job_id, hours, (beyond[0], beyond[1]),
    )  # fmt: skip


def _side(
    situation: Situation, policy: Policy, futures: Futures, ids: list[str], backfill: int, seed: int, hours: float
) -> tuple[F8, F8]:
    """Return the waits still to come, f8[draws, ids], and the share of the GPUs in use, f8[draws]."""
    row_at = {job: i for i, job in enumerate(situation.jobs["job_id"])}
    rows = np.array([row_at[job] for job in ids], np.int64)
    forward = Forward(situation, policy, futures, backfill=backfill, seed=seed)
    watch = hours * 3600
    capacity = max(situation.cluster.gpus * watch, 1.0)
    waits, use = np.zeros((futures.draws, rows.size)), np.zeros(futures.draws)
    for draw, ran in enumerate(forward.runs(rows, HORIZON_S, watch)):
        waits[draw], use[draw] = ran.start_s - situation.now_s, ran.busy_gpu_s / capacity
    return waits, use


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
