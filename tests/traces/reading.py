"""Read a file with one named format, as a trace spec would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apportion.model import InputError, Trace
from apportion.traces.options import Options
from apportion.traces.registry import get_format


def read(name: str, path: Path, **given: Any) -> Trace:
    """Read `path` as format `name` with `?key=value` options; an unknown option is an error."""
    options = Options({key.rstrip("_"): str(value) for key, value in given.items()}, name)
    trace = get_format(name).read(path, options)
    options.finish()
    assert trace.report.jobs == len(trace.workload)
    return trace


def refusal(name: str, path: Path, **given: Any) -> str:
    """Return the message with which the format refuses the file; it has one line."""
    try:
        read(name, path, **given)
    except InputError as error:
        assert "\n" not in str(error)
        return str(error)
    raise AssertionError(f"{name} read {path}, expected a refusal")


def column(trace: Trace, name: str) -> list[Any]:
    """Return a column of the workload."""
    return trace.workload.table[name].to_list()
