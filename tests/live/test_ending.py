"""A signal ends a service whenever it comes."""

from __future__ import annotations

import subprocess
import sys
import time

from apportion.live.ending import Ending

HAMMERED = """
import signal
from apportion.live.ending import Ending, until_signalled
ended = []
for trial in range(300):
    ending = Ending()
    with until_signalled(ending):
        signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGTERM))
        signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + trial % 200))
        while not ending.asked:
            ending.wait(1e-6)
        ended.append(ending.asked)
print(len(ended))
"""


def test_it_may_come_at_any_moment() -> None:
    """Also while the wait is being set up, where the lock of an event would be held."""
    done = subprocess.run([sys.executable, "-c", HAMMERED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("300\n", "")


def test_a_wait_ends_when_it_is_asked() -> None:
    ending = Ending()
    began = time.monotonic()
    ending.wait(0.01)
    assert not ending.asked and time.monotonic() - began >= 0.01
    ending.ask()
    ending.wait(600.0)
    assert ending.asked and time.monotonic() - began < 60
