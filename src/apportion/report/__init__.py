"""Reports of runs: one self-contained web page, tables for the terminal, a trace for ui.perfetto.dev."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apportion.report.html import write_report
    from apportion.report.perfetto import write_perfetto
    from apportion.report.terminal import print_comparison, print_summary

_HOME = {
    "print_comparison": "apportion.report.terminal",
    "print_summary": "apportion.report.terminal",
    "write_perfetto": "apportion.report.perfetto",
    "write_report": "apportion.report.html",
}
__all__ = ["print_comparison", "print_summary", "write_perfetto", "write_report"]


def __getattr__(name: str) -> Any:
    """Load the part that has `name` when it is first asked for: a table in the terminal does not wait for a page."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
