"""What a Slurm job asks for: nodes, GPUs, cores and memory out of whichever accounting fields there are."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.errors import InputError
from apportion.model.trace import QualityReport
from apportion.traces import slurm_fields as fields
from apportion.traces.columns import shortened
from apportion.traces.lines import at_most
from apportion.traces.slurm_table import SacctTable

MOST = 1e6
"""Nodes, GPUs of a job: more is a damaged cell, not a job."""
MOST_CORES = 1e8
MOST_MIB = 1e12


def demand(table: SacctTable, path: Path, per_node: int | None, report: QualityReport) -> pl.DataFrame:
    """Return tasks, apart, gpus, cpu_milli, memory_mib, gpu_models, source_gpu_model and `scattered` of each row.

    A job is a task a node, and these are `apart` where the accounting tells that so many nodes were asked for. GPUs and
    models are what was asked for (ReqTRES, ReqGRES) before what was given (AllocTRES, AllocGRES): a job may be given
    more than it asked for, and where it happened to run does not bind it. More nodes given than asked for:

    - and as many GPUs more: they were asked for on each node (`-n 100 --gres=gpu:1`), a task a node;
    - and just the GPUs asked for: they were asked for in all (`--gpus=12`), and may lie on any nodes.

    The latter, and jobs whose GPUs do not divide evenly over their nodes (Slurm fills one node after the other), become
    a task a GPU (`scattered`).

    Parameters
    ----------
    per_node: GPUs of a node, used where the log records none (default 1, with a note).

    Raises
    ------
    InputError: a count is no number or beyond all clusters.
    """
    height = table.frame.height
    nodes = _counted(table, path, ("NNodes", "AllocNodes", "ReqNodes"), "node", MOST).fill_null(1).clip(1)
    cores = _counted(table, path, ("ReqCPUS", "NCPUS", "AllocCPUS"), "cpu", MOST_CORES).fill_null(0)
    asked = _counted(table, path, ("ReqNodes",), "node", MOST, given=False)
    gpus, held, models, ran_on = _gpus(table, path, nodes)
    if gpus is None or (per_node is not None and not gpus.sum()):
        gpus = held = nodes * (per_node or 1)
        why = "" if per_node is not None else "; give gpus_per_node= when a node has more"
        report.notes.append(f"the log records no GPUs: every node counts as {per_node or 1}{why}")
    elif not gpus.sum() and height:
        report.notes.append("no job names a GPU; gpus_per_node= counts whole nodes instead")
    grown = (nodes > asked).fill_null(False) & (gpus > 0)
    by_node = grown & (gpus % asked == 0) & (held * asked >= gpus * nodes)
    by_node = by_node.fill_null(False)
    gpus = pl.select(pl.when(by_node).then(gpus / asked * nodes).otherwise(gpus)).to_series()
    scattered = ((gpus % nodes != 0) | (grown & ~by_node)) & (nodes > 1)
    tasks = pl.select(pl.when(scattered).then(gpus).otherwise(nodes)).to_series()
    return pl.DataFrame(
        {
            "tasks": tasks.cast(pl.Int32),
            "apart": ~scattered & (nodes > 1) & ((nodes == asked).fill_null(False) | by_node),
            "gpus": (gpus / tasks).cast(pl.Int32),
            "cpu_milli": (cores * 1000 / tasks).ceil().cast(pl.Int64),
            "memory_mib": _memory(table, path, nodes, cores, tasks).cast(pl.Int64),
            "gpu_models": models,
            "source_gpu_model": ran_on,
            "scattered": scattered,
        }
    )


def _counted(
    table: SacctTable, path: Path, names: tuple[str, ...], tres: str, most: float, given: bool = True
) -> pl.Series:
    """Return the first positive count among the fields `names`, else the one in a TRES list, else null.

    Parameters
    ----------
    given: whether what was given counts where nothing is said of what was asked for.
    """
    found = []
    for name in names:
        if name not in table.frame.columns:
            continue
        text = table.frame[name].replace("", None)
        values = fields.counts(text)
        bad = values.is_null() & text.is_not_null()
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise InputError(
                f"found {shortened(repr(text[row]), 80)}, expected a whole number",
                file=path,
                row=row + 1 + table.header_rows,
                column=name,
            )
        at_most(values, most, text, path, column=name, header_rows=table.header_rows)
        found.append(values)
    found += _listed(table, path, tres, most, ("ReqTRES", "AllocTRES") if given else ("ReqTRES",))
    positive = [pl.when(values > 0).then(values) for values in found]
    if not positive:
        return pl.Series([None] * table.frame.height, dtype=pl.Float64)
    return pl.select(pl.coalesce(positive)).to_series()


def _listed(
    table: SacctTable, path: Path, tres: str, most: float, names: tuple[str, ...] = ("ReqTRES", "AllocTRES")
) -> list[pl.Series]:
    found = []
    for name in names:
        if name in table.frame.columns:
            text = table.frame[name]
            values = fields.tres_amount(text, tres)
            found.append(at_most(values, most, text, path, column=name, header_rows=table.header_rows))
    return found


def _gpus(table: SacctTable, path: Path, nodes: pl.Series) -> tuple[pl.Series | None, pl.Series, pl.Series, pl.Series]:
    """Return the job's GPUs (None when no field could tell), those it was given (null where not known), the models it
    asked for, the model it ran on."""
    text = table.frame
    unknown = pl.Series([None] * text.height, dtype=pl.Float64)
    nothing = pl.Series([[]] * text.height, dtype=pl.List(pl.String))
    asked: list[pl.Series] = []
    held = [unknown]
    wanted: list[pl.Series] = []
    given: list[pl.Series] = []
    for name in ("ReqTRES", "ReqGRES", "AllocTRES", "AllocGRES"):
        if name not in text.columns:
            continue
        parse = fields.gpus_of_tres if name.endswith("TRES") else fields.gpus_of_gres
        total, models = parse(text[name])
        if name == "ReqGRES":
            total = total * nodes  # --gres is asked for on each node
        at_most(total, MOST, text[name], path, column=name, header_rows=table.header_rows)
        asked.append(total)
        held += [total] if name.startswith("Alloc") else []
        (wanted if name.startswith("Req") else given).append(models)
    if not asked:
        return None, unknown, nothing, pl.Series([None] * text.height, dtype=pl.String)
    gpus = pl.select(pl.coalesce(asked).fill_null(0.0)).to_series()
    ran_on = _first_list(given or [nothing]).list.first()
    return gpus, pl.select(pl.coalesce(held)).to_series(), _first_list(wanted or given), ran_on


def _first_list(lists: list[pl.Series]) -> pl.Series:
    some = [pl.when(values.list.len() > 0).then(values) for values in lists]
    return pl.select(pl.coalesce(*some, pl.lit([], dtype=pl.List(pl.String)))).to_series()


def _memory(table: SacctTable, path: Path, nodes: pl.Series, cores: pl.Series, tasks: pl.Series) -> pl.Series:
    """Return MiB of one task: `4Gc` is for each core, `4Gn` for each node, `16G` for the whole job."""
    total = [values / tasks for values in _listed(table, path, "mem", MOST_MIB)]
    if "ReqMem" in table.frame.columns:
        text = table.frame["ReqMem"]
        amount, of = fields.memory(text)
        at_most(amount, MOST_MIB, text, path, column="ReqMem", header_rows=table.header_rows)
        times = pl.select(pl.when(of == "c").then(cores).when(of == "n").then(nodes).otherwise(1.0)).to_series()
        total.insert(0, amount * times / tasks)
    if not total:
        return pl.Series([0.0] * table.frame.height)
    return pl.select(pl.coalesce(total).fill_null(0.0).ceil()).to_series().clip(0, MOST_MIB)
