"""Download public traces: resumed where a connection broke, checked against published checksums, atomic."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from apportion.model.errors import InputError, did_you_mean
from apportion.traces.downloads import DOWNLOADS, Download, Part

Progress = Callable[[int, int | None], None]
"""Called with the bytes of the current file that are there, and its size where the server says it."""

CHUNK = 1 << 16
TIMEOUT_S = 60.0


def fetch(name: str, target_dir: str | Path, *, progress: Progress | None = None, base_url: str | None = None) -> Path:
    """Download the public trace `name` into `target_dir`; return its file, or the folder when it has several.

    A file that is already there is kept (and checked where a checksum is known). An interrupted download
    leaves `FILE.part`, and the next call goes on from it; a file that does not match its checksum is deleted.

    Parameters
    ----------
    base_url: a mirror, under which the files have the names of `Part.file`.

    Raises
    ------
    InputError: unknown name, no network, not found, interrupted, wrong checksum, or the disk does not take
    it.

    Examples
    --------
    ::

        fetch("openb", "data", progress=lambda done, total: print(done, total))
        trace = apportion.load("openb:data/openb?pods=default")
    """
    if name not in DOWNLOADS:
        raise InputError(f"unknown trace {name!r}{did_you_mean(name, DOWNLOADS)} (known: {', '.join(DOWNLOADS)})")
    trace = DOWNLOADS[name]
    folder = Path(target_dir) / name if len(trace.parts) > 1 else Path(target_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in trace.parts:
            url = f"{base_url.rstrip('/')}/{part.file}" if base_url else part.url
            _fetch_file(trace, part, url, folder / part.file, progress)
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror or error}", file=folder) from None
    return folder if len(trace.parts) > 1 else folder / trace.parts[0].file


def _fetch_file(trace: Download, part: Part, url: str, target: Path, progress: Progress | None) -> None:
    if not url.startswith(("http://", "https://")):
        raise InputError(f"found the address {url!r}, expected http:// or https://")
    partial, tag = (target.with_name(target.name + end) for end in (".part", ".part.etag"))
    if target.exists():
        if part.sha256 is None or _sha256(target) == part.sha256:
            return
        raise InputError("a file is there with another checksum; move it away to download it again", file=target)
    _download(trace, part, url, partial, tag, progress)
    tag.unlink(missing_ok=True)
    wrong = _what_is_wrong(partial, part)
    if wrong is not None:
        partial.unlink()
        raise InputError(f"{wrong}; the file is deleted; try again, or see {trace.source}", file=target)
    os.replace(partial, target)


def _what_is_wrong(path: Path, part: Part) -> str | None:
    with path.open("rb") as file:
        if file.read(40).startswith(b"version https://git-lfs.github.com"):
            return "found a Git LFS pointer, expected the data"
    if part.sha256 is None:
        return None
    found = _sha256(path)
    if found == part.sha256:
        return None
    return f"found checksum {found[:16]}..., expected {part.sha256[:16]}...: it was damaged or changed"


def _download(trace: Download, part: Part, url: str, partial: Path, tag: Path, progress: Progress | None) -> None:
    """Bring `partial` to the full length, going on from what it holds."""
    have = partial.stat().st_size if partial.exists() else 0
    try:
        answer = _open(trace, url, have, tag)
    except _NothingLeftError as end:
        if end.total == have:
            return
        partial.unlink()  # longer than the file now is: it changed, so start over
        have, answer = 0, _open(trace, url, 0, tag)
    with answer:
        start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range") or "")
        on = answer.status == 206 and start is not None and int(start[1]) == have
        if answer.status == 206 and not on:
            raise InputError(
                "the server sent another range than asked for; delete the file to start over", file=partial
            )
        done = have if on else 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else part.size
        etag = answer.headers.get("ETag")
        if etag:
            tag.write_text(etag, encoding="utf-8")
        with partial.open("ab" if on else "wb") as file:
            while chunk := _next(answer, url, done, partial):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    if total is not None and done < total:
        raise _interrupted(url, done, total, partial)


class _NothingLeftError(Exception):
    """The server has no bytes after what is there; `total` is the size that it names."""

    def __init__(self, total: int | None) -> None:
        super().__init__(total)
        self.total = total


def _open(trace: Download, url: str, have: int, tag: Path) -> http.client.HTTPResponse:
    headers = {"User-Agent": "apportion", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag.exists():  # go on only if the file is still the same, else the server sends it whole
            headers["If-Range"] = tag.read_text(encoding="utf-8").strip()
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            size = re.match(r"bytes \*/(\d+)", error.headers.get("Content-Range") or "")
            raise _NothingLeftError(int(size[1]) if size else None) from None
        where = f"it may have moved, see {trace.source}" if error.code in (404, 410) else error.reason
        raise InputError(f"the server answered {error.code} for {url}: {where}") from None
    except urllib.error.URLError as error:
        raise InputError(f"cannot reach {_host(url)}: {_short(error.reason)}; is there a network?") from None
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"cannot reach {_host(url)}: {_short(error)}; is there a network?") from None
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


def _next(answer: http.client.HTTPResponse, url: str, done: int, partial: Path) -> bytes:
    try:
        return answer.read(CHUNK)
    except (OSError, http.client.HTTPException):
        raise _interrupted(url, done, None, partial) from None


def _interrupted(url: str, done: int, total: int | None, partial: Path) -> InputError:
    of = f" of {total:,}" if total else ""
    return InputError(
        f"the connection to {_host(url)} broke after {done:,}{of} bytes; fetch again to go on from there",
        file=partial,
    )


def _host(url: str) -> str:
    return url.split("/")[2]


def _short(reason: object) -> str:
    return str(reason).splitlines()[0] if str(reason) else type(reason).__name__


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
