"""Traces of jobs that are counted in training steps: what Gavel's and Shockwave's formats share."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.trace import QualityReport
from apportion.traces.columns import number, read_delimited, shortened


def read_tabs(path: Path, forms: tuple[tuple[str, ...], ...]) -> pl.DataFrame:
    """Read a tab-separated file without header that has the columns of one of `forms`, told by their number.

    Raises
    ------
    InputError: the file cannot be read or its first line has another number of columns.
    """
    if not path.is_file():
        raise InputError("found a folder, expected a file" if path.is_dir() else "no such file", file=path)
    with path.open(encoding="utf-8", errors="replace") as file:
        found = file.readline(100_000).count("\t") + 1
    for names in forms:
        if len(names) == found:
            return read_delimited(path, names, separator="\t", names=names, quote=None)
    raise InputError(
        f"found {found} tab-separated columns, expected "
        + " or ".join(f"{len(names)} ({', '.join(names)})" for names in forms),
        file=path,
        row=1,
    )


def jobs_of(raw: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return the columns that Gavel's and Shockwave's traces share, as numbers, a row a line."""

    def cells(column: str, minimum: float, *, whole: bool = False) -> pl.Series:
        return number(raw, column, path, minimum=minimum, whole=whole, required=True, header_rows=0)

    frame = pl.DataFrame(
        {
            "submit_s": cells("arrival_s", 0),
            "gpus": cells("scale_factor", 1, whole=True),
            "total_steps": cells("total_steps", 0),
            "job_type": raw["job_type"].fill_null("").str.strip_chars(),
        }
    ).with_columns(
        profile="job_type",
        batch_size=pl.col("job_type").str.extract(r"\(batch size (\d{1,9})\)$", 1).cast(pl.Int64),
    )
    if "priority_weight" in raw.columns:
        weight = number(raw, "priority_weight", path, minimum=0, maximum=1e9, required=True, header_rows=0)
        frame = frame.with_columns(priority_weight=weight, priority=weight.round())
    if "slo" in raw.columns:
        frame = frame.with_columns(slo=number(raw, "slo", path, header_rows=0))
    return frame.with_row_index("job_id").with_columns(pl.col("job_id").cast(pl.String))


def with_throughput(
    frame: pl.DataFrame, throughputs: pl.DataFrame, chosen: pl.DataFrame, path: Path, table: Path
) -> pl.DataFrame:
    """Add `steps_per_s` from `chosen`, null or 0 where the job does not run on that GPU model.

    Raises
    ------
    InputError: `throughputs` knows a job type and width on no GPU model at all.
    """
    keys = ["job_type", "scale_factor"]
    wanted = frame.select("job_type", scale_factor="gpus").with_columns(pl.col("scale_factor").cast(pl.Int32))
    known = wanted.join(
        throughputs.select(keys).unique().with_columns(known=True), on=keys, how="left", maintain_order="left"
    )
    if known["known"].null_count():
        row = int(known["known"].is_null().arg_max() or 0)
        raise InputError(
            f"found {shortened(wanted['job_type'][row], 60)!r} on {wanted['scale_factor'][row]} GPUs, "
            f"expected a job type and width of {table.name}",
            file=path,
            row=row + 1,
            column="job_type",
        )
    return frame.with_columns(wanted.join(chosen, on=keys, how="left", maintain_order="left")["steps_per_s"])


def with_deadline(frame: pl.DataFrame, report: QualityReport) -> pl.DataFrame:
    """Add `deadline_s` = submission + SLO x run time where there is an SLO above 0."""
    if "slo" not in frame.columns:
        return frame
    if (frame["slo"] > 0).any():
        report.notes.append("an SLO is a multiple of the run time: deadline = arrival + SLO x run time")
    return frame.with_columns(
        deadline_s=pl.when(pl.col("slo") > 0).then(pl.col("submit_s") + pl.col("slo") * pl.col("duration_s"))
    )


def is_number(cell: str) -> bool:
    """Say whether a cell reads as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
