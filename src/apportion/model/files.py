"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from apportion.model.errors import InputError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; what is there when the block ends well appears at `path`, otherwise nothing changes.

    The temporary file lies in the same folder, so that the last step is a rename and a reader sees the old file or the
    new one. A device or a pipe (`/dev/stdout`, `/dev/fd/63`) is written to as it is: no file may take its place.

    Raises
    ------
    InputError: the folder is missing, cannot be written to, or is full.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with _one_line(path):
            yield path
        return
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(number)
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", file=path) from None
    temporary = Path(name)
    try:
        with _one_line(path):
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # a temporary file is private; a result is meant for others
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror or error}", file=path) from None
    except pl.exceptions.PolarsError as error:
        # what Polars makes of a full disk is an error of its own
        raise InputError(f"cannot write: {str(error).splitlines()[0]}", file=path) from None
