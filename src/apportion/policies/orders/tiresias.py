"""Tiresias: least attained service in two dimensions, in discrete queues, or by Gittins index inside them.

Gu et al., "Tiresias: a GPU cluster manager for distributed deep learning", NSDI 2019, sections 3.2 and 3.3.

    a_j = GPUs x seconds run                                          attained service in two dimensions
    queue of j = number of thresholds that a_j has reached            discretized 2D-LAS
    G(a) = P(S - a <= D | S > a) / E[min(S - a, D) | S > a]           2D-Gittins, S the service of past jobs
    back to the first queue when waited >= promote x run              PROMOTEKNOB; both counts then start again

At every arrival, end and move between queues all jobs are planned anew: queue by queue, those that run before those
that wait, in the order in which they came (or the larger G first); each gets its GPUs while they last, the others are
preempted (`apportion.engine.feedback`). Nothing has to be known of a job; G needs how much service jobs of the past
took: a file with a column of GPU-seconds, or this workload as a whole.

With `compat` what the released simulator does otherwise is done so: the next move of a job with several GPUs is
foreseen too late, and G is rounded, takes E[min(S, D)] and is kept constant below each sample.

Example: `apportion compare synthetic:philly?jobs=2000 fifo tiresias tiresias[promote=8] --checkpoint-cost 30`
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from apportion.engine.layout import F8
from apportion.engine.plan import KEY_PREEMPTIVE, Feedback, OrderPlan
from apportion.model.errors import PolicyError
from apportion.policies.orders.las import attained
from apportion.policies.parameters import at_least, one_of
from apportion.policies.protocol import Jobs


@dataclass(frozen=True)
class Tiresias:
    """Discretized two-dimensional least attained service; see the module's text.

    Parameters
    ----------
    thresholds: GPU-seconds (seconds with `by=time`) at which a job leaves a queue, ascending, with slashes between.
    by: `gpu-time` or `time`.
    promote: a job that waited so many times as long as it ran goes back to the first queue, 0 = never.
    rank: inside a queue, `fifo` or `gittins`.
    history: CSV file whose column `duration` holds the GPU-seconds of past jobs; empty = those of this workload.
    delta: service quantum of the Gittins index, GPU-seconds.
    conserve: start jobs outside the plan on what the plan leaves free.
    compat: as the released simulator.
    """

    thresholds: str = "3250/7200"
    by: str = "gpu-time"
    promote: float = 0.0
    rank: str = "fifo"
    history: str = ""
    delta: float = 3250.0
    conserve: bool = True
    compat: bool = False

    def __post_init__(self) -> None:
        one_of("tiresias", "by", self.by, ("gpu-time", "time"))
        one_of("tiresias", "rank", self.rank, ("fifo", "gittins"))
        at_least("tiresias", "promote", self.promote, 0)
        if not self.delta > 0:
            raise PolicyError(f"tiresias: found delta={self.delta:g}, expected more than 0")
        if self.history and self.rank != "gittins":
            raise PolicyError("tiresias: found history= without rank=gittins")
        _limits(self.thresholds)

    def plan(self, jobs: Jobs) -> OrderPlan:
        """Return the plan.

        Raises
        ------
        PolicyError: the history cannot be read.
        """
        above, value = np.zeros(0), np.zeros(0)
        if self.rank == "gittins":
            samples = _history(self.history) if self.history else _service(jobs)
            above, value = (released_index if self.compat else gittins_index)(samples, self.delta)
        queues = Feedback(
            _limits(self.thresholds), self.by == "gpu-time", self.promote, above, value, late_moves=self.compat
        )
        return OrderPlan(KEY_PREEMPTIVE, kernel=attained, conserve=self.conserve, feedback=queues)


def gittins_index(samples: F8, delta: float) -> tuple[F8, F8]:
    """Return (ascending service, index of a job that received less); f8 each.

    samples: service of past jobs, GPU-seconds. Between two samples the index is that at the lower one; a job that
    received more than any of them has the index 0.
    """
    size = np.sort(samples)
    n = size.size
    total = np.concatenate([[0.0], np.cumsum(size)])
    a = np.concatenate([[0.0], size[:-1]])
    i, k = np.searchsorted(size, a, "right"), np.searchsorted(size, a + delta, "right")
    served = total[k] - total[i] - a * (k - i) + delta * (n - k)
    value: F8 = np.divide(k - i, served, out=np.zeros(n), where=served > 0)
    return size, value


def released_index(samples: F8, delta: float) -> tuple[F8, F8]:
    """Return the same as the released simulator has it, with its rounding."""
    size = np.sort(samples)
    n = size.size
    total = np.concatenate([[0.0], np.cumsum(size)])
    value = np.zeros(n)
    for at, sample in enumerate(size):
        a = sample - 1
        if a > size[-1] - 1:
            continue
        i = int(np.searchsorted(size, a, "right"))
        k = n - 1 if a + delta > size[-1] - 1 else int(np.searchsorted(size, a + delta, "right"))
        p = round((k - i) / (n - i), 5)
        e = round((total[k] - total[i] + delta * (n - k)) / (n - i), 5)
        value[at] = round(p * 1_000_000 / e, 4)
    return size, value


def _limits(text: str) -> F8:
    try:
        found = [float(part) for part in text.split("/")]
    except ValueError:
        found = []
    if not found or found[0] <= 0 or any(b <= a for a, b in pairwise(found)):
        raise PolicyError(f"tiresias: found thresholds={text}, expected ascending numbers with slashes: 3250/7200")
    return np.array(found)


def _service(jobs: Jobs) -> F8:
    seconds: F8 = jobs.workload.table["duration_s"].to_numpy()
    return seconds * jobs.encoded.milli / 1000


def _history(path: str) -> F8:
    try:
        samples: F8 = pl.read_csv(Path(path))["duration"].cast(pl.Float64).to_numpy()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise PolicyError(f"tiresias: cannot read {path}: {str(error).splitlines()[0]}") from None
    if not samples.size or not np.all(samples > 0):
        raise PolicyError(f"tiresias: {path}: expected a column `duration` of GPU-seconds above 0")
    return samples
