"""Why a job waited: interval by interval, from a finished run, without running the policy again.

The takes and releases of the run are replayed over the time the job waited. At every step the job is tried on its nodes
as they were: what it lacks is the cause; where it would have fitted, the cause is the order.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import polars as pl

from apportion.engine.layout import KEY_STATIC
from apportion.model.errors import InputError
from apportion.model.signal import NodeEvents
from apportion.model.units import format_duration
from apportion.policies.protocol import Policy
from apportion.study.explanation import Explanation, Holder, Interval
from apportion.study.result import Result
from apportion.study.why_rounds import turns
from apportion.study.why_state import Finished, Spells, Wait
from apportion.study.why_words import Seen, Words, plural

HOLDERS, NOTES = 5, 5
"""Holders, and kinds of interruptions, that are named at most."""


__all__ = ["Explanation", "Holder", "Interval", "explain"]


def explain(
    result: Result,
    job_id: str,
    *,
    policy: str | Policy | None = None,
    backfill: str | None = None,
    granularity: float | None = None,
    seed: int | None = None,
    failures: NodeEvents | None = None,
) -> Explanation:
    """Say why a job of a finished run waited.

    Parameters
    ----------
    result: the run. job_id: of its workload (of several jobs of that id, the first).
    policy, backfill, granularity, seed, failures: as given to `simulate`; None = what the result says of itself.

    Raises
    ------
    InputError: no job has that id (the nearest are named), or the policy is not known by name.

    Examples
    --------
    >>> import apportion as ap
    >>> trace = ap.load("synthetic:philly?jobs=200&seed=1")
    >>> result = ap.simulate(trace.workload, trace.cluster, "sjf+best-fit")
    >>> why = explain(result, result.jobs["job_id"][0])
    >>> sum(why.totals.values()) == why.wait_s
    True
    """
    job = _find(result, job_id)
    run = Finished(result, policy, backfill, granularity, seed, failures)
    words = Words(run, job)
    row = result.jobs.row(job, named=True)
    about = (row["job_id"], run.policy.name, row["status"], row["gpus"], row["user"], row["submit_s"])
    if row["status"] == "rejected":
        return Explanation(*about, 0.0, notes=list(words.rejected()))
    mine = run.spells_of(job)
    ends = _ends_of_runs(run, words, job)
    notes = _notes(run, words, mine, ends)
    if not mine.job.size:
        return Explanation(*about, 0.0, notes=notes)
    intervals = _intervals(run, words, mine, ends)
    measured = math.fsum((mine.end - mine.start).tolist())
    # a job that waits when the run ends has not got its wait in the table yet
    waits_on = row["wait_s"] is None or (row["status"] == "unfinished" and mine.end[-1] == run.end_s)
    wait = measured if waits_on else float(row["wait_s"])
    explanation = Explanation(*about, wait, intervals, _totals(intervals, wait), [], notes, turns(run, job, mine))
    longest = explanation.longest
    if longest is not None:
        explanation.holders.extend(_holders(run, job, longest))
        received = words.received(longest.start_s)
        if received:
            notes.append(f"{words.order_name} puts those first that received least: {received}")
    return explanation


def _find(result: Result, job_id: str) -> int:
    ids = result.jobs["job_id"]
    found = (ids == job_id).arg_max()
    if found is not None and ids[found] == job_id:
        return int(found)
    near: list[str] = []
    if job_id.isascii() and job_id.isdigit():
        numbers = result.jobs.select("job_id", far=(pl.col("job_id").cast(pl.Int64, strict=False) - int(job_id)).abs())
        near = numbers.drop_nulls().bottom_k(3, by="far")["job_id"].to_list() if len(job_id) < 18 else []
    # names: those that begin alike, as far as they do
    for length in range(len(job_id), 0, -1):
        if near:
            break
        near = ids.filter(ids.str.starts_with(job_id[:length])).head(3).to_list()
    hint = (
        f"; near it: {', '.join(near)}"
        if near
        else f"; there are ids such as {', '.join(ids.head(3))}" * bool(len(ids))
    )
    raise InputError(f"found no job {job_id!r} among {len(ids):,} jobs{hint}")


def _ends_of_runs(run: Finished, words: Words, job: int) -> dict[float, str]:
    """Return when runs of the job were cut short, and why."""
    mine = np.flatnonzero(run.job == job)
    done = run.result.jobs["end_s"][job]
    out: dict[float, str] = {}
    for end in np.unique(run.end[mine]).tolist():
        if np.isfinite(end) and end != done:
            out[end] = words.interrupted(end, sorted(set(run.node[mine[run.end[mine] == end]].tolist())))
    return out


def _notes(run: Finished, words: Words, mine: Spells, ends: dict[float, str]) -> list[str]:
    out = []
    submit = run.result.jobs["submit_s"][words.job]
    for why, times in Counter(ends.values()).most_common(NOTES):
        at = [format_duration(time - submit) for time, text in ends.items() if text == why]
        when = f"{times:,} times, from {at[0]} to {at[-1]}" if times > 1 else at[0]
        out.append(f"{when} after its submission: {why}")
    passed = run.passed_by(words.job, mine)
    if passed:
        out.append(f"{plural(passed, 'job')} submitted after it started on its nodes while it waited")
    return out


def _intervals(run: Finished, words: Words, mine: Spells, ends: dict[float, str]) -> list[Interval]:
    """Return the intervals of one cause each, in the order of time; they cover the spells."""
    out = []
    for start, first, end in zip(mine.start.tolist(), run.ticks(mine.start).tolist(), mine.end.tolist()):
        if first > start:
            out.append(Interval(start, min(first, end), "clock", words.passed_over("clock", -1)))
    late = Spells(mine.job, run.ticks(mine.start), mine.end)
    late = late.where(late.start < late.end)
    if late.job.size:
        out += _merged(words, run.wait(words.job, late, run.backfill != "skip" and run.order.mode == KEY_STATIC))
    out.sort(key=lambda i: i.start_s)
    return [
        Interval(i.start_s, i.end_s, i.cause, f"{ends[i.start_s]}; then {i.text}") if i.start_s in ends else i
        for i in out
    ]


def _merged(words: Words, wait: Wait) -> list[Interval]:
    """Join neighbouring steps of the same cause, and of the same job at the head of the queue."""
    steps = wait.steps
    head = np.where(steps.code == 0, wait.head, -1)
    new = np.ones(steps.code.size, bool)
    new[1:] = (steps.code[1:] != steps.code[:-1]) | (head[1:] != head[:-1]) | (wait.start[1:] != wait.end[:-1])
    at = np.flatnonzero(new)
    ends = wait.end[np.append(at[1:], new.size) - 1]
    least = np.minimum.reduceat(steps.free, at)
    free, places, best = (np.maximum.reduceat(v, at) for v in (steps.free, steps.places, steps.best))
    out = []
    for n, i in enumerate(at):
        cause = words.cause(int(steps.code[i]))
        if steps.code[i] == 0:
            text = words.passed_over(cause, int(head[i]))
        else:
            text = words.lacking(cause, Seen(int(least[n]), int(free[n]), int(places[n]), int(best[n])))
        out.append(Interval(float(wait.start[i]), float(ends[n]), cause, text))
    return out


def _totals(intervals: list[Interval], wait: float) -> dict[str, float]:
    """Return the seconds of every cause, most first; what rounding lost goes to the largest, so that they add up."""
    parts: dict[str, list[float]] = {}
    for interval in intervals:
        parts.setdefault(interval.cause, []).append(interval.seconds)
    totals = {cause: math.fsum(seconds) for cause, seconds in parts.items()}
    totals = dict(sorted(totals.items(), key=lambda item: -item[1]))
    largest = next(iter(totals))
    for _ in range(8):
        missing = wait - sum(totals.values())
        if missing == 0:
            break
        totals[largest] += missing
    return totals


def _holders(run: Finished, job: int, over: Interval) -> list[Holder]:
    jobs = run.result.jobs
    found = run.holders(job, over.start_s, over.end_s).head(HOLDERS)
    return [
        Holder(
            jobs["job_id"][row["job"]],
            jobs["user"][row["job"]],
            round(row["gpus"], 3),
            row["end"] if np.isfinite(row["end"]) else None,
        )
        for row in found.iter_rows(named=True)
    ]
