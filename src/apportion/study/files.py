"""Write what a run or a study leaves behind: summary, jobs, timeline, report, Perfetto trace."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apportion.model.errors import InputError
from apportion.model.files import whole_file
from apportion.study.result import Result


def write_json(data: Any, path: Path) -> None:
    """Write JSON, two spaces deep, with a newline at the end.

    Raises
    ------
    InputError: it cannot be written.
    """
    text = json.dumps(data, indent=2) + "\n"
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def make_folder(path: Path) -> Path:
    """Create a folder for results.

    Raises
    ------
    InputError: it cannot be created, or is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot create the folder: {error.strerror}", file=path) from None
    return path


def write_tables(result: Result, folder: Path) -> None:
    """Write `jobs.parquet` and `timeline.parquet`.

    Raises
    ------
    InputError: the folder cannot be written to, or is full.
    """
    for name, table in (("jobs", result.jobs), ("timeline", result.timeline)):
        path = folder / f"{name}.parquet"
        with whole_file(path) as part:
            table.write_parquet(part)


def folder_names(labels: Sequence[str]) -> list[str]:
    """Return a folder name for each label: what file systems dislike becomes `-`, and no two are the same."""
    names: list[str] = []
    for label in labels:
        name = re.sub(r"[^\w.+=,-]+", "-", label).strip("-") or "run"
        while name in names:
            name += "-2"
        names.append(name)
    return names
