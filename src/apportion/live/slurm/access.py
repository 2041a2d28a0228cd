"""How a Slurm cluster is reached: it reads rows in Slurm's words and carries out commands.

`Slurm` does so through Slurm's own programs, `Rest` through its REST daemon; `SlurmBackend` does not know which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from apportion.live.backend import BackendError
from apportion.live.slurm.hostlist import NODE_NAME
from apportion.live.slurm.names import JOB_ID, checked

Row = dict[str, str]
"""A job or a node: the fields of `squeue` or `sinfo` by their names there, in their words."""


class JobRows(NamedTuple):
    """Rows of the jobs, a row a task of an array; and the nodes that pending jobs want to avoid, for those that do."""

    rows: list[Row]
    excluded: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """A change to a pending job.

    Parameters
    ----------
    partition: where it goes. nodes: the only ones it may have; none frees it of those it was given.
    priority: 1 to 2**32 - 1, None leaves it. mark: the administrator's comment, empty leaves it.
    begin_s: it may begin from then on (seconds since the epoch), at once where that is over; None leaves it.

    Raises
    ------
    BackendError: something of it cannot stand in a command.
    """

    job: str
    partition: str
    nodes: tuple[str, ...] = ()
    priority: int | None = None
    mark: str = ""
    begin_s: int | None = None

    def __post_init__(self) -> None:
        _check_job(self.job)
        checked(self.partition)
        if not all(map(NODE_NAME.fullmatch, self.nodes)):
            raise BackendError(f"found {','.join(self.nodes)[:80]!r}, expected names of nodes")
        if self.priority is not None and not 0 < self.priority < 1 << 32:
            raise BackendError(f"found priority {self.priority}, expected a number from 1 to {(1 << 32) - 1}")
        if self.mark:
            checked(self.mark, "mark")

    def line(self) -> str:
        """Return it for `scontrol`."""
        words = [f"update JobId={self.job} Partition={self.partition} ReqNodeList={','.join(self.nodes)}"]
        if self.nodes:
            words.append(f"NumNodes={len(self.nodes)}-{len(self.nodes)}")
        if self.priority is not None:
            words.append(f"Priority={self.priority}")
        if self.mark:
            words.append(f"AdminComment={self.mark}")
        if self.begin_s is not None:
            words.append(f"StartTime=uts{self.begin_s}")
        return " ".join(words)


@dataclass(frozen=True)
class Requeue:
    """Stop a running job and let it wait again.

    Raises
    ------
    BackendError: it is no job.
    """

    job: str

    def __post_init__(self) -> None:
        _check_job(self.job)

    def line(self) -> str:
        """Return it for `scontrol`."""
        # a job that ended since we looked must not run again
        return f"requeue Incomplete {self.job}"


Command = Change | Requeue


class Access(Protocol):
    """A way to a Slurm cluster. Every call may raise `BackendError`, and may have done part of the work."""

    def job_rows(self, wait: str) -> JobRows:
        """Return all jobs, and the nodes that those of the partition `wait` want to avoid."""
        ...

    def node_rows(self, partition: str) -> list[Row]:
        """Return the nodes of a partition."""
        ...

    def carry_out(self, commands: Sequence[Command]) -> list[str]:
        """Carry out commands in this order; return for each why it was refused, empty if it was not."""
        ...

    def send_signal(self, jobs: Sequence[str], name: str) -> None:
        """Send a signal to the batch scripts of running jobs; those that are over meanwhile are left out."""
        ...


def _check_job(job: str) -> None:
    if not JOB_ID.fullmatch(job):
        raise BackendError(f"found {job[:80]!r}, expected a job like 12 or 12_3")
