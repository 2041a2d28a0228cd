"""Read a JSON array of objects one object at a time, so that a file of gigabytes needs memory for one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from apportion.model.errors import InputError

CHUNK = 1 << 20
LARGEST_OBJECT = 64 << 20
"""Characters; text that is no object after so many is not JSON, rather than a long object."""


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of the array in `path`.

    Raises
    ------
    InputError: no such file, not UTF-8, no JSON array, or an element that is no object; the message has its
    number.
    """
    if not path.is_file():
        raise InputError("found a folder, expected a file" if path.is_dir() else "no such file", file=path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _objects(file, path)
    except UnicodeDecodeError:
        raise InputError("found bytes that are no UTF-8, expected JSON", file=path) from None
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror or error}", file=path) from None


def _objects(file: TextIO, path: Path) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    text = file.read(CHUNK).lstrip()
    if not text.startswith("["):
        raise InputError(f"found {text[:20]!r}, expected a JSON array of jobs", file=path, row=1)
    at, count, more = 1, 0, True
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at < len(text) and text[at] == "]":
            return
        problem = "the file ends inside the array"
        if at < len(text):
            try:
                element, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                problem = getattr(error, "msg", "not JSON")
            else:
                count += 1
                if not isinstance(element, dict):
                    raise InputError("found no object, expected a job", file=path, row=count)
                yield element
                continue
        # Either the object goes on in the next chunk, or this is no JSON: only more text can tell.
        if not more or len(text) - at > LARGEST_OBJECT:
            raise InputError(f"cannot read job {count + 1}: {problem}", file=path)
        chunk = file.read(max(CHUNK, len(text) - at))
        more = bool(chunk)
        text, at = text[at:] + chunk, 0
