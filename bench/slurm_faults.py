"""What breaks in `bench.chaos_slurm`: the calls of the controller, the programs of Slurm, a whole node."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slurm_cluster import SlurmCluster

from apportion.live.backend import ENDED, RUNNING, Launch, Observation, Refusal
from apportion.live.slurm import SlurmBackend
from bench.chaos import Killed

WRAPPER = """\
#!/bin/sh
case $0:$# in
BROKEN)
    : > HIT
    ACTION
esac
exec PROGRAM "$@"
"""
ACTIONS = {
    "fails": "echo 'Unable to contact slurm controller (connect failure)' >&2; exit 1",
    "fails after": (
        "PROGRAM \"$@\" > /dev/null 2>&1; echo 'Unable to contact slurm controller (connect failure)' >&2; exit 1"
    ),
    "hangs": "exec sleep 600",
    "hangs after": 'PROGRAM "$@" > /dev/null 2>&1; exec sleep 600',
}


@dataclass
class Faulty:
    """The backend, with faults where the controller calls it.

    Parameters
    ----------
    plan: faults still to come. again: jobs that were to be started while they ran, or after they had ended well.
    """

    inner: SlurmBackend
    plan: set[str]
    ended: Callable[[str], bool]
    again: list[str] = field(default_factory=list)
    _states: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the name of the cluster."""
        return self.inner.name

    def _due(self, fault: str) -> bool:
        there = fault in self.plan
        self.plan.discard(fault)
        return there

    def observe(self) -> Observation:
        """Look, unless that fails."""
        if self._due("killed while looking"):
            raise Killed
        seen = self.inner.observe()
        self._states = dict(seen.jobs.select("job_id", "state").iter_rows())
        if self._due("killed after looking"):
            raise Killed
        return seen

    def _tell(self, told: Sequence[Any], call: Callable[[Sequence[Any]], list[Refusal]]) -> list[Refusal]:
        if not told:
            return []
        if self._due("killed before a command"):
            raise Killed
        if self._due("killed in a command"):
            call(told[: (len(told) + 1) // 2])
            raise Killed
        answer = call(told)
        if self._due("killed after a command"):
            raise Killed
        return answer

    def launch(self, launches: Sequence[Launch]) -> list[Refusal]:
        """Start jobs, unless that fails."""
        jobs = [launch.job_id for launch in launches]
        self.again += [job for job in jobs if self._states.get(job) in (RUNNING, ENDED) or self.ended(job)]
        return self._tell(launches, self.inner.launch)

    def stop(self, jobs: Sequence[str]) -> list[Refusal]:
        """Stop jobs, unless that fails."""
        return self._tell(jobs, self.inner.stop)

    def park(self, jobs: Sequence[str]) -> list[Refusal]:
        """Park jobs, unless that fails."""
        return self._tell(jobs, self.inner.park)


def kill_node(cluster: SlurmCluster, node: str) -> None:
    """End the daemon of a node and everything that runs there, as a power cut would."""
    cluster.kill(f"slurmd.{node}", signal.SIGKILL)
    ours = f"SLURM_CONF={cluster.conf}".encode()
    spool = str(cluster.folder / "spool" / node).encode()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            environment = (path / "environ").read_bytes().split(b"\0")
            if ours not in environment:
                continue
            mine = f"SLURMD_NODENAME={node}".encode() in environment
            opened = (path / "cmdline").read_bytes().startswith(b"slurmstepd") and any(
                spool in os.readlink(link).encode() for link in (path / "fd").iterdir()
            )
            if mine or opened:
                os.kill(int(path.name), signal.SIGKILL)


def wrappers(cluster: SlurmCluster, folder: Path, broken: str, how: str) -> Path:
    """Return a folder of Slurm's programs of which one is broken; it leaves a file `hit` when it is called.

    Parameters
    ----------
    folder: where to make it. broken: the program. how: of `ACTIONS`.
    """
    folder = folder / f"{broken}-{how}".replace(" ", "-")
    folder.mkdir(exist_ok=True)
    (folder / "hit").unlink(missing_ok=True)
    for program in ("scontrol", "squeue", "sinfo", "scancel"):
        real = shutil.which(program, path=cluster.env["PATH"]) or program
        # `scontrol` with words is a question and goes through; commands come on its input
        calls = {"scontrol": "*:0"}.get(program, "*") if program == broken else "-"
        text = WRAPPER.replace("ACTION", ACTIONS[how]).replace("PROGRAM", real).replace("BROKEN", calls)
        path = folder / program
        path.write_text(text.replace("HIT", str(folder / "hit")))
        path.chmod(0o755)
    return folder
