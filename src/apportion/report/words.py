"""What reports say beside plain numbers: changes, percentages, and names that tell runs apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from apportion.model.words import amount, count, duration, names, percent, plural
from apportion.study.result import Result

__all__ = [
    "amount", "change", "count", "duration", "labels", "names", "numbered", "of_hundred", "percent", "plural",
    "unbroken",
]  # fmt: skip

_NUMBER_AND_UNIT = re.compile(r"(\d) (?=(?:%|s|min|h|d|jobs?|GPUs?|GPU-h)\b|%)")


def of_hundred(value: float) -> str:
    """Return a percentage as `94.57 %`."""
    return f"{value:.2f} %"


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
