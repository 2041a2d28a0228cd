"""What a report on a workload could not say, and what the trace would need for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from apportion.study.characterize.report import Report

COLUMNS = {"wait_s": "wait_s, or start_s", "model": "gpu_type, or gpu_models"}
"""Columns that are put together from others -> what a file of one's own would have."""
NOT_A_SERIES = "the trace is a list of jobs, not a series of counts"


@dataclass(frozen=True)
class LeftOut:
    """Analyses that lack the same. titles: of their sections. why: what was found. needs: what they would need."""

    titles: tuple[str, ...]
    why: str
    needs: str


def left_out(report: Report) -> list[LeftOut]:
    """Return what was left out, those that lack the same together, in the order of the report."""
    jobs = not report["overview"].skipped
    found: dict[str, list[str]] = {}
    for section in report.sections:
        if section.skipped:
            series = jobs and section.skipped.startswith("no signal")
            found.setdefault(NOT_A_SERIES if series else section.skipped, []).append(section.title)
    return [LeftOut(tuple(titles), why, _needs(why)) for why, titles in found.items()]


def _needs(why: str) -> str:
    if why.startswith("no jobs"):
        return "a list of jobs"
    if why == NOT_A_SERIES:
        return "a series"
    if why.startswith("no cluster"):
        return "--cluster"
    if name := re.search(r"no signal (\w+)", why):
        return f"series {name[1]}"
    if name := re.search(r"column (\w+)", why):
        return f"column {COLUMNS.get(name[1], name[1])}"
    return ""
