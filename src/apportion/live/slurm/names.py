"""What may stand in a command: jobs, signals, and names of partitions."""

from __future__ import annotations

import re

from apportion.live.backend import BackendError

JOB_ID = re.compile(r"[0-9]{1,10}(_[0-9]{1,10})?")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
SIGNALS = ("USR1", "USR2", "TERM", "INT", "HUP", "CONT")


def checked(word: str, what: str = "partition") -> str:
    """Return a name that can stand in a command.

    Raises
    ------
    BackendError: it is something else.
    """
    if not WORD.fullmatch(word):
        raise BackendError(f"found {word[:80]!r} as the name of a {what}, expected letters, digits and _ . -")
    return word
