"""Why a pending job does not start now: one dominant blocker, who holds what it needs, and what would start it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apportion.engine.layout import SKIP
from apportion.live.blocker import KINDS, Blocker, Scene, find_blocker
from apportion.live.lookup import row_of
from apportion.live.remedies import Remedy, find_remedies, relevant
from apportion.live.situation import RUNNING, Situation
from apportion.live.trial import Trial
from apportion.live.words import ahead, gpus, plural
from apportion.model.units import format_duration
from apportion.policies.protocol import Policy

HOLDERS = 5
"""Running jobs that are named at most."""


@dataclass(frozen=True)
class Holder:
    """A running job that holds GPUs the waiting one could use; `until_s`: when it is expected to end."""

    job_id: str
    user: str
    gpus: float
    since_s: float
    until_s: float


@dataclass(frozen=True)
class Reason:
    """Why a job does not start now.

    Parameters
    ----------
    job_id, user, demand, policy, now_s, waited_s: what it is about; demand in words. state: `pending`, `running`, or
    `starting` for one that the policy starts now. blocker: of a pending job. before: jobs that go before it.
    holders: who holds what it could use. remedies: verified changes that would start it now, the smallest first.
    nodes: where it runs or starts. asked: how often the policy was asked to find out.
    """

    job_id: str
    user: str
    demand: str
    policy: str
    now_s: float
    waited_s: float
    state: str
    blocker: Blocker | None = None
    before: int = 0
    holders: tuple[Holder, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    nodes: tuple[str, ...] = ()
    asked: int = 0

    @property
    def smallest(self) -> Remedy | None:
        """The smallest change that would start it now."""
        return self.remedies[0] if self.remedies else None

    def sentences(self) -> list[str]:
        """Return the answer in plain words, the reason first."""
        who = f"job {self.job_id} ({self.demand}{f', user {self.user}' if self.user else ''})"
        where = ", ".join(self.nodes[:4]) + (" ..." if len(self.nodes) > 4 else "")
        if self.state == RUNNING:
            return [f"{who} runs on {where}"]
        if self.blocker is None:
            return [f"{who} starts now under {self.policy}, on {where}"]
        waits = f"{who} has waited {format_duration(self.waited_s)}: {KINDS[self.blocker.kind]}"
        out = [waits, self.blocker.text, *self.blocker.details]
        if self.before and self.blocker.kind not in ("turn", "backfill", "impossible"):
            out.append(f"{plural(self.before, 'job')} of the queue {'goes' if self.before == 1 else 'go'} before it")
        for h in self.holders:
            holder = f"job {h.job_id}{f' of {h.user}' if h.user else ''}"
            long = format_duration(self.now_s - h.since_s)
            due = ahead(h.until_s - self.now_s)
            out.append(f"{holder} has held {gpus(1000 * h.gpus)} for {long}, expected to end {due}")
        if self.smallest is None:
            return [*out, "no change that was tried would start it now"]
        out.append(f"it would start now with: {self.smallest}")
        return out + [f"or: {remedy}" for remedy in self.remedies[1:]]

    def summary(self) -> dict[str, Any]:
        """Return the answer for JSON; times in seconds."""
        return {
            "job_id": self.job_id,
            "user": self.user,
            "demand": self.demand,
            "policy": self.policy,
            "state": self.state,
            "now_s": self.now_s,
            "waited_s": self.waited_s,
            "blocker": None if self.blocker is None else vars(self.blocker) | {"details": list(self.blocker.details)},
            "before": self.before,
            "holders": [vars(holder) for holder in self.holders],
            "remedies": [
                {"text": str(r), "changes": [str(c) for c in r.changes], "level": r.level} for r in self.remedies
            ],
            "nodes": list(self.nodes),
        }


def explain(
    situation: Situation,
    policy: Policy,
    job_id: str,
    *,
    backfill: int = SKIP,
    seed: int = 0,
    remedies: bool = True,
) -> Reason:
    """Say why a job does not start now, and what would start it.

    Parameters
    ----------
    backfill, seed: as the controller has them. remedies: whether to look for changes (the policy is asked some dozens
    of times).

    Raises
    ------
    InputError: no job that waits or runs has that id (the nearest is named). SituationError: what was observed cannot
    be.
    """
    row = row_of(situation, job_id)
    trial = Trial(situation, policy, job_id, backfill, seed)
    scene = Scene(trial, row)
    job = scene.job
    waited = max(situation.now_s - job["submit_s"], 0.0)
    about = (job_id, job["user"], scene.demand(), policy.name, situation.now_s, waited)
    if job["state"] == RUNNING:
        at = situation.places.filter(situation.places["job_id"] == job_id)["node"].to_list()
        return Reason(*about, RUNNING, nodes=tuple(dict.fromkeys(at)))
    for start in scene.decisions.starts:
        if start.job_id == job_id:
            return Reason(*about, "starting", nodes=tuple(dict.fromkeys(start.nodes)))
    blocker = find_blocker(scene)
    before = int(scene.queue.before(row).size)
    holders = tuple(Holder(**held) for held in relevant(scene, HOLDERS).to_dicts())
    found = tuple(find_remedies(scene)) if remedies else ()
    if blocker.kind == "impossible":
        holders = ()
    return Reason(*about, "pending", blocker, before, holders, found, asked=trial.asked)
