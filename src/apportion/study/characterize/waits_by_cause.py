"""Why jobs wait: no GPUs free, the group's share used up, or GPUs free but scattered."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model.words import percent
from apportion.model.workload import Workload
from apportion.study.characterize.section import Analysis, Section, Subject

MOST_JOBS = 1_000_000
"""Jobs that are replayed at most: of a longer trace the middle, where the cluster is neither filling nor draining."""
LEAST_WAIT_S = 1.0
"""Sizes that wait less on average do not wait: what their moments are due to says nothing."""
POLICY = "fifo"
"""Jobs in their order, what does not fit is passed over, best fit: a plain scheduler, so that causes are the load's."""

KEY, TITLE = "waits_by_cause", "Why jobs wait"


def look(subject: Subject) -> Section:
    """Replay the jobs on the cluster under first come, first served, and say what each lacked while it waited.

    Of the seconds between submission and start: `quota`, its group's nodes were used up while others had enough GPUs
    free; `fragmentation`, enough GPUs were free to it but not where a gang can use them; `cpu_or_memory`, GPUs without
    CPU or memory beside them; `capacity`, too few GPUs were free anywhere; `order`, it would have fitted.
    """
    # compiled code takes a second to load: only a trace with a cluster waits for it
    from apportion.engine.causes import CAUSES, seconds_by_cause
    from apportion.engine.encode import encode
    from apportion.study.changes import all_changes
    from apportion.study.simulate import simulate

    cluster = subject.cluster
    assert cluster is not None
    work, left_out = _middle(subject)
    result = simulate(work, cluster, POLICY)
    encoded = encode(work, cluster)
    time, changes = all_changes(result, encoded)
    jobs = result.jobs
    waited = (jobs["wait_s"] > 0).fill_null(False)
    wait = jobs.filter(waited)
    seconds = seconds_by_cause(
        encoded,
        time,
        changes,
        np.flatnonzero(waited.to_numpy()),
        wait["submit_s"].to_numpy(),
        wait["start_s"].to_numpy(),
    )
    size = subject.jobs["size"].slice(left_out[0], len(work))
    table = pl.DataFrame({"size": size, "wait_s": jobs["wait_s"]}).with_columns(waited=waited)
    causes = pl.DataFrame({name: seconds[:, i] for i, name in enumerate(CAUSES)})
    by_size = _by_size(table, table.filter("waited").select("size").hstack(causes))
    total = float(seconds.sum())
    numbers = {
        "jobs": float(len(work)),
        "waited_share": float(waited.mean() or 0.0),  # type: ignore[arg-type]
        "mean_wait_s": float(jobs["wait_s"].mean() or 0.0),  # type: ignore[arg-type]
        "rejected_jobs": float((jobs["status"] == "rejected").sum()),
    } | {f"{name}_share": float(seconds[:, i].sum()) / total if total else 0.0 for i, name in enumerate(CAUSES)}
    recorded = subject.jobs["wait_s"].slice(left_out[0], len(work)) if "wait_s" in subject.jobs.columns else None
    if recorded is not None and recorded.count():
        numbers["recorded_mean_wait_s"] = float(recorded.mean() or 0.0)  # type: ignore[arg-type]
    divided = cluster.table["group"].null_count() < cluster.table.height
    return Section(
        KEY, TITLE, numbers, {"by_size": by_size}, tuple(_sentences(numbers, by_size, divided, sum(left_out)))
    )


def _middle(subject: Subject) -> tuple[Workload, tuple[int, int]]:
    """Return the jobs that are replayed, and how many before and after them are not."""
    work = subject.trace.workload
    over = max(len(work) - MOST_JOBS, 0)
    before = over // 2
    if not over:
        return work, (0, 0)
    return Workload(work.table.slice(before, MOST_JOBS), work.origin, work.name), (before, over - before)


