"""What an analysis of a trace is, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.trace import Trace


@dataclass(frozen=True)
class Subject:
    """What is looked at.

    Parameters
    ----------
    trace: as it was read. jobs: its table with what several analyses need: `gpu_demand` (GPUs of the whole gang,
    fractions for shared ones), `gpu_s` (GPU-seconds), `size` (label of the bucket of `gpu_demand`, in their order);
    and null where the source does not say: `wait_s` (start - submission as recorded), `kind` (what the jobs are for),
    `model` (GPU model it ran on or is bound to). `characterize.subject.prepare` makes one.
    cluster: the trace's own or the one that was given, None where there is none.
    """

    trace: Trace
    jobs: pl.DataFrame
    cluster: Cluster | None = None


@dataclass(frozen=True)
class Section:
    """What one analysis found.

    Parameters
    ----------
    key, title: for files and headings. numbers: single values by name; the name ends with the unit, shares are 0 to 1.
    tables: frames by name, small enough to draw; `time_s`, `hour` and the like as first column.
    sentences: what it means for who runs the cluster, computed from the numbers; the first stands beside the plot.
    beside: table -> those of the sentences that are about that table; the others are about the section.
    skipped: why there is nothing, naming the column that lacks; then all else is empty.
    """

    key: str
    title: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()
    skipped: str = ""
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """One entry of the report.

    Parameters
    ----------
    needs: columns of the jobs that must say something (not all null, empty or, for CPU and memory, 0); `cluster` and
    `signal:NAME` stand for those.
    look: does it. papers: who did it before.
    """

    key: str
    title: str
    needs: tuple[str, ...]
    look: Callable[[Subject], Section]
    papers: str = ""


def to_json(section: Section) -> dict[str, Any]:
    """Return numbers and sentences for `summary.json`; tables are left to the page."""
    if section.skipped:
        return {"key": section.key, "skipped": section.skipped}
    return {"key": section.key, "numbers": dict(section.numbers), "sentences": list(section.sentences)}
