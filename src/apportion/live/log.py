"""What was done, a JSON object a line: for log collectors, and for people with `jq`.

Names of jobs and messages of the cluster come from its users: JSON escapes line ends and control characters in them, so
that no line can be forged.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, Any

from apportion.live.controller import WOULD, Cycle
from apportion.model.errors import InputError


class Log:
    """Writes lines to a file, or to stderr.

    The file may be moved away at any time (log rotation): the next line begins a new one.

    Parameters
    ----------
    path: None = stderr. watching: nothing is told in truth.

    Raises
    ------
    InputError: the file cannot be written.
    """

    def __init__(self, path: Path | None = None, watching: bool = False) -> None:
        self.path, self.watching = path, watching
        self._file: IO[str] | None = None
        if path is not None:
            try:
                self._file = self._open(path)
            except OSError as error:
                raise InputError(f"cannot write: {error.strerror}", file=path) from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def write(self, event: str, time_s: float, **facts: Any) -> None:
        """Write a line; a log that cannot be written must not stop a cluster, so that is passed over."""
        line = json.dumps({"time_s": round(time_s, 3), "event": event, **facts}, default=str)
        try:
            out = self._current()
            out.write(line + "\n")
            out.flush()
        except OSError:
            return

    def cycle(self, cycle: Cycle) -> None:
        """Write a line for every command of a cycle, and one for the cycle if it did anything."""
        told = cycle.commands()
        for action, job, nodes, outcome, message in told:
            facts = {"cycle": cycle.number, "action": action, "job": job, "nodes": list(nodes)}
            facts["outcome"] = WOULD if self.watching else outcome
            if message:
                facts["message"] = message
            self.write("command", cycle.time_s, **facts)
        if told or cycle.deferred:
            self.write(
                "cycle",
                cycle.time_s,
                cycle=cycle.number,
                waiting=cycle.waiting,
                running=cycle.running,
                started=len(cycle.started),
                stopped=len(cycle.stopped),
                parked=len(cycle.parked),
                deferred=len(cycle.deferred),
                refused=len(cycle.refused),
                observe_s=round(cycle.observe_s, 4),
                decide_s=round(cycle.decide_s, 4),
                act_s=round(cycle.act_s, 4),
            )

    def _open(self, path: Path) -> IO[str]:
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        return os.fdopen(number, "a", encoding="utf-8")

    def _current(self) -> IO[str]:
        if self.path is None or self._file is None:
            return sys.stderr
        try:
            moved = os.stat(self.path).st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            moved = True
        if moved:
            self._file.close()
            self._file = self._open(self.path)
        return self._file
