"""Numbers as people say them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from apportion.model.units import format_duration


def duration(seconds: float) -> str:
    """Return `0 s`, `45 s`, `12 min`, `3.4 h`, `2.1 d`."""
    return "0 s" if abs(seconds) < 0.05 else format_duration(seconds)


def count(value: float) -> str:
    """Return a whole number with thousands separated: `8,152`."""
    return f"{value:,.0f}"


def amount(value: float) -> str:
    """Return three significant digits, thousands separated: `1,230`, `12.3`, `0.04`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """Return a share as `83 %`; near 0 and 1 with a decimal: never rounded to all or none."""
    value = 100 * share
    near_an_end = (0 < value < 1) or (99 < value < 100)
    text = f"{value:.1f}" if near_an_end else f"{value:.0f}"
    if near_an_end and text in ("0.0", "100.0"):
        return "under 0.1 %" if value < 1 else "over 99.9 %"
    return f"{text} %"


def plural(number: float, noun: str) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def names(items: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
