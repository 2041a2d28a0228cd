"""Where results go: a folder, a JSON file, the terminal."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apportion.cli.options import note
from apportion.study.files import folder_names, make_folder, write_json, write_tables

if TYPE_CHECKING:  # the commands that run nothing need no engine
    from apportion.study.compare import Study
    from apportion.study.result import Result


def show_json(data: Any, path: Path | None) -> None:
    """Write `data` to a file, or to stdout for `-`."""
    if path is None:
        return
    if str(path) == "-":
        sys.stdout.write(jsonlib.dumps(data, indent=2) + "\n")
    else:
        write_json(data, path)


def label(summary: Mapping[str, Any]) -> str:
    """Return what a run of a study is called: its policy, and its load and seed where there are several."""
    load = f" load={summary['load']:g}" if "load" in summary else ""
    seed = f" seed={summary['seed']}" if "seed" in summary else ""
    return f"{summary['policy']}{load}{seed}"


def save_run(result: Result, folder: Path, perfetto: bool, quiet: bool) -> None:
    """Write the files of one run."""
    from apportion.report.html import write_report

    make_folder(folder)
    write_tables(result, folder)
    if perfetto:
        from apportion.report.perfetto import write_perfetto

        write_perfetto(result, folder / "trace.perfetto.json")
    write_report([result], folder / "report.html")
    write_json(result.summary(), folder / "summary.json")
    if not quiet:
        note(f"wrote {folder}: summary.json, jobs.parquet, timeline.parquet, report.html")


def save_study(study: Study, folder: Path, quiet: bool) -> None:
    """Write the files of a comparison: the tables of each run in a folder of its own."""
    from apportion.report.html import write_report

    make_folder(folder)
    summaries = study.summaries()
    labels = [label(summary) for summary in summaries]
    results = [replace(result, policy=name) for result, name in zip(study.results, labels, strict=True)]
    for name, result in zip(folder_names(labels), results, strict=True):
        write_tables(result, make_folder(folder / name))
    write_report(results, folder / "report.html")
    write_json(summaries, folder / "summary.json")
    if not quiet:
        note(f"wrote {folder}: report.html, summary.json, and jobs and timeline of every run")
