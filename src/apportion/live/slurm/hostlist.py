"""Slurm's short form of many node names: `n[1-3,07],gpu[01-02]-b`."""

from __future__ import annotations

import re
from functools import lru_cache

from apportion.live.backend import BackendError

MOST = 200_000
"""More names than this are taken for a mistake."""

NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RANGES = re.compile(r"\[([0-9,-]+)\]")
_PART = re.compile(r"[^,\[\]]*(?:\[[^\[\]]*\][^,\[\]]*)*")


@lru_cache(maxsize=4096)
def expand(text: str) -> tuple[str, ...]:
    """Return the names, in the order they are written.

    Raises
    ------
    BackendError: the text is not such a list.

    Examples
    --------
    >>> expand("n[1-3,07],gpu[01-02]-b")
    ('n1', 'n2', 'n3', 'n07', 'gpu01-b', 'gpu02-b')
    """
    names: list[str] = []
    at = 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None or match.end() == at:
            raise _error(text)
        names += _one(match.group(), text)
        at = match.end()
        if at < len(text):
            if text[at] != ",":
                raise _error(text)
            at += 1
    if len(names) > MOST or not all(NODE_NAME.fullmatch(name) for name in names):
        raise _error(text)
    return tuple(names)


def _one(part: str, text: str) -> list[str]:
    found = _RANGES.search(part)
    if found is None:
        return [part]
    tails = _one(part[found.end() :], text) if found.end() < len(part) else [""]
    numbers: list[str] = []
    for piece in found.group(1).split(","):
        first, dash, last = piece.partition("-")
        if not (first + last).isascii() or not first.isdigit() or (dash and not last.isdigit()):
            raise _error(text)
        low, high = int(first), int(last or first)
        if high - low > MOST:
            raise _error(text)
        numbers += [f"{number:0{len(first)}d}" for number in range(low, high + 1)]
    return [part[: found.start()] + number + tail for number in numbers for tail in tails]


def _error(text: str) -> BackendError:
    return BackendError(f"found {text[:80]!r}, expected a list of nodes like n[1-4,7]")
