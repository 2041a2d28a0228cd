"""`apportion import`: the accounting of a cluster as a workload of our own format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apportion.cli import options as opt

if TYPE_CHECKING:
    import polars as pl

FIELDS = (
    "JobIDRaw,JobID,User,Account,Partition,QOS,Submit,Eligible,Start,End,ElapsedRaw,TimelimitRaw,State,ExitCode,"
    "NNodes,NCPUS,ReqTRES,AllocTRES,NodeList,Priority,Reason,Suspended"
)
_TIME = re.compile(r"[0-9A-Za-z:+-]{1,40}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="import")(import_)


def import_(
    kind: Annotated[str, typer.Argument(metavar="slurm", help="What to import: slurm.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Output of sacct (see `apportion traces`).")
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write: .parquet or .csv.")] = Path("slurm.parquet"),
    sacct: Annotated[bool, typer.Option("--sacct", help="Run sacct here instead of reading a file.")] = False,
    since: Annotated[str, typer.Option(help="With --sacct: from when, as sacct -S takes it.")] = "now-30days",
    partition: Annotated[str | None, typer.Option(help="Jobs of this partition only.")] = None,
    gpus_per_node: Annotated[
        int | None, typer.Option("--gpus-per-node", min=1, help="Where the accounting has no GPUs.")
    ] = None,
    nodes: Annotated[Path | None, typer.Option(help="With --sacct: also write the nodes to this .csv file.")] = None,
    main: Annotated[str, typer.Option(metavar="PARTITION", help="With --nodes: the partition.")] = "main",
    quiet: opt.QuietOpt = False,
) -> None:
    """Turn Slurm's accounting into a workload, with a report on the quality of the data.

    Without a file to read, and without --sacct, the command to export the accounting is printed.

    Example: apportion import slurm
    """
    from apportion.model.errors import UsageError

    if kind != "slurm":
        raise UsageError(f"found {kind!r}, expected slurm")
    if sacct and file is not None:
        raise UsageError(f"found --sacct and the file {file}, expected one of them")
    if nodes is not None and not sacct:
        raise UsageError("--nodes goes with --sacct, where the cluster can be asked")
    if not sacct and file is None:
        print(f"SLURM_TIME_FORMAT=%s sacct {' '.join(_arguments(since))} > jobs.txt")
        print("apportion import slurm jobs.txt --out jobs.parquet")
        return
    if not _TIME.fullmatch(since):
        raise UsageError(f"found --since {since!r}, expected a time such as 2026-01-31 or now-30days")
    if file is not None:
        _convert(file, out, partition, gpus_per_node, quiet)
        return
    import tempfile

    from apportion.live.slurm import Slurm

    # what sacct says goes through the same reader as a file
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / "sacct.txt"
        export.write_bytes(Slurm(timeout_s=600).read("sacct", *_arguments(since)))
        _convert(export, out, partition, gpus_per_node, quiet)
    if nodes is not None:
        _write_nodes(nodes, main)


def _arguments(since: str) -> list[str]:
    return ["-a", "-X", "-D", "-P", "-S", since, "-o", FIELDS]


def _convert(file: Path, out: Path, partition: str | None, gpus_per_node: int | None, quiet: bool) -> None:
    from apportion.traces.native import write_native
    from apportion.traces.registry import load

    given = {"partition": partition, "gpus_per_node": gpus_per_node}
    query = "&".join(f"{key}={value}" for key, value in given.items() if value is not None)
    trace = load(f"slurm:{file}" + (f"?{query}" if query else ""))
    write_native(trace.workload, out)
    if quiet:
        return
    for line in [*trace.report.lines(), *_facts(trace.workload.table)]:
        opt.note(line)
    opt.note(f"wrote {out}: {len(trace.workload):,} jobs")


def _facts(table: pl.DataFrame) -> list[str]:
    """Return what the waits were made of, and how often jobs began again."""
    from apportion.model.units import format_duration

    if table.is_empty():
        return []
    out = []
    means = {name: table[name].mean() for name in ("source_wait_s", "source_hold_s", "source_queue_s")
             if name in table.columns}  # fmt: skip
    if "source_wait_s" in means:
        text = f"mean wait {format_duration(float(means['source_wait_s'] or 0))}"  # type: ignore[arg-type]
        if "source_queue_s" in means:
            held, queued = (format_duration(float(means[name] or 0)) for name in ("source_hold_s", "source_queue_s"))  # type: ignore[arg-type]
            text += f": {held} held back (dependencies, holds, begin times), {queued} for resources"
        out.append(text)
    if "source_earlier_s" in table.columns:
        again = int((table["source_restarts"] > 0).sum())
        lost = float(table["source_earlier_s"].sum() or 0)
        out.append(f"{again:,} jobs were requeued; their earlier attempts ran {format_duration(lost)} in all")
    return out


def _write_nodes(path: Path, main: str) -> None:
    from apportion.live.slurm import SlurmBackend
    from apportion.model.files import whole_file

    found = SlurmBackend(main=main).observe().nodes
    with whole_file(path) as part:
        found.select("node", "gpu_model", "gpus", "cpu_milli", "memory_mib").write_csv(part)
    opt.note(f"wrote {path}: {found.height:,} nodes")
