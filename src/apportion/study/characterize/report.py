"""The whole report: every analysis that the trace has the columns for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import apportion
from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.files import whole_file
from apportion.model.trace import Trace
from apportion.study.characterize.overlay import overlay
from apportion.study.characterize.published import get_reference
from apportion.study.characterize.section import Analysis, Section, to_json
from apportion.study.characterize.subject import lacking, prepare
from apportion.study.files import make_folder, write_json

MODULES = (
    "overview", "machines", "durations", "sizes", "observed_waits", "waits_by_cause", "states", "users", "groups",
    "rhythm", "seasonality", "series", "gangs", "recurrence", "requests", "gpu_types", "sharing", "utilisation",
    "power", "power_off",
)  # fmt: skip
"""The files with the analyses, in the order of the report."""


def analyses() -> list[Analysis]:
    """Return every analysis, in the order of the report."""
    modules = [importlib.import_module(f"apportion.study.characterize.{name}") for name in MODULES]
    return [analysis for module in modules for analysis in module.ANALYSES]


@dataclass(frozen=True)
class Report:
    """What was found.

    Parameters
    ----------
    trace: as the user named it. sections: in the order of the report; those that could not be done say what they lack.
    against: names of the published clusters that stand in the tables. origin: calendar time of second 0, if known.
    """

    trace: str
    sections: tuple[Section, ...]
    against: tuple[str, ...] = ()
    origin: datetime | None = None

    def __getitem__(self, key: str) -> Section:
        return next(section for section in self.sections if section.key == key)

    def summary(self) -> dict[str, Any]:
        """Return the dictionary of `summary.json`: numbers and sentences of each section, or what it lacks."""
        return {
            "trace": self.trace,
            "version": apportion.__version__,
            "against": list(self.against),
            "sections": [to_json(section) for section in self.sections],
        }


def characterize(
    trace: Trace,
    cluster: Cluster | None = None,
    against: Sequence[str] = (),
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Return the report on a trace.

    Parameters
    ----------
    cluster: in place of the trace's own nodes. against: published clusters (`published.NAMES`) whose curves are laid
    beside. progress: told how many analyses of how many are done.

    Raises
    ------
    InputError: the trace has neither jobs nor signals.
    UsageError: nothing is published about a name in `against`.

    Examples
    --------
    >>> import apportion
    >>> report = characterize(apportion.load("synthetic:philly?jobs=500&seed=1"), against=["pai"])
    >>> report["overview"].numbers["jobs"]
    500.0
    """
    references = {name: get_reference(name) for name in against}
    if not len(trace.workload) and not trace.signals:
        raise InputError(f"{trace.spec or trace.workload.name}: found no jobs, expected at least one")
    subject = prepare(trace, cluster)
    every = analyses()
    sections = []
    for done, analysis in enumerate(every):
        why = lacking(subject, analysis)
        found = Section(analysis.key, analysis.title, skipped=why) if why else analysis.look(subject)
        sections.append(overlay(found, references))
        if progress is not None:
            progress(done + 1, len(every))
    return Report(trace.spec or trace.workload.name, tuple(sections), tuple(references), trace.workload.origin)


def write_files(report: Report, folder: Path) -> None:
    """Write `summary.json`, and a CSV file for each table: `tables/SECTION-TABLE.csv`.

    Raises
    ------
    InputError: the folder cannot be written to.
    """
    make_folder(folder)
    tables = make_folder(folder / "tables")
    for section in report.sections:
        for name, table in section.tables.items():
            with whole_file(tables / f"{section.key}-{name}.csv") as part:
                table.write_csv(part)
    write_json(report.summary(), folder / "summary.json")
