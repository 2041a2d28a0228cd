"""How a round goes: where published simulators differ from a clock and exact progress."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.model.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Rules:
    """A round in steps of training.

    In a round a job makes `int(steps per second x round_s)` steps, at most those that are left; the round ends when the
    last job of it is done with its own. A job that ends does so at its true time.

    Parameters
    ----------
    round_s: seconds of a round at most. reset_s: time shares are computed anew at most so often.
    restart_s: of a round of nearly full length that a job did not run in before, so much is lost.
    overtime: a job is ended when it ran so many times its profiled run time. failures: a job that failed in so many
    rounds of its own, one after the other, is given up. each_gpu: steps are dealt to the GPUs of a job, and a round in
    which one of them gets none has failed; else it takes no steps and no time to fail.
    adapting: jobs change their batch size while they run (Accordion, GNS).
    """

    name: str
    round_s: float
    reset_s: float = 1000.0
    restart_s: float = 0.0
    overtime: float = np.inf
    failures: int = 5
    adapting: bool = False
    each_gpu: bool = False


GAVEL = Rules("gavel", 360.0, reset_s=1920.0, each_gpu=True)
"""Narayanan et al., OSDI 2020, the released simulator."""

SHOCKWAVE = Rules("shockwave", 120.0, restart_s=20.0, overtime=1.5, adapting=True)
"""Zheng et al., NSDI 2023, the released simulator, which grew out of Gavel's."""

RULES = {rules.name: rules for rules in (GAVEL, SHOCKWAVE)}


def get_rules(name: str) -> Rules:
    """Return rules by name.

    Raises
    ------
    UsageError: there are none of that name.
    """
    if name not in RULES:
        raise UsageError(f"found rules {name!r}, expected {', '.join(RULES)}{did_you_mean(name, RULES)}")
    return RULES[name]
