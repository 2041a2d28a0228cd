"""How amounts and moments are written in live answers."""

from __future__ import annotations

from apportion.model.units import format_duration


def gpus(milli: float, model: str = "") -> str:
    """Return `1 GPU`, `0.5 GPUs`, `37 V100 GPUs`."""
    name = f"{model} GPU" if model else "GPU"
    return f"{milli / 1000:,g} {name}{'' if milli == 1000 else 's'}"


def cores(milli: float) -> str:
    """Return `1 core`, `12.5 cores`."""
    return f"{milli / 1000:,g} core{'' if milli == 1000 else 's'}"


def mib(amount: float) -> str:
    """Return `512 MiB`, `96 GiB`."""
    return f"{amount / 1024:,.4g} GiB" if amount >= 1024 else f"{amount:,g} MiB"


def plural(count: int, noun: str) -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def names(items: list[str], most: int = 3) -> str:
    """Return `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most:,} more"
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def ahead(seconds: float) -> str:
    """Return when something is due: `in 3.4 h`, `overdue by 12 min`."""
    return f"in {format_duration(seconds)}" if seconds >= 0 else f"overdue by {format_duration(-seconds)}"
