"""Tables of fixed width, as `squeue -O name:width,...` prints them, cut by position and by nothing else.

A job's name may hold line ends, bars and blanks, and look like another job's row. Rows are therefore not lines: a row
is as many bytes as its fields are wide, and a field is where it has to be. What does not add up is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from apportion.live.backend import BackendError


def cut(answer: bytes, widths: Mapping[str, int], program: str) -> list[dict[str, str]]:
    """Return the rows, fields stripped of blanks and of everything that is not printable.

    Raises
    ------
    BackendError: the answer is not made of whole rows.
    """
    size = sum(widths.values()) + 1
    if len(answer) % size or any(answer[end] != 10 for end in range(size - 1, len(answer), size)):
        raise BackendError(f"{program}: found an answer of {len(answer)} bytes, expected rows of {size}")
    rows = []
    for start in range(0, len(answer), size):
        row, at = {}, start
        for name, width in widths.items():
            row[name] = clean(answer[at : at + width])
            at += width
        rows.append(row)
    return rows


@lru_cache(maxsize=65536)  # most fields of most rows are the same
def clean(field: bytes) -> str:
    """Return a field as text that can be shown on a terminal: control characters become blanks."""
    text = field.decode("utf-8", "replace")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text.strip()


def full(rows: list[dict[str, str]], widths: Mapping[str, int], names: tuple[str, ...]) -> list[str]:
    """Return which of these fields may have been cut off because some row fills them."""
    return [name for name in names if any(len(row[name].encode()) >= widths[name] for row in rows)]
