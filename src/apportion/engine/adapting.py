"""Batch sizes that change while a job runs, as Shockwave's simulator lets them (its profiles: `traces.regimes`).

Zheng et al., NSDI 2023, the released code. After every round each job looks at the epoch it is in and may ask for
another batch size; it gets it when the next round in which it ran is over. Then its steps, those done and those in all,
are counted anew so that the epochs stay the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

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
    _asked: dict[int, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.now = self.first.copy()
        self._speeds: dict[tuple[str, int, int], F8] = {}

    def epoch(self, job: int, steps: float) -> int:
        """Return the epoch in which a job is after so many steps."""
        return math.ceil(steps / self._steps_of_epoch(job, int(self.now[job])))

    def epochs_done(self, jobs: I8, steps: F8) -> F8:
        """Return how many epochs these jobs have behind them, nan where the model is not known; steps: f8, done."""
        length = [self._steps_of_epoch(j, int(self.now[j])) if self.model[j] in SAMPLES else np.nan for j in jobs]
        return np.asarray(np.floor(steps / np.array(length, np.float64)))

    def look(self, active: I8, steps: F8) -> None:
        """Let the active jobs ask for other batch sizes; steps: f8[jobs], done so far."""
        for job in active.tolist():
            if self.mode[job] == "gns":
                self._look_gns(job, self.epoch(job, steps[job]))
            elif self.mode[job] == "accordion" and self.model[job] != "Transformer":
                self._look_accordion(job, self.epoch(job, steps[job]))

    def _look_gns(self, job: int, epoch: int) -> None:
        model, now = self.model[job], int(self.now[job])
        thresholds = GNS.get((model, int(self.width[job]), int(self.first[job])), ())
        doubled = sum(epoch + 1 >= threshold for threshold in thresholds)
        wanted = min(int(self.first[job]) * 2**doubled, LARGEST_BATCH[model])
        if wanted > now and now != LARGEST_BATCH[model]:
            self._asked[job] = 2 * now

    def _look_accordion(self, job: int, epoch: int) -> None:
        model, now, first = self.model[job], int(self.now[job]), int(self.first[job])
        critical = _critical(model, first, epoch)
        if now == first and not critical:
            if now != LARGEST_BATCH[model]:
                self._asked[job] = LARGEST_BATCH[model]
        elif now != first and critical and now != SMALLEST[model]:
            self._asked[job] = first

    def change(self, job: int, done: float, total: float) -> tuple[float, float, F8] | None:
        """Give a job the batch size it asked for; return its steps done, in all, and its speeds, or None.

        A size that was not measured is refused.
        """
        wanted = self._asked.pop(job, None)
        model, old = self.model[job], int(self.now[job])
        if wanted is None or (self.first[job] == LARGEST_BATCH[model] and model != "Transformer"):
            return None
        speed = self._speed(model, wanted, int(self.width[job]))
        if not np.all(speed > 0):
            return None
        before, after = self._steps_of_epoch(job, old), self._steps_of_epoch(job, wanted)
        epochs = math.ceil(total / before)
        scaled = math.ceil(total * (1 / (wanted / old)))
        in_all = scaled if math.ceil(scaled / after) == epochs else after * epochs
        self.now[job] = wanted
        return float(math.ceil(done / before) * after), float(in_all), speed

    def _steps_of_epoch(self, job: int, batch: int) -> int:
        return -(-SAMPLES[self.model[job]] // batch)

    def _speed(self, model: str, batch: int, width: int) -> F8:
        key = (model, batch, width)
        if key not in self._speeds:
            job_type = f"{model} (batch size {batch})"
            self._speeds[key] = self.profiles.speeds([job_type], [width], self.gpus)[0]
        return self._speeds[key]


def _critical(model: str, first: int, epoch: int) -> bool:
    """Say whether gradients change fast in this epoch, so that Accordion keeps the batch small."""
    if model == "LM":
        return epoch < 10
    if model == "Recommendation":
        return epoch < {512: 30, 1024: 30, 2048: 40}.get(first, 10)
    if model == "ResNet-50":
        return epoch % 30 < 10
    return epoch < (20 if first == 256 else 10) or 150 <= epoch < 160 or 250 <= epoch < 260
