"""Batch sizes that change while a job runs, as Shockwave's simulator lets them (its profiles: `traces.regimes`).

Zheng et al., NSDI 2023, the released code. After every round each job looks at the epoch it is in and may ask for
another batch size; it gets it when the next round in which it ran is over. Then its steps, those done and those in all,
are counted anew so that the epochs stay the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from apportion.engine.layout import F8, I8
from apportion.model.profiles import Profiles
from apportion.traces.regimes import GNS, LARGEST_BATCH, SAMPLES

SMALLEST = {"ResNet-18": 16, "ResNet-50": 16, "Transformer": 16, "LM": 5, "Recommendation": 512}


@dataclass
class Batches:
    """The batch size of every job.

    Parameters
    ----------
    model, mode: of each job; width: its GPUs. first, now: i8[jobs], batch sizes at the start and now.
    profiles: throughputs by batch size. gpus: models of the cluster.
    """

    model: list[str]
    mode: list[str]
    width: I8
    first: I8
    profiles: Profiles
    gpus: list[str | None]
    now: I8 = field(init=False)
    _asked: I8 = field(init=False)
    """The batch size each asked for, 0 = none."""
    _epoch_steps: F8 = field(init=False)
    """Steps of an epoch, nan where the model is not known."""

    def __post_init__(self) -> None:
        self.now, self._asked = self.first.copy(), np.zeros(self.first.size, np.int64)
        self._speeds: dict[tuple[str, int, int], F8] = {}
        known = np.array([model in SAMPLES and model in LARGEST_BATCH for model in self.model], bool)
        self._samples = np.array([SAMPLES.get(model, np.nan) for model in self.model], np.float64)
        self._epoch_steps = np.ceil(self._samples / np.maximum(self.now, 1))
        self._largest = np.array([LARGEST_BATCH.get(model, 0) for model in self.model], np.int64)
        self._smallest = np.array([SMALLEST.get(model, 0) for model in self.model], np.int64)
        mode = np.array(self.mode, object)
        self._gns = known & (mode == "gns")
        self._accordion = known & (mode == "accordion") & np.array([m != "Transformer" for m in self.model], bool)
        steps = [GNS.get(key, ()) for key in zip(self.model, self.width.tolist(), self.first.tolist(), strict=True)]
        self._thresholds = np.full((self.first.size, max([*map(len, steps), 1])), np.inf)
        for row, thresholds in zip(self._thresholds, steps, strict=True):
            row[: len(thresholds)] = thresholds
        self._windows = np.array([_windows(m, b) for m, b in zip(self.model, self.first.tolist(), strict=True)])
        self._windows = self._windows.reshape(-1, 4)

    def epochs_done(self, jobs: I8, steps: F8) -> F8:
        """Return how many epochs these jobs have behind them, nan where the model is not known; steps: f8, done."""
        return np.asarray(np.floor(steps / self._epoch_steps[jobs]))

    def look(self, active: I8, steps: F8) -> None:
        """Let the active jobs ask for other batch sizes; steps: f8[jobs], done so far."""
        some = active[self._gns[active]]
        epoch, now = np.ceil(steps[some] / self._epoch_steps[some]), self.now[some]
        doubled = (epoch[:, None] + 1 >= self._thresholds[some]).sum(axis=1)
        wanted = np.minimum(self.first[some] * 2**doubled, self._largest[some])
        grows = (wanted > now) & (now != self._largest[some])
        self._asked[some[grows]] = 2 * now[grows]

        some = active[self._accordion[active]]
        epoch, now, first = np.ceil(steps[some] / self._epoch_steps[some]), self.now[some], self.first[some]
        critical = self._critical(some, epoch)
        grows = (now == first) & ~critical & (now != self._largest[some])
        self._asked[some[grows]] = self._largest[some[grows]]
        shrinks = (now != first) & critical & (now != self._smallest[some])
        self._asked[some[shrinks]] = first[shrinks]

    def _critical(self, jobs: I8, epoch: F8) -> npt.NDArray[np.bool_]:
        """Say whether gradients change fast in this epoch, so that Accordion keeps the batch small."""
        start, every, second, third = self._windows[jobs].T
        since = np.where(every > 0, epoch % np.maximum(every, 1), epoch)
        found: npt.NDArray[np.bool_] = since < start
        found |= (second <= epoch) & (epoch < second + 10)
        found |= (third <= epoch) & (epoch < third + 10)
        return found

    def asks(self, jobs: I8) -> I8:
        """Return those of the jobs that asked for another batch size."""
        return jobs[self._asked[jobs] > 0]

    def change(self, job: int, done: float, total: float) -> tuple[float, float, F8] | None:
        """Give a job the batch size it asked for; return its steps done, in all, and its speeds, or None.

        A size that was not measured is refused.
        """
        wanted, self._asked[job] = int(self._asked[job]), 0
        model, old = self.model[job], int(self.now[job])
        if not wanted or (self.first[job] == LARGEST_BATCH[model] and model != "Transformer"):
            return None
        speed = self._speed(model, wanted, int(self.width[job]))
        if not np.all(speed > 0):
            return None
        before, after = (-(-SAMPLES[model] // batch) for batch in (old, wanted))
        epochs = math.ceil(total / before)
        scaled = math.ceil(total * (1 / (wanted / old)))
        in_all = scaled if math.ceil(scaled / after) == epochs else after * epochs
        self.now[job], self._epoch_steps[job] = wanted, after
        return float(math.ceil(done / before) * after), float(in_all), speed

    def _speed(self, model: str, batch: int, width: int) -> F8:
        key = (model, batch, width)
        if key not in self._speeds:
            job_type = f"{model} (batch size {batch})"
            self._speeds[key] = self.profiles.speeds([job_type], [width], self.gpus)[0]
        return self._speeds[key]


def _windows(model: str, first: int) -> tuple[float, float, float, float]:
    """Return which epochs are critical: those below the first number, counted anew every so many epochs (0 = never),
    and ten from the third and from the fourth number on."""
    if model == "LM":
        return 10, 0, np.inf, np.inf
    if model == "Recommendation":
        return {512: 30, 1024: 30, 2048: 40}.get(first, 10), 0, np.inf, np.inf
    if model == "ResNet-50":
        return 10, 30, np.inf, np.inf
    return (20 if first == 256 else 10), 0, 150, 250
