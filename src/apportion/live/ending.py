"""The wish that a service end, which a signal may bring at any moment."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SLICE_S = 0.1
"""The end is noticed so soon."""


class Ending:
    """Whether somebody asked for the end, and a wait that is over soon after somebody does.

    Not a `threading.Event`: a signal is handled between two steps of the main thread, and if it comes while that thread
    holds the lock of the event, setting the event waits for the lock for ever. A plain word needs no lock.
    """

    def __init__(self) -> None:
        self.asked = False

    def ask(self) -> None:
        """Ask for the end."""
        self.asked = True

    def wait(self, seconds: float) -> None:
        """Wait so many seconds, or until the end is asked for."""
        until = time.monotonic() + seconds
        while not self.asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_S))


@contextmanager
def until_signalled(ending: Ending) -> Iterator[None]:
    """Let SIGTERM and SIGINT ask for the end, to let the running cycle finish; a second one interrupts at once."""

    def ask(number: int, frame: FrameType | None) -> None:
        if ending.asked:
            raise KeyboardInterrupt
        ending.ask()

    before: dict[int, Any] = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
