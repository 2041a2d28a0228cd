"""What a policy is made of: an order or an allocator, and a placement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from apportion.engine.encode import Encoded
from apportion.engine.plan import OrderPlan, PlacementPlan
from apportion.engine.view import Decision, Shares, View
from apportion.model.workload import Workload


@dataclass(frozen=True)
class Jobs:
    """What an order may look at before a run starts.

    Parameters
    ----------
    workload: the table of jobs. encoded: its arrays, with users and groups as numbers. seed: of anything drawn.
    """

    workload: Workload
    encoded: Encoded
    seed: int


@runtime_checkable
class Order(Protocol):
    """Which pending job is looked at next."""

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the keys, or the kernel that computes them."""
        ...


@runtime_checkable
class Placement(Protocol):
    """Which node and which devices a task gets."""

    def plan(self) -> PlacementPlan:
        """Return the score, the device rule and what decides ties."""
        ...


@runtime_checkable
class Allocator(Protocol):
    """Who runs in the next round, with how many GPUs; or who gets which part of the time.

    It may have `remembers`, names of attributes that a controller keeps when it is started again (`policies.remember`);
    dictionaries by `View.number` among them forget jobs that are over.
    """

    round_s: float

    def decide(self, view: View) -> Decision | Shares:
        """Return the GPUs each job gets until the next round, or its part of the time from now on."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """An allocator that wants to see the jobs before it is asked, such as their profiles."""

    def prepare(self, jobs: Jobs) -> None:
        """Look at the jobs; on a real cluster before every decision, with the jobs that are then there."""
        ...


def prepare(allocator: Allocator, jobs: Jobs) -> None:
    """Show an allocator the jobs, if it wants to see them."""
    if isinstance(allocator, Prepares):
        allocator.prepare(jobs)


@dataclass(frozen=True)
class Policy:
    """An order or an allocator, with a placement; `name` is how the user wrote it."""

    name: str
    order: Order | Allocator
    placement: Placement
