"""Shadow mode: what a policy would have done on a cluster that others run.

The cluster is only watched. The report runs the policy on from the first look: the jobs that ran then, the ones that
waited, and all that were submitted since, with the run times they turned out to have, on the nodes of the first look.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from apportion.live.assemble import assemble
from apportion.live.backend import Observation
from apportion.live.decide import finish, resume
from apportion.live.memory import Memory
from apportion.live.situation import ENDED, RUNNING, Situation
from apportion.model.errors import InputError
from apportion.model.units import format_duration
from apportion.model.workload import Workload
from apportion.policies.protocol import Policy
from apportion.predict.run_time import RunTimes

FIRST = "first"
"""The picture of the first look."""
SAME_S = 60.0
"""Starts that lie closer together than this agree."""
BATCHES = 50
"""Run times are predicted for so many batches of jobs, each from what had ended before it came."""


@dataclass(frozen=True)
class Shadow:
    """What a policy would have done against what the cluster did.

    Parameters
    ----------
    policy: its name. since_s, until_s: first and last look. jobs: `job_id, user, submit_s, cluster_s, policy_s`: the
    jobs that the cluster started since, and when either starts them (null = the policy had not yet at `until_s`).
    unstarted: jobs that the policy would have started and the cluster did not. preemptions: that it would have made.
    """

    policy: str
    since_s: float
    until_s: float
    jobs: pl.DataFrame
    unstarted: int
    preemptions: int

    def summary(self) -> dict[str, Any]:
        """Return the comparison in numbers; waits are in seconds."""
        until = pl.col("policy_s").fill_null(self.until_s)
        table = self.jobs.with_columns(gain=pl.col("cluster_s") - until)
        earlier, later = table.filter(pl.col("gain") > SAME_S), table.filter(pl.col("gain") < -SAME_S)
        cluster = (table["cluster_s"] - table["submit_s"]).mean()
        policy = table.select((until - pl.col("submit_s")).mean()).item() if table.height else None
        return {
            "policy": self.policy,
            "hours": (self.until_s - self.since_s) / 3600,
            "jobs": table.height,
            "agree": table.height - earlier.height - later.height,
            "earlier": earlier.height,
            "earlier_mean_s": earlier["gain"].mean(),
            "later": later.height,
            "later_mean_s": None if later.is_empty() else -float(later["gain"].mean()),  # type: ignore[arg-type]
            "cluster_mean_wait_s": cluster,
            "policy_mean_wait_s": policy,
            "policy_only": self.unstarted,
            "preemptions": self.preemptions,
        }

    def sentences(self) -> list[str]:
        """Return the comparison in plain words."""
        found = self.summary()
        if not found["jobs"]:
            return [f"no job has been started in {format_duration(self.until_s - self.since_s)}: nothing to compare"]
        out = [
            f"{found['jobs']:,} jobs started in {format_duration(self.until_s - self.since_s)}; "
            f"{found['agree']:,} at the same time under {self.policy} (within {SAME_S:.0f} s)"
        ]
        out += [
            f"{found[word]:,} {word}, by {format_duration(found[f'{word}_mean_s'])} on average"
            for word in ("earlier", "later")
            if found[word]
        ]
        out.append(
            f"mean wait: {format_duration(found['cluster_mean_wait_s'])} as it was, "
            f"{format_duration(found['policy_mean_wait_s'])} under {self.policy} (estimated)"
        )
        if self.unstarted:
            out.append(f"{self.unstarted:,} more would have started, which still wait")
        if self.preemptions:
            out.append(f"{self.preemptions:,} times a running job would have been suspended")
        return out


def compare(
    memory: Memory, policy: Policy, *, run_times: RunTimes | None = None, backfill: int = 0, seed: int = 0
) -> Shadow:
    """Return what `policy` would have done since the first look, from the memory of a controller that watched.

    Raises
    ------
    InputError: nothing was watched yet.
    """
    first, last = memory.picture(FIRST), memory.picture()
    if first is None or last is None:
        raise InputError("nothing was watched yet; run `apportion live slurm POLICY --shadow` first", file=memory.path)
    times = run_times or RunTimes()
    truth = _truth(memory, last, times)
    begun = _begun(memory, first, times, truth)
    later = _later(begun.jobs["job_id"], truth, first.time_s)
    took = later.table["duration_s"].to_numpy()
    later = Workload(_expecting(later.table, truth, times), None, "later")
    known = begun.jobs.select("job_id", "state", "duration_s").join(
        truth.select("job_id", true="duration_s"), on="job_id", how="left", maintain_order="left"
    )
    durations = known.select(
        pl.when(pl.col("state") == ENDED).then("duration_s").otherwise(pl.coalesce("true", "duration_s"))
    ).to_series()
    work = np.concatenate([durations.to_numpy(), took]).astype(float)
    engine, encoded = resume(
        begun, policy, backfill=backfill, seed=seed, until_s=last.time_s, later=later, durations=work
    )
    finish(engine, encoded, policy, begun)
    ids = encoded.workload.table["job_id"]
    runs = engine.arrays["runs"][: int(engine.number("run_count"))]
    starts = (
        pl.DataFrame({"job_id": ids.gather(runs["job"].astype(np.int64)), "policy_s": runs["start"].copy()})
        .group_by("job_id")
        .agg(pl.col("policy_s").min())
    )
    ran = begun.jobs.filter(pl.col("state") == RUNNING)["job_id"]
    ours = truth.filter((pl.col("start_s") >= first.time_s) & ~pl.col("job_id").is_in(ran.implode()))
    jobs = ours.select("job_id", "user", "submit_s", cluster_s="start_s").join(
        starts, on="job_id", how="left", maintain_order="left"
    )
    waits = truth.filter(pl.col("start_s").is_null())["job_id"]
    unstarted = starts.filter(pl.col("job_id").is_in(waits.implode())).height
    preempted = int(engine.arrays["jobs"]["preemptions"].sum()) - int(begun.jobs["preemptions"].sum())
    return Shadow(policy.name, first.time_s, last.time_s, jobs, unstarted, preempted)


def _begun(memory: Memory, first: Observation, run_times: RunTimes, truth: pl.DataFrame) -> Situation:
    """Return the situation of the first look; of what ended, only that which had ended by then."""
    begun = assemble(first, memory, run_times, name="shadow")
    over = truth.filter(pl.col("end_s") <= first.time_s)["job_id"]
    kept = begun.jobs.filter((pl.col("state") != ENDED) | pl.col("job_id").is_in(over.implode()))
    return replace(begun, jobs=kept.with_columns(attained_s=pl.lit(0.0), preemptions=pl.lit(0, pl.Int32)), state={})


def _truth(memory: Memory, last: Observation, run_times: RunTimes) -> pl.DataFrame:
    """Return all jobs known: columns of a workload, `start_s` (null = waits); run times of those that still run, or
    wait, are predicted."""
    ended = memory.observed()
    situation = assemble(last, memory, run_times, name="shadow").jobs.filter(pl.col("state") != ENDED)
    open_ = situation.join(memory.first_starts(), on="job_id", how="left", maintain_order="left").with_columns(
        start_s=pl.coalesce("start_s", "started_s")
    )
    names = [name for name in ended.columns if name in open_.columns]
    alive = open_.filter(~pl.col("job_id").is_in(ended["job_id"].implode()))
    return pl.concat([ended, alive.select(names)], how="diagonal_relaxed")


def _later(known: pl.Series, truth: pl.DataFrame, since_s: float) -> Workload:
    fresh = truth.filter((pl.col("submit_s") > since_s) & ~pl.col("job_id").is_in(known.implode()))
    return Workload.of(fresh.drop("number", "start_s", "end_s", strict=False))


def _expecting(later: pl.DataFrame, truth: pl.DataFrame, run_times: RunTimes) -> pl.DataFrame:
    """Return the jobs with the run times that were expected of them: from those that had ended before they came."""
    parts = []
    step = max(-(-later.height // BATCHES), 1)
    for first in range(0, later.height, step):
        batch = later[first : first + step]
        history = truth.filter(pl.col("end_s") <= batch["submit_s"][0])
        expected = run_times.predict(history, batch)
        parts.append(batch.with_columns(duration_s=expected, estimate_s=expected))
    return pl.concat(parts) if parts else later
