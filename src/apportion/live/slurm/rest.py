"""Slurm's REST daemon (`slurmrestd`), spoken to in the newest version that both sides know.

The shape of its JSON differs from version to version: what comes back is made the same here, what is sent is built for
the version that is spoken. v0.0.38 was tried on Slurm 22.05; the newer ones follow what the daemon says of itself, and
a start on given nodes is refused where it does not say how to name them.

v0.0.38 has no word for the administrator's comment by which `SlurmBackend` knows its launched jobs, so the backend
starts jobs with `scontrol`.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apportion.live.backend import BackendError, Refusal
from apportion.live.slurm.client import JOB_ID, checked
from apportion.live.slurm.hostlist import NODE_NAME
from apportion.live.slurm.setup import BAD, OK, WARN, Finding

VERSIONS = ("v0.0.44", "v0.0.43", "v0.0.42", "v0.0.41", "v0.0.40", "v0.0.38")
"""Versions spoken here, newest first."""

OLD = "v0.0.38"
"""The version whose fields are those of `sbatch` rather than those of Slurm's own records."""

MOST_BYTES = 1 << 30
"""A longer answer is taken for a mistake."""

TEXTS = ("job_state", "state_reason", "partition", "name", "user_name", "nodes", "required_nodes", "array_task_string",
         "tres_per_node", "tres_req_str", "comment", "admin_comment", "dependency", "qos")  # fmt: skip
NUMBERS = ("array_job_id", "array_task_id", "priority", "node_count", "time_limit", "submit_time", "start_time",
           "end_time", "restart_cnt")  # fmt: skip
"""Fields of a job as `Rest.jobs` returns it, besides its `job_id`."""

_VERSION = re.compile(r"/slurm/(v[0-9]+\.[0-9]+\.[0-9]+)/")
_NO_CHANGE = 1900
_REFUSALS = range(2000, 5000)
"""Numbers of errors by which Slurm says no; those of the network, of munge and of the JSON lie elsewhere."""


