"""The axis of time of a report on a workload: dates where the trace has a calendar, else time since second 0."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from apportion.report.clock import Clock

DATES: dict[str, Any] = {"type": "date", "unifiedhovertitle": {"text": "%{x|%a %-d %b %Y, %H:%M}"}}
"""Layout of an axis of dates that fits its values."""


@dataclass(frozen=True)
class TimeAxis:
    """Where times in seconds stand; `origin` is the calendar time of second 0, or None."""

    origin: datetime | None

    def places(self, time_s: pl.Series) -> list[float]:
        """Return where these times stand: milliseconds since 1970 for dates, else days, hours or minutes."""
        clock = self._clock(time_s)
        return [clock.position(float(time)) for time in time_s]

    def axis(self, time_s: pl.Series) -> dict[str, Any]:
        """Return the layout of the axis."""
        return self._clock(time_s).axis()

    def _clock(self, time_s: pl.Series) -> Clock:
        first, last = float(time_s[0]), float(time_s[-1])
        return Clock(first, max(last, first + 1.0), self.origin)
