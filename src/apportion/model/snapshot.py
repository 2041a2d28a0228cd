"""The snapshot: which tasks run on which nodes and devices of a cluster at one moment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.table import REQUIRED, Column, conform

COLUMNS: dict[str, Column] = {
    "job_id": Column(pl.String, None, "name of the job; default: its row number", nullable=True),
    "node": Column(pl.String, REQUIRED, "name of the node the task runs on"),
    "devices": Column(pl.List(pl.Int64), None, "indices of its devices (0;3); null = not known", nullable=True),
    "gpus": Column(pl.Int32, None, "number of devices; default: as many as `devices` has", nullable=True, minimum=0),
    "gpu_milli": Column(pl.Int32, 1000, "share of each device, 1000 = whole", minimum=0),
    "cpu_milli": Column(pl.Int64, 0, "milli-cores", minimum=0),
    "memory_mib": Column(pl.Int64, 0, "MiB", minimum=0),
    "gpu_models": Column(pl.List(pl.String), [], "GPU models it may run on; empty = any"),
    "group": Column(pl.String, None, "virtual cluster, account or project; default: that of its node", nullable=True),
    "movable": Column(pl.Boolean, True, "may be moved to another place"),
}
"""Of `Snapshot.table`; a row is one task, so that a gang has several rows."""

ROW = "row"
"""Column that holds where each task was written: the line of a CSV file, else the number of the row from 1."""

_RANGE = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
DEVICES = "device indices such as 0, 0;3 or 0-3"


@dataclass(frozen=True)
class Snapshot:
    """Tasks that run at one moment, a row each; build one with `Snapshot.of`.

    Parameters
    ----------
    table: the columns of `COLUMNS`, then `row`, then any others. `devices` is null where the devices are not known; a
    task without GPUs has `gpus` 0, `gpu_milli` 0 and no devices.
    file: where it was read from, for messages. name: shown in results.
    """

    table: pl.DataFrame
    file: Path | None = None
    name: str = "snapshot"

    @classmethod
    def of(
        cls, frame: pl.DataFrame, *, file: Path | None = None, header_rows: int = 0, name: str = "snapshot"
    ) -> Snapshot:
        """Conform `frame` to the snapshot's columns.

        Parameters
        ----------
        frame: `devices` may be lists of numbers, numbers, or text (`0`, `0,3`, `0;3`, `0-3`). header_rows: lines of
        `file` before its first row.

        Raises
        ------
        InputError: a value is missing, of the wrong type or out of range, or devices and their number disagree.
        """
        rows = pl.int_range(1, frame.height + 1, eager=True) + header_rows
        given = frame.columns
        if "gpus" not in given and "devices" not in given:
            raise InputError(f"found columns {', '.join(given)}; expected gpus or devices", file=file, column="gpus")
        if "devices" in given:
            frame = frame.with_columns(device_lists(frame["devices"], rows, file))
        try:
            table = conform(frame, COLUMNS, "tasks")
        except InputError as error:
            raise InputError(str(error), file=file) from None
        table = table.with_columns(
            rows.alias(ROW),
            job_id=pl.coalesce("job_id", rows.cast(pl.String)),
            gpus=pl.coalesce("gpus", pl.col("devices").list.len().cast(pl.Int32), pl.lit(0, pl.Int32)),
        )
        snapshot = cls(table, file, name)
        snapshot._check_devices()
        without = (pl.col("gpus") == 0) | (pl.col("gpu_milli") == 0)
        none = pl.lit([], pl.List(pl.Int64))
        table = table.with_columns(
            gpus=pl.when(without).then(0).otherwise("gpus").cast(pl.Int32),
            gpu_milli=pl.when(without).then(0).otherwise("gpu_milli").cast(pl.Int32),
            devices=pl.when(without).then(none).when(pl.col("devices").list.len() > 0).then("devices"),
        )
        return cls(table, file, name)

    def wrong(self, index: int, column: str, what: str) -> InputError:
        """Return the error for a value of one row (from 0)."""
        return InputError(what, file=self.file, row=int(self.table[ROW][index]), column=column)

    def _check_devices(self) -> None:
        over = self.table["gpu_milli"] > 1000
        if over.any():
            row = int(over.arg_max() or 0)
            found = self.table["gpu_milli"][row]
            raise self.wrong(row, "gpu_milli", f"found {found}, expected at most 1000 (a whole device)")
        count = self.table["devices"].list.len()
        unlike = ((count > 0) & (count != self.table["gpus"])).fill_null(False)
        if unlike.any():
            row = int(unlike.arg_max() or 0)
            found, gpus = self.table["devices"][row].to_list(), self.table["gpus"][row]
            raise self.wrong(row, "devices", f"found {len(found)} ({found}), expected {gpus} as in the column gpus")

    def __len__(self) -> int:
        return self.table.height


def device_lists(cells: pl.Series, rows: Iterable[int], file: Path | None) -> pl.Series:
    """Return device indices as lists, null where nothing is said.

    Parameters
    ----------
    cells: lists of numbers, numbers, or text. rows: where each cell was written, for messages.

    Raises
    ------
    InputError: a cell is something else, or names a device twice.
    """
    out: list[list[int] | None] = []
    for cell, row in zip(cells.to_list(), rows, strict=True):
        found = _devices_of(cell)
        if found is not None and (-1 in found or len(set(found)) < len(found)):
            shown = str(cell)[:80]
            raise InputError(f"found {shown!r}, expected {DEVICES}, each once", file=file, row=row, column="devices")
        out.append(found)
    return pl.Series("devices", out, pl.List(pl.Int64))


def _devices_of(cell: object) -> list[int] | None:
    """Return the indices of one cell, sorted; -1 stands for what is none."""
    if isinstance(cell, str):
        found: list[int] = []
        for part in re.split(r"[,;\s]+", cell.strip(" []")):
            match = _RANGE.fullmatch(part)
            if match:
                found += range(int(match[1]), int(match[2] or match[1]) + 1) or [-1]
            elif part:
                return [-1]
        return sorted(found) or None
    if cell is None:
        return None
    numbers = cell if isinstance(cell, list) else [cell]
    if not all(isinstance(number, int | float) and float(number).is_integer() and number >= 0 for number in numbers):
        return [-1]
    return sorted(map(int, numbers)) or None