def _by_size(jobs: pl.DataFrame, causes: pl.DataFrame) -> pl.DataFrame:
    """Return `size, jobs, waited_share, mean_wait_s` and the share of the wait that each cause has."""
    from apportion.engine.causes import CAUSES

    counts = jobs.group_by("size").agg(
        jobs=pl.len(), waited_share=pl.col("waited").mean(), mean_wait_s=pl.col("wait_s").mean()
    )
    seconds = causes.group_by("size").agg(pl.col(name).sum() for name in CAUSES)
    total = pl.sum_horizontal(CAUSES)
    shares = seconds.select("size", *(pl.when(total > 0).then(pl.col(name) / total).alias(name) for name in CAUSES))
    joined = counts.join(shares, on="size", how="left").sort("size")
    return joined.with_columns(pl.col("size").cast(pl.String), pl.col(CAUSES).fill_null(0.0))


WHAT = {
    "order": "their place in the queue",
    "quota": "their group's share: its nodes were used up while other groups had enough GPUs free",
    "fragmentation": "fragmentation: enough GPUs were free to them, but not on the same nodes",
    "cpu_or_memory": "CPU or memory: GPUs were free on nodes that had none of it left",
    "capacity": "a lack of GPUs: too few were free anywhere",
}
SHORT = {
    "capacity": "too few GPUs",
    "fragmentation": "scattered GPUs",
    "quota": "used-up quota",
    "cpu_or_memory": "no CPU or memory left",
    "order": "place in the queue",
}
HELP = {
    "quota": "Lending idle nodes between groups would shorten it; buying GPUs for everybody would not.",
    "fragmentation": "Placement that keeps nodes whole, or moving jobs together, would shorten it without new GPUs.",
    "cpu_or_memory": "Nodes with more CPU and memory for each GPU, or smaller requests, would shorten it.",
    "capacity": "Only more GPUs, or less load at the busiest times, shorten it.",
    "order": "Another order of the queue would shorten it.",
}


def _sentences(numbers: dict[str, float], by_size: pl.DataFrame, divided: bool, left_out: int) -> list[str]:
    from apportion.engine.causes import CAUSES

    if numbers["waited_share"] == 0:
        out = ["On this cluster no job would have to wait under first come, first served: there is room to spare."]
    else:
        shares = sorted(((numbers[f"{name}_share"], name) for name in CAUSES), reverse=True)
        share, cause = shares[0]
        out = [f"Of all time spent waiting, {percent(share)} is due to {WHAT[cause]}. {HELP[cause]}"]
        others = [f"{percent(part)} to {WHAT[name].partition(':')[0]}" for part, name in shares[1:] if part >= 0.005]
        if others:
            out.append("The rest is due to: " + ", ".join(others) + ".")
        worst = by_size.filter(pl.col("mean_wait_s") >= LEAST_WAIT_S).sort("fragmentation", descending=True).head(1)
        if worst.height and worst["fragmentation"][0] > max(2 * numbers["fragmentation_share"], 0.05):
            out.append(
                f"Jobs of {worst['size'][0]} GPUs suffer most from fragmentation: {percent(worst['fragmentation'][0])} "
                "of their wait."
            )
    if "recorded_mean_wait_s" in numbers:
        out.append(
            f"The replay waits {numbers['mean_wait_s']:,.0f} s on average, the trace itself recorded "
            f"{numbers['recorded_mean_wait_s']:,.0f} s: the nearer the two, the more the causes are those of the trace."
        )
    if not divided:
        out.append("No node belongs to a group, so nothing can be due to quotas; a cluster file with `group` says so.")
    if numbers["rejected_jobs"]:
        out.append(f"{numbers['rejected_jobs']:,.0f} jobs ask for more than the whole cluster has and are left out.")
    if left_out:
        out.append(f"Only {MOST_JOBS:,} jobs from the middle are replayed; {left_out:,} before and after are not.")
    return out


ANALYSES = (
    Analysis(
        KEY,
        TITLE,
        ("duration_s", "cluster"),
        look,
        "Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters, ATC'19",
    ),
)
