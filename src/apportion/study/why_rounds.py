"""Why a job was not given a turn: its share in the rounds it waited, what it was owed, and which constraint bound."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.engine.round_log import Given, RoundLog
from apportion.engine.rules import get_rules
from apportion.engine.speeds import speeds_of
from apportion.model.units import format_duration
from apportion.study.why_state import Finished, Spells

PENDING, NOTHING, NOWHERE, FULL, WIDE, SCATTERED, PASSED = (
    "no share yet", "no share", "cannot run", "full", "too wide", "scattered", "passed over",
)  # fmt: skip


@dataclass(frozen=True)
class Turns:
    """Rounds that a job waited under the same share.

    Parameters
    ----------
    start_s, end_s: from the first of them to the end of the last, seconds from the origin. rounds: how many.
    share: part of the time on each GPU model (`""` = not named), None where the allocator gives GPUs and not time, or
    none was computed yet. owed_s: share that it was due and had not received when the last of them began, seconds, over
    all models. causes: what kept it from running -> rounds, most first. text: it all in plain words.
    """

    start_s: float
    end_s: float
    rounds: int
    share: dict[str, float] | None
    owed_s: float | None
    causes: dict[str, int]
    text: str


class _Rounds:
    """The rounds of a run as one job met them."""

    def __init__(self, run: Finished, job: int) -> None:
        self.run, self.job = run, job
        self.log: RoundLog = run.result.facts["rounds"]
        self.starts: F8 = np.array(self.log.starts)
        size = run.encoded.milli / 1000
        self.width = float(size[job])
        self.speed = speeds_of(run.encoded, size, size).speed[job]
        self.names = [model or "" for model in self.log.models]
        self.left = self._left()

    def _left(self) -> F8:
        """Return the GPUs of each model that nobody held once a round had begun: f8[rounds, models]."""
        nodes = self.run.encoded.nodes
        model = np.maximum(nodes["model"], 0)
        left = np.tile(np.bincount(model, nodes["gpus"], self.speed.size), (self.starts.size, 1)).astype(np.float64)
        at = model[self.run.node]
        for m in range(self.speed.size):
            for times, sign in ((self.run.start[at == m], -1.0), (self.run.released[at == m], 1.0)):
                order = np.argsort(times, kind="stable")
                total = np.concatenate([[0.0], np.cumsum(self.run.gpus[at == m][order])])
                left[:, m] += sign * total[np.searchsorted(times[order], self.starts, side="right")]
        return left

    def given(self, number: int) -> tuple[Given, int] | None:
        """Return the last shares computed for the job up to a round, and its row in them."""
        for given in reversed(self.log.given):
            if given.since <= number:
                row = np.flatnonzero(given.jobs == self.job)
                if row.size:
                    return given, int(row[0])
        return None

    def cause(self, number: int, found: tuple[Given, int] | None) -> str:
        """Say what kept the job from running in a round."""
        if self.job in self.log.missed.get(number, ()):
            return SCATTERED
        unknown = self.log.kept_until is not None and number >= self.log.kept_until
        usable = self.speed > 0
        if self.log.given and not unknown:
            if found is None:
                return PENDING
            share = found[0].share[found[1]]
            if not (share > 0).any():
                return NOTHING
            if found[0].only:
                usable &= share > 0
        if not usable.any():
            return NOWHERE
        # what is left is left to rounding where devices are shared
        most = float(self.left[number][usable].max())
        return FULL if most <= 1e-6 else WIDE if most < self.width - 1e-6 else PASSED

    def owed(self, given: Given, row: int, at: float) -> float:
        """Return the seconds of its share that the job had not received by a time."""
        since = float(self.starts[given.since])
        mine = (self.run.job == self.job) & self.run.first
        ran = np.minimum(self.run.end[mine], at) - np.maximum(self.run.start[mine], since)
        return float(given.deficit[row].sum() + given.share[row].sum() * (at - since) - ran.clip(min=0).sum())


def turns(run: Finished, job: int, mine: Spells) -> list[Turns]:
    """Return the rounds in which the job waited, those under the same share together; none under an order.

    Parameters
    ----------
    mine: when it waited, in the order of time.
    """
    if "rounds" not in run.result.facts or not run.encoded.milli[job]:
        return []
    rounds = _Rounds(run, job)
    first, last = np.searchsorted(rounds.starts, mine.start), np.searchsorted(rounds.starts, mine.end)
    numbers: I8 = np.concatenate([np.zeros(0, np.int64), *(np.arange(a, b) for a, b in zip(first, last))])
    changes = np.array([given.since for given in rounds.log.given])
    if rounds.log.kept_until is not None:
        changes = np.append(changes, rounds.log.kept_until)
    era = np.searchsorted(changes, numbers, side="right")
    pieces = np.split(numbers, np.flatnonzero(np.diff(era)) + 1)
    return _merged([_turns(rounds, piece) for piece in pieces if piece.size])


def _turns(rounds: _Rounds, numbers: I8) -> Turns:
    kept = rounds.log.kept_until
    found = rounds.given(int(numbers[0])) if kept is None or numbers[0] < kept else None
    share = None if found is None else found[0].share[found[1]]
    causes = Counter(rounds.cause(int(number), found) for number in numbers)
    last = int(numbers[-1])
    end = float(rounds.starts[last + 1]) if last + 1 < rounds.starts.size else rounds.run.end_s
    owed = None if found is None else rounds.owed(*found, float(rounds.starts[last]))
    named = None if share is None else {n: float(s) for n, s in zip(rounds.names, share, strict=True)}
    ordered = dict(causes.most_common())
    text = _text(rounds, named, owed, ordered)
    return Turns(float(rounds.starts[numbers[0]]), end, numbers.size, named, owed, ordered, text)


def _merged(pieces: list[Turns]) -> list[Turns]:
    """Join neighbours without a share: nothing tells them apart."""
    out: list[Turns] = []
    for piece in pieces:
        if out and out[-1].share is None and piece.share is None:
            before = out.pop()
            causes = dict((Counter(before.causes) + Counter(piece.causes)).most_common())
            piece = Turns(before.start_s, piece.end_s, before.rounds + piece.rounds, None, None, causes, piece.text)
        out.append(piece)
    return out


def _text(rounds: _Rounds, share: dict[str, float] | None, owed: float | None, causes: dict[str, int]) -> str:
    parts = []
    if share is not None:
        models = [f"{part:.1%} on {name}" for name, part in share.items() if name and part > 0]
        split = f" ({', '.join(models)})" if len(share) > 1 and models else ""
        parts.append(f"a share of {sum(share.values()):.1%} of the time{split}".replace("%", " %"))
    if owed is not None:
        state = "owed" if owed >= 0 else "ahead of it by"
        parts.append(f"{state} {format_duration(abs(owed))}")
    said = [_words(rounds, cause) for cause in causes]
    if len(said) > 1:
        said = [
            f"{words} ({times} rounds)" if times > 1 else f"{words} (1 round)"
            for words, times in zip(said, causes.values())
        ]
    return "; ".join([*parts, ", ".join(said)])


def _words(rounds: _Rounds, cause: str) -> str:
    width = f"{rounds.width:g} GPU{'' if rounds.width == 1 else 's'}"
    barred = [name for name, speed in zip(rounds.names, rounds.speed, strict=True) if name and not speed > 0]
    where = f" (it cannot run on {' or '.join(barred)})" if barred else ""
    if cause == PENDING:
        rules = rounds.run.result.facts.get("rules")
        every = f", at most every {format_duration(get_rules(rules).reset_s)}" if rules else ""
        return f"no share yet: shares are computed anew when jobs come or go{every}"
    return {
        NOTHING: "the shares give it no time",
        NOWHERE: f"its share is on GPU models that it does not run on{where}",
        FULL: f"every GPU it could use went to others before it{where}",
        WIDE: f"fewer than its {width} were left after those before it{where}",
        SCATTERED: f"it was chosen, but its {width} were scattered over nodes",
        PASSED: f"room was left for it, but it was not chosen{where}",
    }[cause]
