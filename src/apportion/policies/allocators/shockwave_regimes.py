"""What Shockwave expects of a job: how long it still runs, when it knows the regimes but not when they change.

Zheng et al., NSDI 2023, section 5 and the released code. A job trains E epochs, each in one of M regimes (batch sizes).
The belief about how many epochs there are of each is a Dirichlet distribution with the prior E / |M| for every regime,
to which the epochs 0..c that were seen are added. With r_b epochs expected of regime b, less those seen, of a mean
duration of d_b seconds, the job still runs R = (sum of r_b d_b) (E - c) / max(int(sum of r_b + 1), E - c) seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.policies.protocol import Jobs
from apportion.traces.regimes import SAMPLES, batch_schedule
from apportion.traces.shockwave import GPU

OVER_S = 1.0
"""What remains of a job that should be over."""


class Course(NamedTuple):
    """What is expected after c = 0..E epochs: f8[E + 1], seconds run, seconds left, mean seconds of epochs 0..c."""

    ran_s: F8
    left_s: F8
    mean_s: F8


class Outlook(NamedTuple):
    """What is expected of each job now, f8[jobs]: seconds run, seconds left, part of the epochs done, and how long all
    epochs take at the mean seconds of those seen."""

    ran_s: F8
    left_s: F8
    progress: F8
    length_s: F8


def course(batch: I8, duration_s: F8) -> Course:
    """Return the course of a job from the batch size and the seconds of each of its epochs.

    Examples
    --------
    >>> import numpy as np
    >>> course(np.array([32, 32, 64, 64]), np.array([30.0, 30.0, 20.0, 20.0])).left_s
    array([76.8, 40. , 26. , 10. ,  1. ])
    """
    epochs = batch.size
    c = np.arange(epochs + 1)
    modes, mode = np.unique(batch, return_inverse=True)
    seen = np.zeros((epochs + 1, modes.size))
    seen[np.arange(epochs), mode] = 1
    # epochs 0..c, the one that runs included; there is none after the last
    seen = np.cumsum(seen, axis=0)
    belief = epochs / modes.size + seen
    expected = epochs * belief / belief.sum(axis=1, keepdims=True)
    expected -= np.minimum(seen, np.floor(expected))
    mean = np.array([duration_s[mode == m].mean() for m in range(modes.size)])
    remaining = epochs - c
    left = (expected @ mean) * remaining / np.maximum(np.floor(expected.sum(axis=1) + 1), np.maximum(remaining, 1))
    left[-1] = OVER_S
    ran = np.concatenate(([0.0], np.cumsum(duration_s)))
    met = np.minimum(c + 1, epochs)
    return Course(ran, left, ran[met] / met)


@dataclass
class Regimes:
    """The courses of a workload's jobs, made when first asked for.

    Parameters
    ----------
    jobs: of the run. A job of a trace with batch sizes (columns `mode` and `epochs`, and profiles) has its regimes; any
    other is one regime that lasts as long as its estimate, twice as long when that is over, and so on.
    """

    jobs: Jobs
    _courses: dict[int, Course | None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        table = self.jobs.workload.table
        # Gavel's jobs have a mode, which never changes, and no epochs
        self._profiles = self.jobs.workload.profiles if {"mode", "epochs"} <= set(table.columns) else None
        self._estimate_s = table["estimate_s"].fill_null(np.nan).to_numpy()
        self._duration_s = table["duration_s"].to_numpy()

    def __deepcopy__(self, memo: dict[int, object]) -> Regimes:
        # it only keeps what it computed from jobs that do not change
        return self

    def outlook(self, rows: I8, attained_s: F8, remaining_s: F8, epoch: F8) -> Outlook:
        """Return what is expected of jobs.

        Parameters
        ----------
        rows: of the workload. attained_s, remaining_s: f8, seconds of run time; the second counts only where nobody
        estimated. epoch: f8, epochs done; nan = not known.
        """
        ran = attained_s.astype(np.float64)
        estimate = self._estimate_s[rows]
        length = np.maximum(np.where(np.isnan(estimate), ran + remaining_s, estimate), OVER_S)
        over = ran >= length
        length[over] *= 2.0 ** (np.floor(np.log2(ran[over] / length[over])) + 1)
        left, progress = length - ran, ran / length
        for i, row in enumerate(rows.tolist() if self._profiles is not None else []):
            known = self._course(row)
            if known is None:
                continue
            epochs = known.left_s.size - 1
            if np.isnan(epoch[i]):
                scale = known.ran_s[-1] / max(self._duration_s[row], OVER_S)
                c = int(np.searchsorted(known.ran_s, attained_s[i] * scale, "right")) - 1
            else:
                c = int(epoch[i])
            # a job that is still there is in its last epoch at most: beyond it nothing would speak for its running
            c = min(c, epochs - 1)
            ran[i], left[i], progress[i] = known.ran_s[c], known.left_s[c], c / epochs
            length[i] = known.mean_s[c] * epochs
        return Outlook(ran, left, progress, length)

    def _course(self, row: int) -> Course | None:
        if row not in self._courses:
            self._courses[row] = self._profiled(row)
        return self._courses[row]

    def _profiled(self, row: int) -> Course | None:
        """Return the course of a job with batch sizes; a size that was not measured is run with the first."""
        columns = ("job_type", "gpus", "mode", "batch_size", "epochs")
        job_type, width, mode, first, epochs = self.jobs.workload.table.select(columns).row(row)
        model = str(job_type or "").partition(" (")[0]
        if model not in SAMPLES or not epochs or not first or not mode:
            return None
        batch = batch_schedule(model, int(first), int(width), mode, int(epochs))
        sizes = np.unique(batch)
        names = [f"{model} (batch size {size})" for size in sizes]
        assert self._profiles is not None
        speed = self._profiles.speeds(names, [int(width)] * sizes.size, [GPU])[:, 0]
        if not speed[sizes == first].any():
            return None
        batch = np.where(np.isin(batch, sizes[speed > 0]), batch, first)
        known = dict(zip(sizes.tolist(), speed.tolist(), strict=True))
        seconds = np.array([SAMPLES[model] / size / known[size] for size in batch.tolist()])
        # the released code keeps whole seconds
        return course(batch, np.maximum(np.round(seconds), OVER_S))
