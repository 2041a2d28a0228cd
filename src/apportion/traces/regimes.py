"""Batch sizes that change while a job trains: the Accordion and GNS profiles of Shockwave's artefact."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SAMPLES = {
    "ResNet-18": 50_000,
    "ResNet-50": 100_000,
    "Transformer": 10_000,
    "LM": 59_675,
    "Recommendation": 117_907,
}
"""Samples of one epoch: CIFAR-10, an ImageNet subset, Multi30k, Wikitext-2, ML-20M."""

LARGEST_BATCH = {"ResNet-18": 256, "ResNet-50": 128, "Transformer": 128, "LM": 80, "Recommendation": 8192}

GNS: dict[tuple[str, int, int], tuple[int, ...]] = {
    ("ResNet-18", 1, 16): (31, 41, 51, 71),
    ("ResNet-18", 1, 32): (21, 31, 51),
    ("ResNet-18", 1, 64): (11, 31),
    ("ResNet-18", 1, 128): (11,),
    ("ResNet-18", 2, 16): (21, 31, 91, 111),
    ("ResNet-18", 2, 32): (11, 21, 41),
    ("ResNet-18", 2, 64): (21, 41),
    ("ResNet-18", 2, 128): (41,),
    ("ResNet-18", 4, 16): (11, 21, 81, 91),
    ("ResNet-18", 4, 32): (21, 31, 61),
    ("ResNet-18", 4, 64): (11, 61),
    ("ResNet-18", 4, 128): (11,),
    ("ResNet-50", 1, 64): (101,),
    ("ResNet-50", 2, 32): (101, 111),
    ("ResNet-50", 2, 64): (81,),
    ("ResNet-50", 4, 32): (131, 221),
    ("ResNet-50", 4, 64): (191,),
    ("LM", 1, 5): (31, 41, 61, 71),
    ("LM", 1, 10): (11, 21, 41),
    ("LM", 1, 20): (11, 41),
    ("LM", 1, 40): (11,),
    ("LM", 2, 5): (31, 51, 61, 71),
    ("LM", 2, 10): (11, 31, 41),
    ("LM", 2, 20): (31, 41),
    ("LM", 2, 40): (11,),
    ("LM", 4, 5): (11, 31, 71, 91),
    ("LM", 4, 10): (11, 31, 61),
    ("LM", 4, 20): (11, 61),
    ("LM", 4, 40): (61,),
    ("Recommendation", 1, 512): (21, 41, 71, 91),
    ("Recommendation", 1, 1024): (21, 51, 91),
    ("Recommendation", 1, 2048): (21, 41),
    ("Recommendation", 1, 4096): (41,),
}
"""(model, width, initial batch) -> epochs at which the batch has doubled once, twice, ..."""

WARM_UP = 0.3
"""An Accordion profile leaves epochs up to WARM_UP x E, inclusive, at the initial batch."""


def epochs_of(model: str, batch: int, total_steps: int) -> int:
    """Return the number of epochs that `total_steps` of this batch size make, the last one rounded up."""
    steps_per_epoch = -(-SAMPLES[model] // batch)
    return -(-total_steps // steps_per_epoch)


def batch_schedule(model: str, batch: int, width: int, mode: str, epochs: int) -> npt.NDArray[np.int64]:
    """Return the batch size of every epoch, i64[epochs].

    Parameters
    ----------
    model: a key of `SAMPLES`. batch: initial batch size. width: GPUs of the job. mode: static, accordion or
    gns.

    Source: Zheng et al., Shockwave (NSDI'23), its artefact's job profiles; Agarwal et al., Accordion
    (MLSys'21); McCandlish et al., An Empirical Model of Large-Batch Training (2018) for the gradient noise
    scale.

    Examples
    --------
    >>> batch_schedule("LM", 40, 1, "gns", 13).tolist()[9:]
    [40, 40, 80, 80]
    """
    schedule = np.full(epochs, batch, dtype=np.int64)
    if mode == "accordion":
        free = ~_critical(model, batch, epochs) & (np.arange(epochs) > WARM_UP * epochs)
        schedule[free] = max(batch, LARGEST_BATCH[model])
    elif mode == "gns":
        thresholds = GNS.get((model, width, batch), ())
        if thresholds and epochs > thresholds[0]:
            for epoch in thresholds:
                schedule[epoch:] *= 2
            np.minimum(schedule, LARGEST_BATCH[model], out=schedule)
            # The authors' segments after the second doubling stop one epoch short of the job's end.
            if len(thresholds) > 1 and epochs > thresholds[1]:
                schedule[-1] = batch
    return schedule


def _critical(model: str, batch: int, epochs: int) -> npt.NDArray[np.bool_]:
    """Return which epochs Accordion holds critical, where gradients change fast."""
    e = np.arange(epochs)
    if model == "ResNet-18":
        early = 20 if batch == 256 else 10
        return (e < early) | ((e >= 150) & (e < 160)) | ((e >= 250) & (e < 260))
    if model == "ResNet-50":
        return np.asarray(e % 30 < 10)
    if model == "LM":
        return np.asarray(e < 10)
    if model == "Recommendation":
        early = {512: 30, 1024: 30, 2048: 40}.get(batch, 10)
        return (e < early) | ((e >= 60) & (e < 70)) | ((e >= 80) & (e < 90))
    return np.ones(epochs, dtype=np.bool_)
