"""Shockwave: a market whose prices follow the jobs: fair over time, efficient, and ahead of changing batch sizes.

Zheng, Pan, Shajii, Zhang, Venkataraman, Akella: "Shockwave: fair and efficient cluster scheduling for dynamic
adaptation in machine learning", NSDI 2023, as in the released code. When jobs came or went, or `resolve` rounds went
by, the next `window` rounds are planned: who gets how many (`shockwave_counts`) and when (`shockwave_plan`), from what
is expected of each job (`shockwave_regimes`).

A job j is due at F_j = 0.9 (mean over time) + 0.1 (latest) of: submission + (seconds run + R_j) / s, with R_j seconds
left and the part s = min(1, G / n) of the time that each of n jobs on G GPUs would get. It is behind by
rho_j = (now + R_j / s) / F_j; if rho_j > 1 its logarithmic utility counts pi_j = rho_j^lambda times, rho_j^100 times
when less than a round is left. That no rho_j be over 1 is a constraint of the paper's program which hardly any instance
can meet; the program that is solved instead is the one with these priorities. They are kept below `cap`.

The released code counts these times from the start of the cluster, so that on a long trace every rho_j comes near 1;
with `since=submit` they count from the job's submission, as finish-time fairness does: better for anything but a
comparison with that code. A job that shares a GPU is planned as if it had it alone. On several GPU models the plan is
made as if all GPUs were alike; each job then runs on the fastest model that is free.

Example: `apportion simulate synthetic:philly?jobs=300 --policy shockwave[k=10,lambda=5] --cluster pool:64`
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.engine.view import Decision, View
from apportion.model.errors import PolicyError
from apportion.policies.allocators.shockwave_counts import Program, solve
from apportion.policies.allocators.shockwave_plan import place, place_rounds
from apportion.policies.allocators.shockwave_regimes import OVER_S, Outlook, Regimes
from apportion.policies.parameters import at_least, one_of
from apportion.policies.protocol import Jobs

MOMENTUM = 0.9
"""Weight of the mean of the times at which a job was due against the latest of them."""

NEARLY_DONE = 100.0
"""Power of a job that is behind and has less than a round left."""

EARLY = 0.25
"""A round that begins earlier than planned by less than this part of a round is the one that was planned."""


@dataclass
class Due:
    """When a job is due, as estimated over time: the sum of estimates, each as often as it held, and the latest."""

    since_s: float
    at_s: float
    latest_s: float
    sum_s: float = 0.0

    def update(self, now: float, due_s: float) -> None:
        """Take a new estimate."""
        self.sum_s += (now - self.at_s) * self.latest_s
        self.at_s, self.latest_s = now, due_s

    def target(self, now: float) -> float:
        """Return the time at which the job is due."""
        held = now - self.since_s
        mean = (self.sum_s + (now - self.at_s) * self.latest_s) / held if held > 0 else self.latest_s
        return MOMENTUM * mean + (1 - MOMENTUM) * self.latest_s


@dataclass
class Shockwave:
    """Plans a window of rounds; see the module's text.

    Parameters
    ----------
    window: rounds that are planned (at least 1).
    k: weight of the makespan (at least 0).
    lambda_: power of the priorities of jobs that are behind (at least 0).
    round_s: length of a round (at least 1 s).
    resolve: rounds after which a plan is made anew, if it reaches so far (at least 1).
    cap: most that a priority may be (at least 1).
    solver: `count`, or `exact`: the paper's program with a yes or no for each job and round, then one that orders them,
        by HiGHS (slow, for checks).
    since: whether times count from the `start` of the cluster or from a job's `submit`.
    """

    window: int = 20
    k: float = 1e-3
    lambda_: float = 12.0
    round_s: float = 120.0
    resolve: int = 8
    cap: float = 1e6
    solver: str = "count"
    since: str = "start"
    every_round: bool = field(default=True, init=False, repr=False)
    remembers = ("_due", "_on", "_planned", "_planned_s", "_of")
    _regimes: Regimes | None = field(default=None, init=False, repr=False)
    _due: dict[int, Due] = field(default_factory=dict, init=False, repr=False)
    _on: dict[int, int] = field(default_factory=dict, init=False, repr=False)
    _planned: I8 = field(default_factory=lambda: np.zeros((0, 0), np.int64), init=False, repr=False)
    _planned_s: float = field(default=np.inf, init=False, repr=False)
    _of: tuple[tuple[int, ...], tuple[float, ...]] = field(default=((), ()), init=False, repr=False)

    def __post_init__(self) -> None:
        for key, value, least in (
            ("window", self.window, 1),
            ("k", self.k, 0),
            ("lambda", self.lambda_, 0),
            ("round", self.round_s, 1),
            ("resolve", self.resolve, 1),
            ("cap", self.cap, 1),
        ):
            at_least("shockwave", key, value, least)
        one_of("shockwave", "solver", self.solver, ("count", "exact"))
        one_of("shockwave", "since", self.since, ("start", "submit"))

    def prepare(self, jobs: Jobs) -> None:
        """Learn the regimes of the jobs of a run."""
        self._regimes = Regimes(jobs)

    def decide(self, view: View) -> Decision:
        """Return who runs in this round, by the plan."""
        here = tuple(view.number.tolist()), tuple(view.capacity.tolist())
        turn = math.floor((view.now_s - self._planned_s) / self.round_s + EARLY) if self._planned_s < np.inf else -1
        if here != self._of or not 0 <= turn < len(self._planned):
            self._plan(view, here)
            turn = 0
        model = self._planned[turn]
        runs = model >= 0
        self._on.update(zip(view.number[runs].tolist(), model[runs].tolist(), strict=True))
        return Decision(np.where(runs, view.gpus, 0.0), None, model)

    def _plan(self, view: View, here: tuple[tuple[int, ...], tuple[float, ...]]) -> None:
        """Make a new plan."""
        if self._regimes is None:
            raise PolicyError("shockwave: found no jobs to plan for, expected a call of prepare() first")
        if view.now_s < self._planned_s < np.inf:
            # another run, or one that was looked ahead from
            self._due, self._on, self._of = {}, {}, ((), ())
        epoch = np.full(view.jobs.size, np.nan) if view.epoch is None else view.epoch
        outlook = self._regimes.outlook(view.jobs, view.attained_s, view.remaining_s, epoch)
        share = float(np.clip(view.capacity_gpus / max((view.gpus > 0).sum(), 1), 1e-9, 1.0))
        if here[0] != self._of[0]:
            self._estimate(view, outlook, share)
        priority = self._priority(view, outlook, share)
        self._planned = self._rounds(view, outlook, priority)
        self._planned_s, self._of = view.now_s, here

    def _estimate(self, view: View, outlook: Outlook, share: float) -> None:
        """Note when every job is due as things stand."""
        now, numbers = view.now_s, view.number.tolist()
        due = view.submit_s + (outlook.ran_s + outlook.left_s) / share
        self._due = {j: self._due.get(j) or Due(now, now, 0.0) for j in numbers}
        self._on = {j: self._on[j] for j in numbers if j in self._on}
        for j, due_s in zip(numbers, due.tolist(), strict=True):
            self._due[j].update(now, due_s)

    def _priority(self, view: View, outlook: Outlook, share: float) -> F8:
        target = np.array([self._due[j].target(view.now_s) for j in view.number.tolist()])
        origin = view.submit_s if self.since == "submit" else 0.0
        expected = view.now_s + outlook.left_s / share - origin
        behind = np.log(np.maximum(expected / np.maximum(target - origin, OVER_S), 1.0))
        power = np.where(outlook.left_s < self.round_s, NEARLY_DONE, self.lambda_)
        return np.asarray(np.exp(np.minimum(power * behind, np.log(self.cap))))

    def _rounds(self, view: View, outlook: Outlook, priority: F8) -> I8:
        """Return the GPU model of each job in each round, -1 = waits: i8[rounds, jobs]."""
        width, left = np.ceil(view.gpus).astype(np.int64), outlook.left_s
        # what asks for no GPU, or for more than there are, takes no part
        fits = (width > 0) & ((view.speed > 0) & (view.capacity >= width[:, None])).any(axis=1)
        speed = np.where(fits[:, None], view.speed, 0.0)
        program = Program(
            width[fits],
            left[fits],
            outlook.progress[fits],
            outlook.length_s[fits],
            priority[fits],
            view.capacity_gpus,
            self.window,
            self.round_s,
            self.k,
        )
        on = np.array([self._on.get(j, -1) for j in view.number.tolist()], np.int64)
        ahead = min(self.resolve, self.window)
        if self.solver == "exact":
            from apportion.policies.allocators.shockwave_exact import rank, schedule

            granted = np.zeros((self.window, width.size), np.int64)
            granted[:, fits] = rank(program, schedule(program))
            return place_rounds(granted[:ahead], width, left, view.capacity, speed, on)
        counts = np.zeros(width.size, np.int64)
        counts[fits] = solve(program)
        return place(counts, width, priority, left, self.window, ahead, view.capacity, speed, on)