@dataclass
class Rest:
    """A REST daemon.

    Parameters
    ----------
    address: path of its socket, or its address, `http://host:port` or `https://host:port`.
    user, token: whom to be, and what proves it (`scontrol token`); not needed on a socket with `rest_auth/local`.
    timeout_s: of one request.

    Raises
    ------
    BackendError: the address is none, or `user` or `token` cannot stand in a header.
    """

    address: str | Path
    user: str | None = None
    token: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0
    _version: str | None = field(default=None, init=False)
    _pins: bool = field(default=False, init=False)
    """Whether that version says how to name the nodes of a job."""

    def __post_init__(self) -> None:
        for what, text in (("user", self.user), ("token", self.token)):
            if text is not None and not (text and text.isascii() and text.isprintable()):
                raise BackendError(f"found a {what} for slurmrestd that cannot stand in a header, expected plain text")
        self._connection()

    def version(self) -> str:
        """Return the newest version that both sides speak; the daemon is asked once.

        Raises
        ------
        BackendError: it does not answer, or speaks none of `VERSIONS`.
        """
        if self._version is None:
            status, specification = self._call("GET", "/openapi/v3")
            if status != http.client.OK:
                error = _error(specification)
                raise BackendError(f"slurmrestd: {error[1] if error else f'status {status}'}")
            offered = _offered(specification)
            common = [version for version in VERSIONS if version in offered]
            if not common:
                found = ", ".join(sorted(offered)) or "no version"
                raise BackendError(f"slurmrestd speaks {found[:200]}, expected one of {', '.join(VERSIONS)}")
            self._pins = common[0] == OLD or "required_nodes" in _fields(specification, common[0])
            self._version = common[0]
        return self._version

    def pins(self) -> bool:
        """Return whether the version spoken can say on which nodes a job starts.

        Raises
        ------
        BackendError: as `version`.
        """
        self.version()
        return self._pins

    def ping(self) -> bool:
        """Return whether a controller of Slurm answers the daemon.

        Raises
        ------
        BackendError: the daemon does not answer.
        """
        pings = self._ask("GET", "ping").get("pings")
        found = [ping for ping in pings if isinstance(ping, dict)] if isinstance(pings, list) else []
        # newer versions say more beside `pinged`, and may leave `ping` out
        return any(ping.get("ping", ping.get("pinged")) == "UP" or ping.get("responding") is True for ping in found)

    def jobs(self, update_time: int | None = None) -> list[dict[str, Any]] | None:
        """Return all jobs in the same shape whatever the version, or None where nothing changed since `update_time`.

        A job that waits as a part of an array not yet split has the array's id and `array_task_string`.

        Parameters
        ----------
        update_time: seconds since the epoch.

        Raises
        ------
        BackendError: the daemon or Slurm does not answer as it should.
        """
        status, answer = self._request("GET", "jobs" + (f"?update_time={int(update_time)}" if update_time else ""))
        if status == http.client.NOT_MODIFIED:
            return None
        error = _error(answer)
        if error is not None:
            if error[0] == _NO_CHANGE:
                return None
            raise BackendError(f"slurmrestd: {error[1]}")
        rows = answer.get("jobs")
        if status != http.client.OK or not isinstance(rows, list):
            raise BackendError(f"slurmrestd: found no jobs in the answer (status {status})")
        return [normalised(row) for row in rows]

    def dispatch(self, job_id: str, partition: str, nodes: Sequence[str], priority: int) -> Refusal | None:
        """Move a waiting job to the partition where it runs, on just these nodes; return why Slurm would not.

        Raises
        ------
        BackendError: the daemon or Slurm does not answer, an argument is none, or the version spoken cannot say on
        which nodes a job starts.
        """
        names = list(dict.fromkeys(nodes))
        if not names or not all(map(NODE_NAME.fullmatch, names)):
            raise BackendError(f"found {','.join(names)[:80]!r}, expected names of nodes")
        if not 0 < priority < 1 << 32:
            raise BackendError(f"found priority {priority}, expected a number from 1 to {(1 << 32) - 1}")
        if not self.pins():
            raise BackendError(f"slurmrestd's {self.version()} cannot say on which nodes a job starts: use scontrol")
        return self._update(job_id, dispatching(self.version(), checked(partition), names, priority))

    def park(self, job_id: str, wait: str) -> Refusal | None:
        """Move a pending job back to the partition where jobs wait, free of its nodes; return why Slurm would not.

        Raises
        ------
        BackendError: as `dispatch`.
        """
        if not self.pins():
            raise BackendError(f"slurmrestd's {self.version()} cannot free a job of its nodes: use scontrol")
        return self._update(job_id, parking(self.version(), checked(wait)))

    def _update(self, job_id: str, body: Mapping[str, Any]) -> Refusal | None:
        if not JOB_ID.fullmatch(job_id):
            raise BackendError(f"found {job_id[:80]!r}, expected a job like 12 or 12_3")
        status, answer = self._request("POST", f"job/{job_id}", body)
        error = _error(answer)
        if error is None and status != http.client.OK:
            error = (0, f"status {status}")
        if error is None:
            return None
        number, words = error
        if number not in _REFUSALS or "standby" in words.lower():
            raise BackendError(f"slurmrestd: {words}")
        return Refusal(job_id, words)

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        """Return an answer that holds no error."""
        status, answer = self._request(method, path)
        error = _error(answer)
        if error is not None or status != http.client.OK:
            raise BackendError(f"slurmrestd: {error[1] if error else f'status {status}'}")
        return answer

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        return self._call(method, f"/slurm/{self.version()}/{path}", body)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON of an answer, which Slurm also gives where it refuses."""
        connection, prefix = self._connection()
        headers = {"Accept": "application/json", "Connection": "close"}
        if self.user is not None:
            headers["X-SLURM-USER-NAME"] = self.user
        if self.token is not None:
            headers["X-SLURM-USER-TOKEN"] = self.token
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, prefix + path, None if body is None else json.dumps(body).encode(), headers)
            response = connection.getresponse()
            status, text = response.status, response.read(MOST_BYTES + 1)
        except TimeoutError:
            raise BackendError(f"slurmrestd: no answer in {self.timeout_s:.0f} s") from None
        except (OSError, http.client.HTTPException) as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BackendError(f"slurmrestd at {self.address}: {said}") from None
        finally:
            connection.close()
        return status, self._parsed(status, text)

    def _parsed(self, status: int, text: bytes) -> dict[str, Any]:
        if status == http.client.NOT_MODIFIED:
            return {}
        if status == http.client.NOT_FOUND:
            self._version = None  # perhaps another daemon now: ask again next time
        if len(text) > MOST_BYTES:
            raise BackendError(f"slurmrestd: found an answer of more than {MOST_BYTES} bytes")
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            said = " ".join(text[:200].decode("utf-8", "replace").split())
            raise BackendError(f"slurmrestd: status {status}, expected JSON, found {said!r}")
        return answer

    def _connection(self) -> tuple[http.client.HTTPConnection, str]:
        """Return a connection, not yet made, and what comes before every path."""
        text = str(self.address)
        if "://" not in text:
            return _SocketConnection(text.removeprefix("unix:"), self.timeout_s), ""
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if host is None or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
            raise BackendError(f"found {text[:80]!r}, expected a path, http://host:port or https://host:port")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(host, port, timeout=self.timeout_s), parts.path.rstrip("/")


class _SocketConnection(http.client.HTTPConnection):
    """A connection to a socket of this machine."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def dispatching(version: str, partition: str, nodes: Sequence[str], priority: int) -> dict[str, Any]:
    """Return what is sent to start a job on just these nodes."""
    count = len(nodes)
    if version == OLD:
        # not in its specification, and `required_nodes`, which is, is switched off
        return {"partition": partition, "nodelist": ",".join(nodes), "nodes": [count, count], "priority": priority}
    return {
        "partition": partition,
        "required_nodes": list(nodes),
        "minimum_nodes": count,
        "maximum_nodes": count,
        "priority": {"set": True, "infinite": False, "number": priority},
    }


