"""What a policy remembers on a real cluster: kept by the controller, and given back before every decision.

An engine and its rounds are made anew for every decision, so that a decision depends on nothing but the situation. What
a run of the simulator would carry on from event to event is therefore part of the situation: what an allocator
`remembers`, who received what of his share of the time (`engine.turns`), and where jobs stand in feedback queues
(`engine.feedback`). By lasting numbers of jobs, as JSON.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from apportion import __version__
from apportion.engine.layout import I8
from apportion.engine.rounds import Rounds
from apportion.engine.run import Engine
from apportion.engine.turns import Turns
from apportion.live.situation import ENDED, Situation
from apportion.policies.protocol import Allocator, Policy
from apportion.policies.remember import only, recall, remembered

State = dict[str, Any]
"""What is remembered, ready for JSON: `of` says by which policy of which version, as others would read it wrongly."""

_STANDS = ("checked", "lifted", "waited", "place", "level")


def owner(policy: Policy) -> str:
    """Return who can read what a policy remembers."""
    return f"{policy.name} {__version__}"


def state_of(engine: Engine, rounds: Rounds | None, policy: Policy, situation: Situation) -> State:
    """Return what the policy has to remember after a decision; {} = nothing."""
    there = (situation.jobs["state"] != ENDED).to_numpy()
    numbers = situation.jobs["number"].to_numpy()[there]
    out: State = {}
    if isinstance(policy.order, Allocator):
        out["allocator"] = only(remembered(policy.order), set(numbers.tolist()))
        if isinstance(rounds, LiveRounds):
            out["turns"] = rounds.turns_state(np.flatnonzero(there))
    elif engine.arrays["standing"].size:
        stands = engine.arrays["standing"][: there.size][there]
        looked_at = stands["seen"] >= 0
        out["standing"] = {name: stands[name][looked_at].tolist() for name in _STANDS}
        out["standing"]["number"] = numbers[looked_at].tolist()
    # of an allocator it is remembered, if nothing else, when it was asked
    return {"of": owner(policy)} | out if out else {}


def stand_again(engine: Engine, policy: Policy, situation: Situation) -> None:
    """Let the jobs of feedback queues stand where they stood."""
    stands = engine.arrays["standing"]
    if not stands.size:
        return
    numbers = situation.jobs["number"].to_numpy()
    stands["number"][: numbers.size] = np.argsort(np.argsort(numbers, kind="stable"), kind="stable")
    kept = _own(policy, situation).get("standing")
    if not kept:
        return
    then = dict(zip(kept["number"], zip(*(kept[name] for name in _STANDS), strict=True), strict=True))
    for row in np.flatnonzero((situation.jobs["state"] != ENDED).to_numpy()):
        found = then.get(int(numbers[row]))
        if found is not None and found[0] <= situation.now_s:
            for name, value in zip(_STANDS, found, strict=True):
                stands[name][row] = value
            stands["seen"][row] = 0


def recall_allocator(rounds: LiveRounds, policy: Policy, situation: Situation) -> None:
    """Give an allocator and its rounds back what they knew."""
    kept = _own(policy, situation)
    if isinstance(policy.order, Allocator) and "allocator" in kept:
        recall(policy.order, kept["allocator"])
    turns = kept.get("turns")
    # by a clock that was ahead nobody would be served for long
    if turns and turns["last_s"] <= situation.now_s:
        rounds.recall(turns)


def _own(policy: Policy, situation: Situation) -> State:
    return dict(situation.state) if situation.state.get("of") == owner(policy) else {}


@dataclass
class LiveRounds(Rounds):
    """Rounds that go on where those of the decision before ended."""

    def turns_state(self, rows: I8) -> State | None:
        """Return what these rows received and are owed; None where the allocator gives no shares."""
        turns = self._turns
        if turns is None or self.numbers is None:
            return None
        drawn = turns._random
        return {
            "models": list(self.speeds.models),
            "number": self.numbers[rows].tolist(),
            # nan is no JSON
            "known": (~np.isnan(turns.share[rows, 0])).tolist(),
            "share": np.nan_to_num(turns.share[rows]).tolist(),
            "received": turns.received[rows].tolist(),
            "deficit": turns.deficit[rows].tolist(),
            "total": turns._total.tolist(),
            "since": turns._since,
            "only": turns.only,
            "shared": self.numbers[self._shared].tolist(),
            "last_s": self._last_s,
            "random": None if drawn is None else drawn.getstate(),
        }

    def recall(self, kept: State) -> None:
        """Go on from what `turns_state` said, as far as it is of this cluster's GPU models."""
        if kept["models"] != list(self.speeds.models) or self.numbers is None:
            return
        row = {number: at for at, number in enumerate(self.numbers.tolist())}
        here = [(at, row[number]) for at, number in enumerate(kept["number"]) if number in row]
        then, now = np.array(here, np.int64).reshape(-1, 2).T
        turns = Turns(len(self.encoded.kind), len(self.speeds.models), self.round_s, 0.0)
        share = np.where(np.array(kept["known"], bool)[:, None], np.array(kept["share"]), np.nan)
        for mine, theirs in (
            (turns.share, share),
            (turns.received, np.array(kept["received"])),
            (turns.deficit, np.array(kept["deficit"])),
        ):
            mine[now] = theirs[then]
        turns._total[:] = kept["total"]
        turns._since, turns.only = kept["since"], kept["only"]
        if kept["random"] is not None:
            version, words, gauss = kept["random"]
            turns._random = random.Random()
            turns._random.setstate((version, tuple(words), gauss))
        self._turns, self._last_s = turns, kept["last_s"]
        # one that is gone is no row: then shares are due
        self._shared = np.array([row.get(number, -1) for number in kept["shared"]], np.int64)
