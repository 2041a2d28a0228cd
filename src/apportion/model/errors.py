"""The one family of errors a user can cause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ApportionError(Exception):
    """A mistake in what the user gave; the message is one line that says what, where and what would be right."""


class InputError(ApportionError):
    """A file, table or value is wrong.

    Parameters
    ----------
    what: what was found and what was expected.
    file, row, column: where, as far as known; `row` counts from 1 and includes the header line of a text file.
    """

    def __init__(self, what: str, *, file: object = None, row: int | None = None, column: str | None = None) -> None:
        where = []
        if file is not None:
            where.append(str(file))
        if row is not None:
            where.append(f"row {row}")
        if column is not None:
            where.append(f"column {column!r}")
        super().__init__(f"{', '.join(where)}: {what}" if where else what)
        self.file, self.row, self.column = file, row, column


class PolicyError(ApportionError):
    """A policy is unknown, or one of its parameters is wrong."""


class UsageError(ApportionError):
    """The command line asks for something that cannot be (exit status 2)."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'sjf'?"` when a known name is near, else an empty string."""
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
