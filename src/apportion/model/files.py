"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from apportion.model.errors import InputError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; what is there when the block ends well appears at `path`, otherwise nothing changes.

    The temporary file lies in the same folder, so that the last step is a rename and a reader sees the old file or the
    new one.

    Raises
    ------
    InputError: the folder is missing, cannot be written to, or is full.
    """
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(number)
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", file=path) from None
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # a temporary file is private; a result is meant for others
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror or error}", file=path) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
