"""Tables of how well models predict, and of what an additive model has learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from apportion.model.units import format_duration
from apportion.report.terminal import console_for, plain_table

HEADINGS = ("GPUs", "jobs", "within 25 %", "error p50", "error mean", "rank corr.", "80 % interval", "pinball")


def print_accuracy(found: Sequence[Mapping[str, Any]], *, console: Console | None = None) -> None:
    """Print a block of rows for each model, first for all jobs, then by size.

    Parameters
    ----------
    found: as `apportion.study.accuracy.accuracy` returns them, with `model` and `trace`.
    """
    out = console_for(console)
    table = plain_table(out, str(found[0]["trace"]) if found else "")
    table.add_column("model", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for one in found:
        table.add_row(str(one["model"]), "all", *_cells(one))
        for size, part in one["by_gpus"].items():
            table.add_row("", size, *_cells(part))
    out.print(table)


def _cells(part: Mapping[str, Any]) -> list[str]:
    correlation = part["rank_correlation"]
    return [
        f"{part['jobs']:,}",
        f"{100 * part['within_25_pct']:.1f} %",
        f"{part['error_pct']['p50']:,.0f} %",
        f"{part['error_pct']['mean']:,.0f} %",
        "-" if correlation is None else f"{correlation:.3f}",
        f"{100 * part['coverage_80']:.1f} %",
        format_duration(part["pinball_s"]),
    ]


def print_shapes(one: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Print the functions of an additive model: by what each feature makes a job longer than the look-up says."""
    out = console_for(console)
    table = plain_table(out, f"{one['model']}: factors on the looked-up run time")
    for heading in ("feature", "from", "to", "jobs", "factor"):
        table.add_column(heading, justify="left" if heading == "feature" else "right")
    before = ""
    for row in one["shapes"]:
        bounds = ["none" if row[end] is None else f"{row[end]:,.4g}" for end in ("low", "high")]
        table.add_row(
            "" if row["feature"] == before else row["feature"], *bounds, f"{row['jobs']:,}", f"{row['factor']:.2f}"
        )
        before = row["feature"]
    out.print(table)
