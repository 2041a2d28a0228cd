"""Slurm's own programs, run without a shell: what they print, or one line that says why not."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from apportion.live.backend import BackendError
from apportion.live.slurm.access import Command, JobRows, Row
from apportion.live.slurm.jobs import JobPoll
from apportion.live.slurm.names import JOB_ID, SIGNALS, checked
from apportion.live.slurm.nodes import NodePoll
from apportion.live.slurm.records import cut, full

WIDEST = 1 << 16
"""A field is never asked for wider than this."""

_OWN_VARIABLES = ("SLURM_", "SQUEUE_", "SINFO_", "SCONTROL_", "SCANCEL_", "SBATCH_")
_KEPT_VARIABLES = ("SLURM_CONF", "SLURM_JWT")
_UNREACHED = re.compile(
    r"unable to contact slurm controller|socket timed out|zero bytes were transmitted|connection refused"
    r"|unable to establish|communication|protocol authentication|in standby mode",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"invalid keyword: 0([0-9]+)0")


@dataclass
class Slurm:
    """A Slurm cluster as seen through its programs.

    Parameters
    ----------
    conf: its `slurm.conf`; default: what `SLURM_CONF` or the installation says. timeout_s: of one program.
    programs: folder of the programs; default: where the system finds them.
    """

    conf: str | Path | None = None
    timeout_s: float = 30.0
    programs: str | Path | None = None

    def __post_init__(self) -> None:
        self._job_poll = JobPoll(self)
        self._node_polls: dict[str, NodePoll] = {}

    def job_rows(self, wait: str) -> JobRows:
        """Return all jobs, and the nodes that those of the partition `wait` want to avoid.

        Raises
        ------
        BackendError: Slurm does not answer.
        """
        rows = self._job_poll.rows()
        # asked last, so that it is known of every job in `rows`
        return JobRows(rows, self._job_poll.excluded(wait))

    def node_rows(self, partition: str) -> list[Row]:
        """Return the nodes of a partition.

        Raises
        ------
        BackendError: Slurm does not answer.
        """
        return self._node_polls.setdefault(partition, NodePoll(self, partition)).rows()

    def carry_out(self, commands: Sequence[Command]) -> list[str]:
        """Give commands to one `scontrol`; return for each why it was refused, empty if it was not.

        Raises
        ------
        BackendError: as `tell`.
        """
        return self.tell([command.line() for command in commands])

    def environment(self) -> dict[str, str]:
        """Return the environment of the programs: none of the caller's own settings of Slurm, times in seconds."""
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_OWN_VARIABLES) or name in _KEPT_VARIABLES
        }
        if self.conf is not None:
            env["SLURM_CONF"] = str(self.conf)
        return {**env, "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C", "TERM": "dumb"}

    def start(
        self, program: str, options: Sequence[str], given: str = "", extra_s: float = 0.0
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end, whatever that is.

        Raises
        ------
        BackendError: it is not installed, or takes longer than `timeout_s + extra_s`.
        """
        path = str(Path(self.programs) / program) if self.programs else program
        try:
            return subprocess.run(
                [path, *options],
                input=given.encode(),
                capture_output=True,
                timeout=self.timeout_s + extra_s,
                env=self.environment(),
                check=False,
            )
        except FileNotFoundError:
            raise BackendError(f"{program}: not found; is Slurm installed here?") from None
        except subprocess.TimeoutExpired:
            raise BackendError(f"{program}: no answer in {self.timeout_s + extra_s:.0f} s") from None
        except OSError as error:
            raise BackendError(f"{program}: {error.strerror}") from None

    def read(self, program: str, *options: str) -> bytes:
        """Return what a program printed.

        Raises
        ------
        BackendError: it failed.
        """
        done = self.start(program, options)
        if done.returncode or b"Invalid job format" in done.stderr or b"Invalid node format" in done.stderr:
            raise BackendError(f"{program}: {_said(done)}")
        return done.stdout

    def table(
        self, program: str, options: Sequence[str], widths: dict[str, int], whole: tuple[str, ...]
    ) -> list[dict[str, str]]:
        """Return rows of the fields in `widths`, asking again with wider ones until those in `whole` are whole.

        `widths` is changed to what was needed, so that the next call asks for that at once.

        Raises
        ------
        BackendError: the program failed or its answer is not made of rows.
        """
        while True:
            fields = ",".join(f"{name}:{width}" for name, width in widths.items())
            rows = cut(self.read(program, *options, "-O", fields), widths, program)
            short = [name for name in full(rows, widths, whole) if widths[name] < WIDEST]
            if not short:
                return rows
            widths.update({name: min(widths[name] * 4, WIDEST) for name in short})

    def tell(self, commands: Sequence[str]) -> list[str]:
        """Give many commands to one `scontrol`; return for each why it was refused, empty if it was not.

        After every command comes a word that `scontrol` does not know: its complaint about that word says which
        complaints belong to which command.

        Raises
        ------
        BackendError: Slurm was not reached, or stopped answering; some commands may have been carried out.
        """
        if not commands:
            return []
        lines = "".join(f"{command}\n0{i}0\n" for i, command in enumerate(commands))
        done = self.start("scontrol", (), lines, extra_s=0.2 * len(commands))
        answers = [""] * len(commands)
        at = 0
        for line in done.stderr.decode("utf-8", "replace").splitlines():
            token = _TOKEN.fullmatch(line.strip())
            if token:
                at = int(token.group(1)) + 1
            elif line.strip() and at < len(answers):
                answers[at] = f"{answers[at]} {_short(line)}".strip()
        if at != len(answers):
            raise BackendError(f"scontrol: {answers[min(at, len(answers) - 1)] or _said(done)}")
        lost = next((answer for answer in answers if _UNREACHED.search(answer)), None)
        if lost:
            raise BackendError(f"scontrol: {lost}")
        return answers

    def send_signal(self, jobs: Sequence[str], name: str) -> None:
        """Send a signal to the batch scripts of running jobs; those that are over meanwhile are left out.

        Raises
        ------
        BackendError: Slurm was not reached.
        """
        sound = [job for job in jobs if JOB_ID.fullmatch(job)]
        if name not in SIGNALS:
            raise BackendError(f"found signal {name!r}, expected one of {', '.join(SIGNALS)}")
        for first in range(0, len(sound), 200):
            done = self.start("scancel", (f"--signal={name}", "--batch", *sound[first : first + 200]))
            text = _said(done)
            if done.returncode and _UNREACHED.search(text):
                raise BackendError(f"scancel: {text}")

    def config(self) -> dict[str, str]:
        """Return the settings of the running controller, names in lower case."""
        text = self.read("scontrol", "show", "config").decode("utf-8", "replace")
        pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
        return {name.strip().lower(): value.strip() for name, value in pairs}

    def partition(self, name: str) -> Mapping[str, str] | None:
        """Return the settings of a partition, names in lower case, or None where there is no such partition."""
        done = self.start("scontrol", ("-o", "show", "partition", checked(name)))
        if done.returncode:
            if b"not found" in done.stderr + done.stdout:
                return None
            raise BackendError(f"scontrol: {_said(done)}")
        words = (word.split("=", 1) for word in done.stdout.decode("utf-8", "replace").split() if "=" in word)
        return {key.lower(): value for key, value in words}


def _short(line: str) -> str:
    return re.sub(r"^(scontrol: )?(error: )?", "", line.strip())


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    text = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
    lines = [line for line in text.splitlines() if line.strip()]
    return _short(lines[-1]) if lines else f"exit status {done.returncode}"
