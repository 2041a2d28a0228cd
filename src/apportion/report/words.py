"""Numbers as people say them, and names that tell runs apart."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from apportion.model.units import format_duration
from apportion.study.result import Result

_NUMBER_AND_UNIT = re.compile(r"(\d) (?=(?:%|s|min|h|d|jobs?|GPUs?|GPU-h)\b|%)")


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


def of_hundred(value: float) -> str:
    """Return a percentage as `94.57 %`."""
    return f"{value:.2f} %"


def percent(share: float) -> str:
    """Return a share as `83 %`; near 0 and 1 with a decimal: never rounded to all or none."""
    value = 100 * share
    near_an_end = (0 < value < 1) or (99 < value < 100)
    text = f"{value:.1f}" if near_an_end else f"{value:.0f}"
    if near_an_end and text in ("0.0", "100.0"):
        return "under 0.1 %" if value < 1 else "over 99.9 %"
    return f"{text} %"


def change(value: float, base: float) -> str:
    """Return how `value` differs from `base`: `−38 %`, `+12 %`, `3.1×`, `same`; empty where unsayable."""
    if value == base:
        return "same"
    if base == 0 or value < 0 or base < 0:
        return ""
    ratio = value / base
    if ratio >= 2:
        return f"{amount(ratio)}×"
    points = abs(ratio - 1) * 100
    sign = "+" if ratio > 1 else "−"
    return f"{sign}{points:.0f} %" if points >= 1 else f"{sign}{max(points, 0.1):.1f} %"


def unbroken(html: str) -> str:
    """Return a sentence whose numbers stay on one line with their units."""
    return _NUMBER_AND_UNIT.sub("\\1\u00a0", html)


def plural(number: float, noun: str) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def names(items: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def labels(results: Sequence[Result]) -> list[str]:
    """Return a name for each run: its policy; where policies repeat, with cluster, trace or number."""
    plain = [r.policy for r in results]
    detailed = (
        [f"{r.policy} · {r.cluster.name}" for r in results],
        [f"{r.policy} · {r.trace}" for r in results],
        [f"{r.policy} · {r.trace} · {r.cluster.name}" for r in results],
    )
    for names_ in (plain, *detailed):
        if len(set(names_)) == len(names_):
            return names_
    return numbered(plain)


def numbered(plain: Sequence[str]) -> list[str]:
    """Return the names with ` #2`, ` #3` ... after those that were there before."""
    total, seen, out = Counter(plain), Counter[str](), []
    for name in plain:
        seen[name] += 1
        out.append(f"{name} #{seen[name]}" if total[name] > 1 else name)
    return out
