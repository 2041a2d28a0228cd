"""The time axis of a report: dates where the trace has them, else time since the first submission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apportion.report.curves import Bins
from apportion.study.result import Result

_UNITS = ((2 * 86400.0, 86400.0, "day", "d"), (2 * 3600.0, 3600.0, "hour", "h"), (0.0, 60.0, "minute", "min"))


@dataclass(frozen=True)
class Clock:
    """Seconds of the simulation from `start_s` to `end_s`, and how they are shown.

    Parameters
    ----------
    origin: calendar time of second 0, or None.
    """

    start_s: float
    end_s: float
    origin: datetime | None = None

    @classmethod
    def of(cls, results: Sequence[Result]) -> Clock:
        """Return the clock that spans every job and placement of `results`."""
        starts = [t for r in results if (t := r.jobs["submit_s"].min()) is not None]
        ends = [
            t
            for r in results
            for t in (
                r.jobs["submit_s"].max(),
                r.jobs["end_s"].max(),
                r.placements["end_s"].fill_nan(None).max(),
            )
            if t is not None and t != float("inf")
        ]
        start = float(min(starts, default=0.0))  # type: ignore[arg-type]
        end = float(max(ends, default=start))  # type: ignore[arg-type]
        return cls(start, max(end, start + 1.0), results[0].workload.origin)

    @property
    def span_s(self) -> float:
        """The whole time shown."""
        return self.end_s - self.start_s

    def bins(self, count: int) -> Bins:
        """Return `count` bins over the whole time."""
        return Bins.between(self.start_s, self.end_s, count)

    def _unit(self) -> tuple[float, str, str]:
        return next(unit[1:] for unit in _UNITS if self.span_s >= unit[0])

    def position(self, time_s: float) -> float:
        """Return where `time_s` stands on the axis: milliseconds since 1970 for dates, else elapsed units."""
        if self.origin is not None:
            return 1000 * ((self.origin.replace(tzinfo=UTC)).timestamp() + time_s)
        return (time_s - self.start_s) / self._unit()[0]

    def grid(self, bins: Bins) -> dict[str, float]:
        """Return the `x0` and `dx` of a trace with one value in the middle of each bin."""
        x0 = self.position(bins.start_s + bins.width_s / 2)
        return {"x0": x0, "dx": self.position(bins.start_s + 1.5 * bins.width_s) - x0}

    def axis(self) -> dict[str, Any]:
        """Return the layout of the axis."""
        ends = [self.position(self.start_s), self.position(self.end_s)]
        if self.origin is not None:
            return {"type": "date", "range": ends, "unifiedhovertitle": {"text": "%{x|%a %-d %b %Y, %H:%M}"}}
        _, word, unit = self._unit()
        return {
            "range": ends,
            "title": {"text": f"{word}s since the first submission"},
            "unifiedhovertitle": {"text": f"%{{x:.2f}} {unit} after the first submission"},
        }

    def hover(self) -> str:
        """Return the hover template of a position on the axis."""
        return "%{x|%a %-d %b, %H:%M}" if self.origin is not None else f"{self._unit()[1]} %{{x:.2f}}"

    def say(self, time_s: float) -> str:
        """Return the time in words: `around 14:00 on 5 March`, `on day 3`."""
        if self.origin is not None:
            when = self.origin + timedelta(seconds=time_s)
            return f"around {when:%H}:00 on {when.day} {when:%B}"
        seconds, word, unit = self._unit()
        elapsed = (time_s - self.start_s) / seconds
        return f"on {word} {int(elapsed) + 1}" if unit == "d" else f"{elapsed:.0f} {unit} in"
