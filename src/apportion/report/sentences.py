"""What the numbers say, in one sentence each: the headline of a report and the captions of its plots.

Sentences are HTML: names come in as `Run.html`, already escaped and coloured; every other word is ours or
escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import polars as pl

from apportion.report import words
from apportion.report.breakdown import OTHERS, Table
from apportion.report.clock import Clock
from apportion.report.curves import Binned, Bins
from apportion.report.occupancy import Occupancy

_ALIKE = 0.005
_WORTH_SAYING = 0.05
_CLOSE = 0.15
_KINDS = {"demand": "demand", "length": "run time", "group": "group"}


@dataclass(frozen=True)
class Run:
    """One run as sentences need it: its name as HTML, its summary."""

    html: str
    summary: Mapping[str, Any]

    def number(self, *path: str) -> float | None:
        """Return a number of the summary, or None."""
        value: Any = self.summary
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return None if value is None else float(value)


def headline(runs: Sequence[Run]) -> str:
    """Return the main finding: the shortest mean completion time against the first run, and its price."""
    means = [run.number("jct_s", "mean") for run in runs]
    known = [(m, i) for i, m in enumerate(means) if m is not None]
    if not known:
        return "No job completed" + (f" under {words.names([r.html for r in runs])}" if len(runs) > 1 else "")
    if len(runs) == 1:
        return _headline_of_one(runs[0])
    least, winner = min(known)
    base = means[0]
    if base is None:
        return f"{runs[winner].html} completes jobs in {words.duration(least)} on average; {runs[0].html} none"
    if max(m for m, _ in known) <= least * (1 + _ALIKE):
        return f"The mean completion time is the same under all policies: {words.duration(base)}"
    if base <= least * (1 + _ALIKE):
        second, other = min((m, i) for m, i in known if i != 0)
        return (
            f"{runs[0].html} has the shortest mean completion time, {words.duration(base)}; "
            f"the next, {runs[other].html}, takes {_more(second, base)}"
        )
    cut = words.percent(1 - least / base)
    finding = f"{runs[winner].html} cuts mean completion time by {cut} against {runs[0].html}"
    return f"{finding}{_price(runs[winner], runs[0])}"


def _headline_of_one(run: Run) -> str:
    mean, median = run.number("jct_s", "mean"), run.number("wait_s", "p50")
    text = f"Under {run.html} jobs complete in {words.duration(mean or 0.0)} on average"
    if median is not None:
        text += "; half start at once" if median < 1 else f"; half wait longer than {words.duration(median)}"
    busy = run.number("gpu_utilization")
    return text + (f", and {words.percent(busy)} of the GPU time is in use" if busy else "")


def _price(winner: Run, base: Run) -> str:
    """Return what the winner costs or brings besides: the longest wait, else the tail, else utilisation."""
    for part, noun in (("max", "the longest wait"), ("p99", "the 99th percentile of the wait")):
        after, before = winner.number("wait_s", part), base.number("wait_s", part)
        if after is None or not before or abs(after / before - 1) < _WORTH_SAYING:
            continue
        if after > before:
            grows = (
                f"{words.amount(after / before)}×" if after >= 2 * before else f"by {words.percent(after / before - 1)}"
            )
            return f"; {noun} grows {grows}"
        return f", and {noun} by {words.percent(1 - after / before)}"
    return " at the same longest wait" if winner.number("wait_s", "max") is not None else ""


def lead(runs: Sequence[Run]) -> str:
    """Return a second sentence under the headline: who completed how much, and how busy the GPUs were."""
    completed = [run.number("completed") or 0.0 for run in runs]
    busy = [run.number("gpu_utilization") for run in runs]
    jobs = runs[0].number("jobs") or 0.0
    parts = []
    if len(set(completed)) == 1:
        share = "all" if completed[0] == jobs else f"{words.count(completed[0])} of"
        under = " under every policy" if len(runs) > 1 else ""
        parts.append(f"{share.capitalize()} {words.plural(jobs, 'job')} completed{under}")
    else:
        each = [f"{words.count(c)} under {run.html}" for c, run in zip(completed, runs)]
        parts.append(f"Of {words.plural(jobs, 'job')} completed: {words.names(_few(each))}")
    known = [(b, run) for b, run in zip(busy, runs) if b is not None]
    if len(runs) > 1 and known and any(b for b, _ in known):
        least, most = min(b for b, _ in known), max(b for b, _ in known)
        if words.percent(least) == words.percent(most):
            parts.append(f"the GPUs are {words.percent(most)} busy either way")
        else:
            each = [f"{words.percent(b)} busy under {run.html}" for b, run in known]
            parts.append(f"the GPUs are {words.names(_few(each))}")
    return "; ".join(parts) + "."


def completion(runs: Sequence[Run]) -> str:
    """Return the caption of the distribution of completion times."""
    shown = [r for r in runs if r.number("jct_s", "p50") is not None]
    if not shown:
        return "No job completed."
    each = [_under(words.duration(r.number("jct_s", "p50") or 0.0), r, runs) for r in shown]
    tails = [_under(words.duration(r.number("jct_s", "p99") or 0.0), r, runs) for r in shown]
    return (
        f"Half of the jobs complete within {words.names(_few(each))}; "
        f"one in a hundred takes more than {words.names(_few(tails))}."
    )


def waiting(runs: Sequence[Run], waits: Sequence[pl.Series]) -> str:
    """Return the caption of the distribution of waits."""
    shares = [float((w.drop_nulls() <= 60).mean() or 0.0) if w.drop_nulls().len() else None for w in waits]  # type: ignore[arg-type]
    each = [_under(words.percent(s), run, runs) for s, run in zip(shares, runs) if s is not None]
    if not each:
        return "No job started."
    longest = [_under(words.duration(m), r, runs) for r in runs if (m := r.number("wait_s", "max")) is not None]
    return (
        f"Of the jobs that start, {words.names(_few(each))} do so within a minute of submission; "
        f"the longest wait is {words.names(_few(longest))}."
    )


def over_time(runs: Sequence[Run], binned: Sequence[dict[str, Binned]], bins: Bins, clock: Clock) -> str:
    """Return the caption of the timelines: when the queue was longest."""
    each = []
    for run, steps in zip(runs, binned):
        queue = steps["pending_jobs"].high
        peak = int(np.argmax(queue))
        if queue[peak] < 1:
            each.append(f"never forms{_tail(run, runs)}")
        else:
            when = clock.say(bins.start_s + (peak + 0.5) * bins.width_s)
            each.append(f"peaks at {words.plural(float(queue[peak]), 'job')} {when}{_tail(run, runs)}")
    return f"The queue {words.names(_few(each))}."


def by_category(runs: Sequence[Run], categories: Sequence[str], table: Table, kind: str) -> str:
    """Return the caption of waits by `kind` (demand, length or group): who waits longest, who least."""
    named = [name for name in categories if name != OTHERS] or list(categories)
    clauses: list[str] = []
    for i in dict.fromkeys([0, _counterpart(runs)]):
        found = [(name, w.p90) for name in named if (w := table[i].get(name))]
        if found:
            clauses.append(_range(found, f"under {runs[i].html} " if len(runs) > 1 else "", kind, not clauses))
    text = "; ".join(clauses) or "no job started"
    return text[0].upper() + text[1:] + "."


def _range(found: list[tuple[str, float]], under: str, kind: str, first: bool) -> str:
    """Return the 90th percentiles of one run: of the category that waits longest and of the least."""
    worst, most = max(found, key=lambda item: item[1])
    least, fewest = min(found, key=lambda item: item[1])
    jobs = "jobs that run" if kind == "length" else "jobs of"
    if most < 1:
        return f"{under}nine jobs in ten start at once, whatever their {_KINDS[kind]}"
    if fewest >= most * (1 - _CLOSE):
        return f"{under}one job in ten waits more than {words.duration(most)}, whatever its {_KINDS[kind]}"
    tail = "one in ten waits more than " if first else ""
    text = f"{under}{jobs} {escape(worst)} wait longest ({tail}{words.duration(most)})"
    return f"{text}, {jobs} {escape(least)} least ({words.duration(fewest)})"


def _counterpart(runs: Sequence[Run]) -> int:
    """Return the run to tell of beside the first: the other with the shortest mean completion time."""
    means = [(run.number("jct_s", "mean"), i) for i, run in enumerate(runs)]
    return min(((m, i) for m, i in means[1:] if m is not None), default=(0.0, 0))[1]


def by_node(run: Run, map_: Occupancy) -> str:
    """Return the caption of the heat map of one run."""
    share = float(map_.share.mean())
    full = float((map_.share.mean(axis=0) >= 0.95).mean())
    text = f"Under {run.html} {words.percent(share)} of the GPU time shown is allocated"
    if len(map_.rows) > 1:
        most, least = float(map_.mean.max()), float(map_.mean.min())
        if most - least >= _WORTH_SAYING:
            where = escape(map_.rows[int(np.argmin(map_.mean))])
            text += f", from {words.percent(least)} on {where} to {words.percent(most)} on the busiest"
        else:
            text += ", spread evenly over the nodes"
    if full > 0:
        text += f"; during {words.percent(full)} of the time the cluster is full (95 % or more)"
    return text + "."


def _more(value: float, base: float) -> str:
    return (
        f"{words.amount(value / base)}× as long" if value >= 2 * base else f"{words.percent(value / base - 1)} longer"
    )


def _tail(run: Run, runs: Sequence[Run]) -> str:
    return f" under {run.html}" if len(runs) > 1 else ""


def _under(text: str, run: Run, runs: Sequence[Run]) -> str:
    return f"{text}{_tail(run, runs)}"


def _few(parts: list[str]) -> list[str]:
    """Return the first, and at most two more: a sentence is no table."""
    return parts if len(parts) <= 3 else parts[:3]
