"""Slurm's REST daemon (`slurmrestd`), spoken to in the newest version that both sides know.

The shape of its JSON differs from version to version: what comes back is made the same here, what is sent is built for
the version that is spoken. v0.0.38 was tried on Slurm 22.05; the newer ones follow what the daemon says of itself.

What a version has no word for goes through Slurm's own programs. v0.0.38 cannot set the administrator's comment by
which `SlurmBackend` knows the jobs it launched, so it starts none. No version requeues a job, and v0.0.38 signals all
processes of a job instead of its script, so jobs are stopped by the programs.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apportion.live.backend import BackendError
from apportion.live.slurm.access import Change, Command, JobRows, Row
from apportion.live.slurm.client import Slurm
from apportion.live.slurm.jobs import MARK, PENDING
from apportion.live.slurm.names import checked
from apportion.live.slurm.rest_http import Daemon
from apportion.live.slurm.rest_rows import job_rows_of, node_row_of, partitions_of, text_of
from apportion.live.slurm.rest_versions import VERSIONS, body_of, error_of, fields_of, offered
from apportion.live.slurm.setup import BAD, OK, WARN, Finding

_REFUSALS = range(2000, 5000)
"""Numbers of errors by which Slurm says no; those of the network, of munge and of the JSON lie elsewhere."""


@dataclass
class Rest:
    """A Slurm cluster as seen through its REST daemon.

    Parameters
    ----------
    address, user, token, timeout_s: see `Daemon`. slurm: the programs, for what the version spoken cannot say.

    Raises
    ------
    BackendError: as `Daemon`.
    """

    address: str | Path
    user: str | None = None
    token: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0
    slurm: Slurm = field(default_factory=Slurm)
    _version: str | None = field(default=None, init=False)
    _fields: frozenset[str] = field(default=frozenset(), init=False, repr=False)
    """What a change to a job can say in that version."""

    def __post_init__(self) -> None:
        self.daemon = Daemon(self.address, self.user, self.token, self.timeout_s)

    def version(self) -> str:
        """Return the newest version that both sides speak; the daemon is asked once.

        Raises
        ------
        BackendError: it does not answer, or speaks none of `VERSIONS`.
        """
        if self._version is None:
            status, specification = self.daemon.call("GET", "/openapi/v3")
            if status != http.client.OK:
                error = error_of(specification)
                raise BackendError(f"slurmrestd: {error[1] if error else f'status {status}'}")
            there = offered(specification)
            common = [version for version in VERSIONS if version in there]
            if not common:
                found = ", ".join(sorted(there)) or "no version"
                raise BackendError(f"slurmrestd speaks {found[:200]}, expected one of {', '.join(VERSIONS)}")
            self._fields = fields_of(specification, common[0])
            self._version = common[0]
        return self._version

    def ping(self) -> bool:
        """Return whether a controller of Slurm answers the daemon.

        Raises
        ------
        BackendError: the daemon does not answer.
        """
        found = [ping for ping in self._list("ping", "pings") if isinstance(ping, dict)]
        # newer versions say more beside `pinged`, and may leave `ping` out
        return any(ping.get("ping", ping.get("pinged")) == "UP" or ping.get("responding") is True for ping in found)

    def can(self, change: Change) -> bool:
        """Return whether the version spoken has words for a change to a job.

        Raises
        ------
        BackendError: as `version`.
        """
        version = self.version()
        return self._fields.issuperset(body_of(version, change))

    def job_rows(self, wait: str) -> JobRows:
        """Return all jobs, and the nodes that those of the partition `wait` want to avoid.

        Raises
        ------
        BackendError: the daemon or Slurm does not answer as it should.
        """
        rows: list[Row] = []
        excluded: dict[str, str] = {}
        for job in self._list("jobs", "jobs"):
            found = job_rows_of(job)
            rows += found
            avoids = text_of(job.get("excluded_nodes"))
            for row in found if avoids else ():
                if row["StateCompact"] in PENDING and wait in row["Partition"].split(","):
                    excluded[row["JobArrayID"]] = avoids
        return JobRows(rows, excluded)

    def node_rows(self, partition: str) -> list[Row]:
        """Return the nodes of a partition.

        Raises
        ------
        BackendError: as `job_rows`.
        """
        rows = [(node_row_of(node), node) for node in self._list("nodes", "nodes")]
        return [row for row, node in rows if checked(partition) in partitions_of(node)]

    def carry_out(self, commands: Sequence[Command]) -> list[str]:
        """Carry out commands in this order; return for each why Slurm refused, empty if it did not.

        All go through one `scontrol` when the version spoken has no word for one of them.

        Raises
        ------
        BackendError: the daemon or Slurm does not answer; some commands may have been carried out.
        """
        changes = [command for command in commands if isinstance(command, Change) and self.can(command)]
        if len(changes) < len(commands):
            return self.slurm.carry_out(commands)
        return [self._change(change) for change in changes]

    def send_signal(self, jobs: Sequence[str], name: str) -> None:
        """Send a signal to the batch scripts of running jobs; those that are over meanwhile are left out.

        Raises
        ------
        BackendError: Slurm was not reached.
        """
        self.slurm.send_signal(jobs, name)

    def _change(self, change: Change) -> str:
        status, answer = self._request("POST", f"job/{change.job}", body_of(self.version(), change))
        error = error_of(answer)
        if error is None and status != http.client.OK:
            error = (0, f"status {status}")
        if error is None:
            return ""
        number, words = error
        if number not in _REFUSALS or "standby" in words.lower():
            raise BackendError(f"slurmrestd: {words}")
        return words

    def _list(self, path: str, key: str) -> list[Any]:
        """Return what an answer lists under `key`."""
        status, answer = self._request("GET", path)
        error = error_of(answer)
        if error is not None:
            raise BackendError(f"slurmrestd: {error[1]}")
        found = answer.get(key)
        if status != http.client.OK or not isinstance(found, list):
            raise BackendError(f"slurmrestd: found no {key} in the answer (status {status})")
        return found

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        version = self.version()
        self._version = None  # an error, or 404: perhaps another daemon now, which is asked again next time
        status, answer = self.daemon.call(method, f"/slurm/{version}/{path}", body)
        if status != http.client.NOT_FOUND:
            self._version = version
        return status, answer


def rest_finding(rest: Rest) -> Finding:
    """Return which version is spoken and what goes through `scontrol`, or why none is; it changes nothing."""
    try:
        version, answers = rest.version(), rest.ping()
        starts = rest.can(Change("1", "main", ("n1",), 1, MARK, begin_s=0))
        parks = rest.can(Change("1", "wait", begin_s=0))
    except BackendError as error:
        return Finding(BAD, f"the REST daemon cannot be used: {error}", "start slurmrestd, or go without it")
    if not answers:
        return Finding(
            BAD, f"slurmrestd speaks {version}, but Slurm's controller does not answer it", "look at slurmctld"
        )
    if rest.daemon.in_the_clear():
        return Finding(WARN, f"the token goes to {rest.address} in the clear", "use https, or a socket")
    told = ", ".join(verb for verb, said in (("started", starts), ("parked", parks), ("stopped", False)) if not said)
    return Finding(OK, f"slurmrestd speaks {version}; through scontrol, as it has no word for it, jobs are {told}")
