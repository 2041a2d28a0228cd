"""Requests to Slurm's REST daemon: over a socket of this machine, or over the network with a token."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apportion.live.backend import BackendError

MOST_BYTES = 1 << 30
"""A longer answer is taken for a mistake."""


@dataclass
class Daemon:
    """Where a REST daemon is, and whom to be there.

    Parameters
    ----------
    address: path of its socket, or its address, `http://host:port` or `https://host:port`.
    user, token: whom to be, and what proves it (`scontrol token`); not needed on a socket with `rest_auth/local`.
    Without `user`, the one the token names. timeout_s: of one request.

    Raises
    ------
    BackendError: the address is none, or `user` or `token` cannot stand in a header.
    """

    address: str | Path
    user: str | None = None
    token: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        self._connection()
        if self.user is None and self.token is not None:
            self.user = user_of(self.token)
        for what, text in (("user", self.user), ("token", self.token)):
            if text is not None and not (text and text.isascii() and text.isprintable()):
                raise BackendError(f"found a {what} for slurmrestd that cannot stand in a header, expected plain text")

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON of an answer, which Slurm also gives where it refuses.

        Raises
        ------
        BackendError: there is no answer, or it is no JSON.
        """
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
        return status, _parsed(status, text)

    def in_the_clear(self) -> bool:
        """Return whether the token can be read on its way."""
        parts = urlsplit(str(self.address))
        if self.token is None or parts.scheme != "http":
            return False
        try:
            return not ipaddress.ip_address(parts.hostname or "").is_loopback
        except ValueError:
            return parts.hostname != "localhost"

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
        # what may hold a secret is not repeated
        shown = "an address with more in it" if set(text) & set("@?#") else repr(text[:80])
        if host is None or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
            raise BackendError(f"found {shown}, expected a path, http://host:port or https://host:port")
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


def user_of(token: str) -> str | None:
    """Return the user that a token of Slurm names (its claim `sun`), or None where it names none.

    The daemon of Slurm 22.05 wants the name beside the token.

    Examples
    --------
    >>> user_of("e30.eyJzdW4iOiAiYW5uIn0.x"), user_of("x")
    ('ann', None)
    """
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        name = claims.get("sun")
    except (ValueError, IndexError, AttributeError, RecursionError):
        return None
    return name if isinstance(name, str) and name else None


def _parsed(status: int, text: bytes) -> dict[str, Any]:
    if status == http.client.NOT_MODIFIED:
        return {}
    if len(text) > MOST_BYTES:
        raise BackendError(f"slurmrestd: found an answer of more than {MOST_BYTES} bytes")
    try:
        # names of jobs are passed on as they are, be they UTF-8 or not
        answer = json.loads(text.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        said = " ".join(text[:200].decode("utf-8", "replace").split())
        raise BackendError(f"slurmrestd: status {status}, expected JSON, found {said!r}")
    return answer
