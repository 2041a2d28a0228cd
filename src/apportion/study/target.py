"""What a cluster should achieve, as people write it: `p95 wait < 30m`, `mean jct <= 2h`."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from apportion.model.errors import InputError
from apportion.model.units import format_duration, parse_duration
from apportion.study.result import Result

_TEXT = re.compile(r"(mean|max|p(\d+(?:\.\d+)?))\s+(wait|jct)\s*(<=?)\s*(.+)")


@dataclass(frozen=True)
class Target:
    """A bound on the waits or the completion times of the jobs of a run.

    Parameters
    ----------
    measure: `wait` or `jct`. level: quantile between 0 and 1, None = the mean. bound_s: seconds. inclusive: `<=`.
    """

    measure: str
    level: float | None
    bound_s: float
    inclusive: bool = False

    def value(self, result: Result) -> float:
        """Return what a run achieved in seconds; jobs that never started count as infinitely late, rejected ones not.

        Of the values the lowest that at least this share of the jobs does not exceed.
        """
        jobs = result.jobs.filter(result.jobs["status"] != "rejected")
        values = jobs[f"{self.measure}_s"].fill_null(np.inf).to_numpy()
        if not values.size:
            return 0.0
        if self.level is None:
            return float(values.mean())
        return float(np.quantile(values, self.level, method="inverted_cdf"))

    def met(self, value: float) -> bool:
        """Say whether a value meets the target."""
        return value <= self.bound_s if self.inclusive else value < self.bound_s

    def __str__(self) -> str:
        which = "mean" if self.level is None else "max" if self.level == 1 else f"p{100 * self.level:g}"
        return f"{which} {self.measure} {'<=' if self.inclusive else '<'} {format_duration(self.bound_s)}"


def parse_target(text: str) -> Target:
    """Return the target that a text means.

    Raises
    ------
    InputError: it is not of the form `p95 wait < 30m`.

    Examples
    --------
    >>> str(parse_target("p95 wait < 30m"))
    'p95 wait < 30 min'
    """
    match = _TEXT.fullmatch(text.strip().lower())
    if not match or (match[2] and not 0 < float(match[2]) <= 100):
        raise InputError(f"found target {text!r}, expected one such as 'p95 wait < 30m', 'mean jct <= 2h'")
    level = None if match[1] == "mean" else 1.0 if match[1] == "max" else float(match[2]) / 100
    return Target(match[3], level, parse_duration(match[5]), match[4] == "<=")
