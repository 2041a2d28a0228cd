"""The answer to why a job waited: its intervals, what they add up to, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from apportion.model.units import format_duration
from apportion.study.why_rounds import Turns
from apportion.study.why_words import CAUSES, plural

SHOWN = 12
"""Intervals that `lines` shows, the longest."""


@dataclass(frozen=True)
class Interval:
    """A stretch of one cause, in seconds from the origin; `text` says it in plain words."""

    start_s: float
    end_s: float
    cause: str
    text: str

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Holder:
    """A job that held GPUs the waiting one could have used; `until_s` is None when it outlived the run."""

    job_id: str
    user: str
    gpus: float
    until_s: float | None


@dataclass(frozen=True)
class Explanation:
    """Why a job waited, or was rejected.

    Parameters
    ----------
    job_id, policy, status, gpus, user, submit_s: what it is about. wait_s: seconds it waited in all.
    intervals: in the order of time; neighbours differ in cause. totals: cause -> seconds, most first, their sum is
    `wait_s`.
    holders: who held most of the GPUs it could have used, over `longest`. notes: what else there is to know.
    """

    job_id: str
    policy: str
    status: str
    gpus: float
    user: str
    submit_s: float
    wait_s: float
    intervals: list[Interval] = field(default_factory=list)
    totals: dict[str, float] = field(default_factory=dict)
    holders: list[Holder] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    turns: list[Turns] = field(default_factory=list)

    @property
    def longest(self) -> Interval | None:
        """The longest interval, the first of equals."""
        return max(self.intervals, key=lambda i: i.seconds, default=None)

    def lines(self) -> list[str]:
        """Return the explanation for the terminal; times count from the job's submission."""
        size = f"{self.gpus:g} GPU{'' if self.gpus == 1 else 's'}"
        who = f"job {self.job_id} ({size}{f', user {self.user}' if self.user else ''})"
        if self.status == "rejected":
            return [f"{who} was rejected", *(f"  {note}" for note in self.notes)]
        if not self.intervals:
            return [f"{who} did not wait under {self.policy}", *self.notes]
        still = ", and had not ended when the run did" if self.status == "unfinished" else ""
        out = [f"{who} waited {format_duration(self.wait_s)} under {self.policy}{still}"]
        for cause, seconds in self.totals.items():
            out.append(f"  {_percent(seconds, self.wait_s):>6}  {format_duration(seconds):>9}  {CAUSES[cause]}")
        out += ["", "after its submission:"]
        shown = sorted(sorted(self.intervals, key=lambda i: -i.seconds)[:SHOWN], key=lambda i: i.start_s)
        for interval in shown:
            out.append(f"  {self._span(interval)}: {interval.text}")
        hidden = len(self.intervals) - len(shown)
        if hidden:
            rest = self.wait_s - sum(i.seconds for i in shown)
            out.append(f"  and {plural(hidden, 'shorter interval')}, {format_duration(max(rest, 0.0))} in all")
        out += self._turn_lines()
        longest = self.longest
        if self.holders and longest is not None:
            out += ["", f"who held what it could have used, {self._span(longest)}:"]
            for h in self.holders:
                until = "beyond the end" if h.until_s is None else f"until {self._after(h.until_s)}"
                user = f" of {h.user}" if h.user else ""
                out.append(f"  job {h.job_id}{user}: {h.gpus:g} GPU{'' if h.gpus == 1 else 's'} {until}")
        return out + ([""] if self.notes else []) + self.notes

    def _turn_lines(self) -> list[str]:
        if not self.turns:
            return []
        shown = sorted(sorted(self.turns, key=lambda t: -t.rounds)[:SHOWN], key=lambda t: t.start_s)
        out = ["", f"in the {plural(sum(t.rounds for t in self.turns), 'round')} it waited:"]
        for turn in shown:
            rounds = plural(turn.rounds, "round")
            out.append(f"  {self._after(turn.start_s)} to {self._after(turn.end_s)}, {rounds}: {turn.text}")
        hidden = self.turns[:0] if len(shown) == len(self.turns) else [t for t in self.turns if t not in shown]
        if hidden:
            out.append(f"  and {plural(sum(t.rounds for t in hidden), 'round')} under {len(hidden)} other shares")
        return out

    def _after(self, time: float) -> str:
        return format_duration(time - self.submit_s)

    def _span(self, interval: Interval) -> str:
        return f"{self._after(interval.start_s)} to {self._after(interval.end_s)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation for JSON; times in seconds from the origin."""
        share = self.wait_s or 1.0
        return {
            "job_id": self.job_id,
            "policy": self.policy,
            "status": self.status,
            "gpus": self.gpus,
            "user": self.user,
            "submit_s": self.submit_s,
            "wait_s": self.wait_s,
            "causes": [
                {"cause": c, "seconds": s, "percent": 100 * s / share, "text": CAUSES[c]}
                for c, s in self.totals.items()
            ],
            "intervals": [vars(i) | {"seconds": i.seconds} for i in self.intervals],
            "holders": [vars(h) for h in self.holders],
            "notes": self.notes,
            **({"turns": [vars(t) for t in self.turns]} if self.turns else {}),
        }


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
