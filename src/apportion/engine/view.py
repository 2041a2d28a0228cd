"""What an allocator sees, and what it may answer.

An allocator is ordinary Python. It sees the jobs that wait or run, with what they have received, and answers with the
GPUs each gets until the next round, or with the part of the time that each gets on each GPU model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from apportion.engine.layout import F8, I8, Records
from apportion.engine.scaling import Scaling


@dataclass(frozen=True)
class View:
    """What an allocator sees at a round. All arrays have an entry per active job, in the order of submission.

    Parameters
    ----------
    now_s: time. jobs: i8, row numbers in the workload. running: bool.
    gpus: f8, GPUs asked for; held: f8, GPUs held now (0 while waiting).
    submit_s, attained_s, remaining_s: f8; attained: work done, remaining: work left, at the demanded size.
    least, most: f8, bounds of an elastic job (both `gpus` for a rigid one). user, group: i8.
    nodes: `NODE` records, read only. capacity_gpus: GPUs of the nodes that are up.
    number: i8, a name of each job that stays the same as long as the allocator is asked (`jobs` does not when a real
    cluster is run).
    models: GPU models of the nodes, None = not given. capacity: f8[models], GPUs that are up. speed: f8[jobs, models],
    units of work a second on the GPUs asked for, 0 where it cannot run; the unit is a training step where the job has a
    profile, else a second of its run time. done, left: f8, units. weight: f8. deadline_s: f8, inf = none.
    epoch: f8, epochs of training done, where batch sizes change (`engine.adapting`); nan = has none, None = nobody has.
    on: i8, position in `models` of the GPUs each holds, -1 = holds none. scaling: how speed grows with GPUs.
    kind: i8, type and width of each job; beside: f8[kinds, kinds, models, 2], units of work a second of a job of the
    one kind and one of the other while they share all their GPUs, 0 = cannot; None = no pair was measured.
    """

    now_s: float
    jobs: I8
    running: npt.NDArray[np.bool_]
    gpus: F8
    held: F8
    submit_s: F8
    attained_s: F8
    remaining_s: F8
    least: F8
    most: F8
    user: I8
    group: I8
    nodes: Records
    capacity_gpus: float
    number: I8
    models: tuple[str | None, ...]
    capacity: F8
    speed: F8
    done: F8
    left: F8
    weight: F8
    deadline_s: F8
    epoch: F8 | None = None
    on: I8 | None = None
    scaling: Scaling | None = None
    kind: I8 | None = None
    beside: F8 | None = None


@dataclass(frozen=True)
class Decision:
    """What an allocator wants until the next round.

    Parameters
    ----------
    gpus: f8, aligned with `View.jobs`: GPUs of each job, 0 = wait. start_order: i8, positions in `View.jobs`; those
    that get GPUs and do not run are started in this order (default: as they stand). model: i8, position in
    `View.models` of the GPUs each gets (default: any). again_s: time at which to be asked again at the latest (default:
    when a round is over). beside: i8, position in `View.jobs` of the job whose GPUs each shares, which comes before it
    in `View.jobs`, asks for as many GPUs, and whose model must be told; -1 = has GPUs of its own (default).
    """

    gpus: F8
    start_order: I8 | None = None
    model: I8 | None = None
    again_s: float | None = None
    beside: I8 | None = None


@dataclass(frozen=True)
class Shares:
    """What an allocator wants over time: part of the time on each GPU model; see `engine.turns`.

    Parameters
    ----------
    share: f8[jobs, models], aligned with `View.jobs`, 0 to 1. only: a job without a share on a model does not run
    there, even if GPUs are idle. pairs: i8[pairs, 2], positions in `View.jobs`, the lower first, of jobs of equal width
    that share all their GPUs for the part `together`, f8[pairs, models], of the time; None = nobody shares.
    """

    share: F8
    only: bool = False
    pairs: I8 | None = None
    together: F8 | None = None

    @property
    def whole(self) -> F8:
        """Return the part of the time that each job runs on each GPU model, alone or not."""
        if self.pairs is None or self.together is None:
            return self.share
        found = self.share.copy()
        for side in (0, 1):
            np.add.at(found, self.pairs[:, side], self.together)
        return found


class Decides(Protocol):
    """What is asked at a round."""

    def decide(self, view: View) -> Decision | Shares:
        """Return what each job gets."""
        ...