def parking(version: str, wait: str) -> dict[str, Any]:
    """Return what is sent to let a job wait; an empty name, rather than no name, frees it of its nodes."""
    return {"partition": wait, "nodelist": ""} if version == OLD else {"partition": wait, "required_nodes": [""]}


def normalised(row: object) -> dict[str, Any]:
    """Return a job in the same shape whatever the version it came in: a field is text, a number, or None for none.

    Raises
    ------
    BackendError: it is no job.

    Examples
    --------
    >>> old = {"job_id": 7, "job_state": "PENDING", "priority": 77, "time_limit": None}
    >>> new = {"job_id": 7, "job_state": ["PENDING"], "priority": {"set": True, "infinite": False, "number": 77}}
    >>> normalised(old) == normalised(new)
    True
    """
    number = flat(row.get("job_id")) if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(number, int):
        raise BackendError(f"slurmrestd: found {str(row)[:80]!r}, expected a job")
    job: dict[str, Any] = {name: _text(row.get(name)) for name in TEXTS}
    job |= {name: flat(row.get(name)) for name in NUMBERS}
    job["job_state"] = _state(row.get("job_state"))
    array, task = job["array_job_id"], job["array_task_id"]
    job["job_id"] = f"{array}_{task}" if array and task is not None else str(number)
    return job


def flat(value: object) -> int | float | None:
    """Return a number given as such or as `{set, infinite, number}`, or None where there is none or no bound.

    Examples
    --------
    >>> flat(3), flat({"set": True, "infinite": False, "number": 3}), flat({"set": False, "number": 0}), flat(None)
    (3, 3, None, None)
    """
    if isinstance(value, dict):
        value = None if value.get("infinite") or not value.get("set", True) else value.get("number")
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else ""


def _state(value: object) -> str:
    """Return one word: older versions name what a job is just doing (`COMPLETING`) instead of its state."""
    words = [str(word) for word in value] if isinstance(value, list) else [_text(value)]
    return "COMPLETING" if "COMPLETING" in words else words[-1] if words else ""


def _offered(specification: Mapping[str, Any]) -> set[str]:
    paths = specification.get("paths")
    found = (_VERSION.match(path) for path in paths) if isinstance(paths, dict) else ()
    return {match.group(1) for match in found if match}


def _fields(specification: Mapping[str, Any], version: str) -> Mapping[str, Any]:
    """Return the fields of a change to a job in a version."""
    value: Any = specification
    for key in ("components", "schemas", f"{version}_job_desc_msg", "properties"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _error(answer: Mapping[str, Any]) -> tuple[int, str] | None:
    """Return the number and the words of what went wrong, the number 0 where none is given."""
    both = [answer.get("errors"), answer.get("results")]
    entries = [entry for part in both if isinstance(part, list) for entry in part if isinstance(entry, dict)]
    # in `results`, 0 says that all went well
    entries = [entry for entry in entries if _number(entry) != 0]
    numbers = [number for number in map(_number, entries) if number is not None]
    if numbers:
        return max(numbers), "; ".join(dict.fromkeys(filter(None, map(_words, entries))))[:500]
    # 22.05 says of every change to a task of an array that it failed, but gives a number only where it did
    said = [words for words in map(_words, entries) if words and not words.startswith("job array update from ")]
    return (0, "; ".join(said)[:500]) if said else None


def _number(entry: Mapping[str, Any]) -> int | None:
    number = entry.get("error_number", entry.get("error_code"))
    return number if isinstance(number, int) else None


def _words(entry: Mapping[str, Any]) -> str:
    words = [str(entry[key]) for key in ("error", "description", "why") if entry.get(key)]
    return ": ".join(words)


def finding(rest: Rest) -> Finding:
    """Return which version is spoken, or why none is; it changes nothing."""
    try:
        version = rest.version()
        answers = rest.ping()
    except BackendError as error:
        return Finding(BAD, f"the REST daemon cannot be used: {error}", "start slurmrestd, or go without it")
    if not answers:
        return Finding(
            BAD, f"slurmrestd speaks {version}, but Slurm's controller does not answer it", "look at slurmctld"
        )
    if not rest.pins():
        return Finding(WARN, f"slurmrestd speaks {version}, which cannot start jobs on given nodes", "use scontrol")
    return Finding(OK, f"slurmrestd speaks {version}")
