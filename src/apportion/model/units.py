"""Units of the package: seconds, milli-GPU, milli-CPU, MiB, watts, kWh, gCO2eq, USD; and how people write them."""

from __future__ import annotations

import re

from apportion.model.errors import InputError

SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_DURATION = re.compile(r"([0-9]*\.?[0-9]+)\s*([a-z]*)")


def parse_duration(text: str) -> float:
    """Return seconds from `90`, `90s`, `5m`, `1.5h`, `7d`, `2w`.

    Raises
    ------
    InputError: the text is not a number with one of those units.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    unit = match[2] or "s" if match else ""
    if not match or unit not in SECONDS:
        raise InputError(f"found {text!r}, expected a duration such as 90, 5m, 1.5h or 7d")
    return float(match[1]) * SECONDS[unit]


def format_duration(seconds: float) -> str:
    """Return a short human form: `45 s`, `12 min`, `3.4 h`, `2.1 d`."""
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if abs(seconds) < limit:
            value = seconds / divisor
            return f"{value:.0f} {unit}" if value >= 100 or value == int(value) else f"{value:.1f} {unit}"
    return f"{seconds / 86400:.1f} d"
