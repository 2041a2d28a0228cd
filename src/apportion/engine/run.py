"""Set up the arrays of a run, drive the compiled loop slice by slice, and hand back its log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from apportion.engine import bits, loop
from apportion.engine.encode import NOWHERE, Encoded
from apportion.engine.layout import (
    DONE,
    EASY,
    F8,
    GROW,
    I4,
    I8,
    JOB,
    KEY_JOB,
    KEY_NONE,
    KEY_PREEMPTIVE,
    KEY_SHARE,
    LOOK,
    PAUSE,
    REJECTED,
    ROUND,
    SHARE,
    SKIP,
    Records,
)
from apportion.engine.plan import Feedback, OrderPlan, PlacementPlan, Settings, by_service, by_submission
from apportion.engine.state import State
from apportion.engine.watch import Watcher
from apportion.engine.world import (
    END,
    EXTRA,
    OUTSIDE,
    PART,
    PUT,
    QUEUE,
    RUN,
    STANDING,
    TABLE,
    WAITER,
)

SLICE = 1_000
"""Events of the first slice between two looks at the outside (progress, Ctrl-C); the next ones are fitted to time."""
SLICE_S = 0.2
"""Seconds a slice should last."""


@dataclass(frozen=True)
class Log:
    """What happened.

    Parameters
    ----------
    runs: `RUN` records in the order of their starts. puts: `PUT` records, the pieces of the runs. jobs: the jobs'
    table.
    tasks: shapes of the pieces (more than at the start where an allocator resized jobs).
    events: arrivals, ends, failures and repairs. end_s: time of the last. wall_s: seconds it took, compilation
    included.
    """

    runs: Records
    puts: Records
    jobs: Records
    tasks: Records
    events: int
    end_s: float
    wall_s: float


@dataclass(frozen=True)
class Times:
    """Of each job, f8[jobs], in seconds: submission, work, the estimate the scheduler sees, deadline (inf = none);
    priority; preemptible."""

    submit: F8
    work: F8
    estimate: F8
    deadline: F8
    priority: F8
    preemptible: Any


class Engine(State):
    """One run of a workload on a cluster under an order (or an allocator) and a placement.

    Parameters
    ----------
    encoded, times: what runs where. order, placement, settings: how.
    outside: failures and repairs (`OUTSIDE` records, ascending).
    """

    def __init__(
        self,
        encoded: Encoded,
        times: Times,
        order: OrderPlan,
        placement: PlacementPlan,
        settings: Settings,
        outside: Records | None = None,
    ) -> None:
        super().__init__(encoded, placement, settings.seed)
        self._set_order(order, settings)
        jobs = _jobs(encoded, times, order, settings)
        self._set_numbers(times, order, settings)
        for name, array in (
            _logs(jobs, encoded, order) | _queues(jobs, times, order, settings) | _sharing(jobs, encoded, order)
        ).items():
            self.attach(name, array)
        self._set_feedback(order, jobs.size)
        self.attach("jobs", jobs)
        self.attach("extra", _extra(encoded, times))
        self.attach("outside", np.zeros(0, OUTSIDE) if outside is None else outside)
        self.attach("reach", encoded.reach.ravel())
        self.attach("bound", _bound(encoded))

    def set_rates(self, profile: I4, rates: F8) -> None:
        """Let jobs work at the speed of the nodes they are on.

        profile: i4[jobs], row of `rates`, -1 = as fast everywhere, -2 = as told when it starts.
        rates: f8[profiles, GPU models], work a second over that on the model that run times are of.
        """
        self.attach("profile", profile)
        self.attach("rates", rates.ravel())
        self.root["rates_rows"] = len(rates)
        slowest = np.where(rates > 0, rates, np.inf).min(axis=1)
        known = profile >= 0
        self.arrays["jobs"]["rate"][known] = slowest[profile[known]]

    def _set_order(self, order: OrderPlan, settings: Settings) -> None:
        by_job = order.mode in (KEY_PREEMPTIVE, KEY_JOB) and order.kernel is not None
        by_share = order.mode == KEY_SHARE and order.kernel is not None
        self.call("job_key_kernel", order.kernel if by_job else by_submission)
        self.call("share_key_kernel", order.kernel if by_share else by_service)
        self.call("pass_kernel", _pass_of(order, settings))

    def _set_numbers(self, times: Times, order: OrderPlan, settings: Settings) -> None:
        first = min(0.0, float(times.submit.min())) if times.submit.size else 0.0
        numbers = {
            "now": first,
            "round_at": first if order.mode == KEY_NONE else np.inf,
            "wake_at": np.inf,
            "look_at": np.inf,
            "until": settings.until_s,
            "granularity": settings.granularity_s,
            "checkpoint_interval": settings.checkpoint_interval_s,
            "quantum": order.quantum_s,
            "backfill": settings.backfill,
            "mode": order.mode,
            "conserve": order.conserve,
            "queued_first": order.queued_first,
            "refresh": order.refresh,
            "quantum_when_stuck": order.quantum_when_stuck,
            "slice": SLICE,
        }
        for name, value in numbers.items():
            self.root[name] = value

    def _set_feedback(self, order: OrderPlan, jobs: int) -> None:
        queues = order.feedback or Feedback(np.zeros(0))
        standing = np.zeros(jobs if order.feedback is not None else 0, STANDING)
        standing["seen"], standing["number"] = -1, np.arange(standing.size)
        for name, array in (
            ("standing", standing),
            ("limits", queues.limits),
            ("index_above", queues.above),
            ("index_value", queues.value),
        ):
            self.attach(name, array)
        self.root["attentive"] = order.feedback is not None
        self.root["promote"], self.root["by_gpu_time"] = queues.promote, queues.by_gpu_time
        self.root["by_key"], self.root["late_moves"] = queues.by_key, queues.late_moves

    def step(self) -> int:
        """Go on until something needs an answer; return `DONE`, `ROUND`, `LOOK` or `PAUSE`."""
        while True:
            status = loop.run(self.root)
            if status != GROW:
                return int(status)
            self.grow()

    def switch(self, node: int, up: bool) -> None:
        """Open or close a node on which nothing runs."""
        loop.switch(self.root, node, up)

    def grow(self) -> None:
        """Make the log larger by half."""
        largest = int(self.arrays["kinds"]["pieces"].max())
        for name, least in (("runs", 1024), ("heap", 1024), ("puts", 1024 + largest)):
            old = self.arrays[name]
            new = np.zeros(old.size + max(old.size // 2, least), old.dtype)
            new[: old.size] = old
            self.attach(name, new)

    def _look(self, watchers: Sequence[Watcher]) -> bool:
        """Let those look whose time has come; return whether something is still to happen."""
        now = self.number("now")
        for watcher in watchers:
            if watcher.next_s <= now:
                watcher.look(self)
        self.root["look_at"] = min((watcher.next_s for watcher in watchers), default=np.inf)
        left = self.number("arrived") < self.arrays["jobs"].size or self.number("running_count") > 0
        return bool(left) or any(watcher.hopeful for watcher in watchers)

    def run(
        self,
        decide: Callable[[Engine], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
        watchers: Sequence[Watcher] = (),
    ) -> Log:
        """Run to the end.

        Parameters
        ----------
        decide: called at every round of an allocator, with the engine. progress: called with (jobs arrived, jobs).
        watchers: look at the run at times of their own.
        """
        began = time.perf_counter()
        self._look(watchers)
        while True:
            slice_began = time.perf_counter()
            status = self.step()
            # events differ in weight: a pass over a long preemptive queue takes longer than a thousand starts
            took = max(time.perf_counter() - slice_began, 1e-6)
            if status == PAUSE:
                self.root["slice"] = int(max(100, self.root["slice"][0] * min(SLICE_S / took, 8)))
            if progress is not None:
                progress(int(self.number("arrived")), self.arrays["jobs"].size)
            if status == DONE:
                break
            if status == ROUND and decide is not None:
                decide(self)
            if status == LOOK and not self._look(watchers) and not self.number("pass_due"):
                break
        return Log(
            self.arrays["runs"][: int(self.number("run_count"))],
            self.arrays["puts"][: int(self.number("put_count"))],
            self.arrays["jobs"],
            self.arrays["tasks"],
            int(self.number("events")),
            self.number("now"),
            time.perf_counter() - began,
        )


def _pass_of(order: OrderPlan, settings: Settings) -> Any:
    """Return the compiled scheduling pass; each is compiled only when a run needs it."""
    if order.mode == KEY_PREEMPTIVE and order.feedback is not None:
        from apportion.engine.feedback import pass_feedback

        return pass_feedback
    if order.mode == KEY_PREEMPTIVE:
        from apportion.engine.preempt import pass_preemptive

        return pass_preemptive
    if settings.backfill == EASY:
        from apportion.engine.easy import pass_easy

        return pass_easy
    from apportion.engine import passes

    return passes.pass_keys if order.mode == KEY_JOB else passes.pass_heads


def _jobs(encoded: Encoded, times: Times, order: OrderPlan, settings: Settings) -> Records:
    jobs = np.zeros(len(encoded.kind), TABLE)
    jobs["submit"], jobs["work"], jobs["estimate"] = times.submit, times.work, times.estimate
    jobs["remaining"] = times.work
    jobs["rate"] = 1.0
    jobs["checkpoint_cost"] = settings.checkpoint_cost_s
    jobs["kind"], jobs["part"] = encoded.kind, encoded.part
    jobs["run"] = -1
    jobs["preemptible"] = times.preemptible
    if encoded.rejected.any():
        jobs["state"][encoded.rejected] = REJECTED
    if order.share is not None:
        jobs["share"] = order.share
    return jobs


def _bound(encoded: Encoded) -> I8:
    """Return the sets of models that some jobs are bound to and some nodes with GPUs are not in."""
    asked = np.unique(encoded.tasks["models"] & ~NOWHERE)
    models = encoded.nodes["model"][encoded.nodes["gpus"] > 0]
    inside = (models >= 0) & ((asked[:, None] >> np.maximum(models, 0)) & 1 == 1)
    sets: I8 = asked[(asked != 0) & ~inside.all(axis=1)]
    return sets


def _extra(encoded: Encoded, times: Times) -> Records:
    extra = np.zeros(len(encoded.kind), EXTRA)
    extra["priority"], extra["deadline"] = times.priority, times.deadline
    extra["user"], extra["group"] = encoded.user, encoded.group
    return extra


def _logs(jobs: Records, encoded: Encoded, order: OrderPlan) -> dict[str, Records]:
    # without preemption and failures a job runs once: the log then never grows
    n = jobs.size
    runs = n + (1024 if order.mode in (KEY_PREEMPTIVE, KEY_NONE) else 64)
    pieces = int(encoded.kinds["pieces"][encoded.kind].sum()) if n else 0
    most = int(encoded.kinds["pieces"].max())
    return {
        "runs": np.zeros(runs, RUN),
        "heap": np.zeros(runs, END),
        "puts": np.zeros(pieces + most + 64, PUT),
        "running": np.zeros(n, np.int32),
        "touched": np.zeros(n + 64, np.int32),
        "subject": np.zeros(1, JOB),
        "ahead": encoded.nodes.copy(),
    }


def _sharing(jobs: Records, encoded: Encoded, order: OrderPlan) -> dict[str, Records]:
    shares = np.zeros(int(jobs["share"].max(initial=0)) + 1, SHARE)
    shares["weight"] = 1.0 if order.weights is None else order.weights
    parts = np.zeros(encoded.quota.size, PART)
    parts["quota"] = encoded.quota
    in_part = np.bincount(encoded.part, minlength=parts.size)
    parts["first"] = np.concatenate([[0], np.cumsum(in_part)[:-1]])
    waiting = np.zeros(jobs.size if order.mode == KEY_PREEMPTIVE else 0, WAITER)
    return {"shares": shares, "parts": parts, "waiting": waiting}


def _rank(keys: F8) -> Any:
    """Return the jobs in the order of their keys, ties in the order of submission."""
    if keys.size < 2 or bool(np.all(keys[1:] >= keys[:-1])):
        return np.arange(keys.size)
    return np.argsort(keys, kind="stable")


def _queues(jobs: Records, times: Times, order: OrderPlan, settings: Settings) -> dict[str, Records]:
    """Divide the jobs into queues whose heads speak for them: by class under `skip`, by partition otherwise."""
    n = jobs.size
    by_rank = _rank(order.keys if order.keys is not None else times.submit)
    jobs["rank"][by_rank] = np.arange(n, dtype=np.int32)
    by_class = settings.backfill == SKIP and order.mode != KEY_PREEMPTIVE
    number = jobs["kind" if by_class else "part"]
    if order.mode == KEY_SHARE and settings.backfill != EASY:
        pair = number.astype(np.int64) * (int(jobs["share"].max(initial=0)) + 1) + jobs["share"]
        number = np.unique(pair, return_inverse=True)[1].astype(np.int32)
    count = int(number.max(initial=0)) + 1
    small = number.astype(np.int16) if count < 1 << 15 else number
    slots = by_rank if count == 1 else by_rank[np.argsort(small[by_rank], kind="stable")]
    jobs["slot"][slots] = np.arange(n, dtype=np.int32)
    jobs["queue"] = number
    queues = np.zeros(count, QUEUE)
    queues["end"] = np.cumsum(np.bincount(number, minlength=count))
    queues["offset"][1:] = queues["end"][:-1]
    queues["head"] = queues["stamp"] = queues["kind"] = -1
    if n:
        one = np.zeros(count, np.int64)
        one[number] = np.arange(n)
        queues["share"], queues["part"] = jobs["share"][one], jobs["part"][one]
        if by_class:
            queues["kind"] = jobs["kind"][one]
    words, levels = bits.empty(n)
    return {
        "queues": queues,
        "active": np.zeros(count, np.int32),
        "candidates": np.zeros(count, np.int32),
        "job_at": slots.astype(np.int32),
        "words": words,
        "levels": levels,
    }
