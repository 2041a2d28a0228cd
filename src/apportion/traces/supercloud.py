"""MIT Supercloud (HPEC 2021): Slurm accounting of TX-GAIA, anonymised, in Slurm's database columns."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, read_delimited
from apportion.traces.filters import of_partition, without
from apportion.traces.format import Format
from apportion.traces.lines import at_most, unique_ids
from apportion.traces.options import Options
from apportion.traces.repairs import at_least_a_second
from apportion.traces.slurm_fields import CODES, STATUS, gpus_of_gres

NEEDED = ("id_job", "time_submit", "time_start", "time_end", "state", "tres_req")
GPUS = {"1001": "tesla", "1002": "volta"}
"""Resource ids of tres-mapping.txt that are GPUs (1 = cores, 2 = MB, 4 = nodes)."""

NO_LIMIT = 4294967294.0
"""Slurm's NO_VAL; one more is INFINITE: the job has no time limit."""

_LATEST = 253_402_300_799  # the last second of the year 9999
_MOST = 1e6
_MOST_CORES = 1e8
_MOST_MIB = 1e12


def read(location: Path, options: Options) -> Trace:
    """Read `slurm-log.csv` (or `scheduler-log.csv`) of the MIT Supercloud dataset.

    Times are Unix seconds, time limits minutes, memory MB; 0 as a time means "not yet". GPUs are what
    tres_req asks for (else what tres_alloc gave). A GPU job becomes a task a node when its GPUs divide evenly
    over its nodes. Kept beside the documented columns: `source_wait_s`, `source_hold_s` (eligible -
    submission), `array_job`, `partition`.

    Options: `partition=` one partition; `cpu=drop|keep` jobs without GPUs (default drop: four of five jobs).

    Raises
    ------
    InputError: a column is missing or a cell is not what its column holds.

    Examples
    --------
    ::

        trace = apportion.load("supercloud:slurm-log.csv?limit=1000")
        trace.workload.table.select("job_id", "tasks", "gpus", "gpu_models", "source_wait_s")
    """
    partition = options.text("partition")
    keep_cpu = options.choice("cpu", ("drop", "keep"), "drop") == "keep"
    text = read_delimited(location, NEEDED)
    report = QualityReport(rows_read=text.height)
    frame = _jobs(text, location)
    if partition is not None:
        frame = of_partition(frame, partition, location, report)
    frame = _ran(frame, report)
    if not keep_cpu:
        frame = without(frame, pl.col("gpus") == 0, "asks for no GPU (cpu=keep keeps them)", report)
    ids, renamed = unique_ids(frame["job_id"])
    report.repair("the job id occurred before; numbered", renamed)
    report.repair("GPUs do not divide over the nodes: one task", int(frame["uneven"].sum()))
    frame = frame.with_columns(ids, duration_s=at_least_a_second(frame["duration_s"], report))
    report.jobs = frame.height
    report.censored = int((frame["status"] == "censored").sum())
    first = frame["submit_s"].min()
    start = float(first) if isinstance(first, float) else 0.0
    frame = frame.with_columns(pl.col("submit_s") - start).drop("start", "end", "suspended", "code", "uneven")
    origin = datetime.fromtimestamp(start, UTC).replace(tzinfo=None)
    return Trace(Workload.of(frame, origin=origin, name="supercloud"), report=report)


def _jobs(text: pl.DataFrame, path: Path) -> pl.DataFrame:
    def counted(column: str, most: float, default: float | None = None) -> pl.Series:
        if column not in text.columns:
            return pl.Series(column, [default] * text.height, dtype=pl.Float64)
        values = number(text, column, path, default=default, minimum=0)
        return at_most(values, most, text[column], path, column=column, header_rows=1)

    def words(column: str) -> pl.Series:
        return (text[column] if column in text.columns else pl.Series([""] * text.height)).fill_null("")

    asked, given = words("tres_req"), words("tres_alloc")
    gpus, models = _gpus(asked, given, words("gres_used"))
    at_most(gpus, _MOST, asked, path, column="tres_req", header_rows=1)
    nodes = pl.select(
        pl.coalesce(*(pl.when(n > 0).then(n) for n in (counted("nodes_alloc", _MOST), _tres(asked, "4"))), pl.lit(1.0))
    ).to_series()
    at_most(nodes, _MOST, asked, path, column="tres_req", header_rows=1)
    cores = pl.select(pl.coalesce(_tres(asked, "1"), counted("cpus_req", _MOST_CORES), pl.lit(0.0))).to_series()
    at_most(cores, _MOST_CORES, asked, path, column="tres_req", header_rows=1)
    memory = pl.select(pl.coalesce(_tres(asked, "2"), _memory(words("mem_req"), cores, nodes))).to_series()
    even = gpus % nodes == 0
    tasks = pl.select(pl.when(even).then(nodes).otherwise(1.0)).to_series()
    limit = counted("timelimit", 1e15)
    submit, start = counted("time_submit", _LATEST), counted("time_start", _LATEST)
    eligible = counted("time_eligible", _LATEST)
    frame = pl.DataFrame(
        {
            "job_id": text["id_job"],
            "user": words("id_user"),
            "submit_s": submit,
            "tasks": tasks.cast(pl.Int32),
            "gpus": (gpus / tasks).cast(pl.Int32),
            "cpu_milli": (cores * 1000 / tasks).ceil().cast(pl.Int64),
            "memory_mib": (memory.fill_null(0.0).clip(0, _MOST_MIB) / tasks).ceil().cast(pl.Int64),
            "gpu_models": models,
            "estimate_s": pl.select(pl.when(limit < NO_LIMIT).then(limit * 60)).to_series(),
            "partition": words("partition"),
            "array_job": _arrays(text),
            "source_wait_s": (start - submit).clip(0),
            "source_hold_s": (eligible - submit).clip(0),
            "start": start,
            "end": counted("time_end", _LATEST),
            "suspended": counted("time_suspended", _LATEST, 0.0),
            # The low byte is the state; higher bits are flags such as "requeued".
            "code": counted("state", 2**32).cast(pl.Int64) % 256,
            "uneven": ~even,
        }
    )
    return frame


def _tres(text: pl.Series, key: str) -> pl.Series:
    return text.str.extract(rf"(?:^|,)\s*{key}=(\d+)", 1).cast(pl.Float64, strict=False)


def _gpus(asked: pl.Series, given: pl.Series, used: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the job's GPUs and their models: asked for, else given, else the words of gres_used."""
    totals: list[pl.Expr | pl.Series] = []
    names: list[pl.Expr] = []
    for text in (asked, given):
        found = {key: _tres(text, key) for key in GPUS}
        total = pl.sum_horizontal(values.fill_null(0.0) for values in found.values())
        totals.append(pl.when(total > 0).then(total))
        models = pl.concat_list(
            pl.when(values > 0).then(pl.lit(GPUS[key])) for key, values in found.items()
        ).list.drop_nulls()
        names.append(pl.when(total > 0).then(models))
    by_word, models_by_word = gpus_of_gres(used)
    totals.append(by_word)
    names.append(pl.when(by_word > 0).then(models_by_word))
    both = pl.select(
        pl.coalesce(*totals, pl.lit(0.0)).alias("gpus"),
        pl.coalesce(*names, pl.lit([], dtype=pl.List(pl.String))).alias("models"),
    )
    return both["gpus"], both["models"]


def _memory(text: pl.Series, cores: pl.Series, nodes: pl.Series) -> pl.Series:
    """Return MB of the job from mem_req, whose highest bit says that the rest is for each core, not node."""
    bits = text.str.strip_chars().cast(pl.UInt64, strict=False)
    flag = 1 << 63
    each_core = pl.when(bits >= flag).then((bits - flag).cast(pl.Float64) * cores)
    return pl.select(each_core.otherwise(bits.cast(pl.Float64) * nodes)).to_series()


def _arrays(text: pl.DataFrame) -> pl.Series:
    """Return the array a job belongs to, else null.

    Anonymising turned the 0 of "no array" into an id like the others: an array of several users is that id.
    """
    if not {"id_array_job", "id_user"} <= set(text.columns):
        return pl.Series([None] * text.height, dtype=pl.String)
    array = pl.col("id_array_job")
    users = pl.col("id_user").n_unique().over("id_array_job")
    return text.select(pl.when((users == 1) & ~array.is_in(["", "0"])).then(array)).to_series()


def _ran(frame: pl.DataFrame, report: QualityReport) -> pl.DataFrame:
    """Keep the jobs that ran, with duration_s and status; one without an end ran until the log ends."""
    frame = frame.with_columns(pl.col("submit_s", "start", "end").replace(0.0, None))
    frame = without(frame, pl.col("submit_s").is_null(), "no submission time", report)
    never = pl.col("start").is_null()
    cancelled = pl.col("code") == CODES.index("CANCELLED")
    frame = without(frame, never & cancelled, "cancelled before start", report)
    frame = without(frame, never, "never started", report)
    times = [frame[name].max() for name in ("submit_s", "start", "end")]
    last = max((t for t in times if isinstance(t, float)), default=0.0)
    words = dict(enumerate(STATUS[word] for word in CODES))
    frame = frame.with_columns(
        duration_s=pl.col("end").fill_null(last) - pl.col("start") - pl.col("suspended"),
        status=pl.when(pl.col("end").is_null())
        .then(pl.lit("censored"))
        .otherwise(pl.col("code").replace_strict(words, default=None, return_dtype=pl.String)),
    )
    return without(frame, pl.col("duration_s") < 0, "ends before it starts", report)


FORMAT = Format(
    name="supercloud",
    title="MIT Supercloud: Slurm log of TX-GAIA, 2021 (V100 nodes of two GPUs)",
    paper="Samsi et al.: The MIT Supercloud Dataset, HPEC 2021 (arXiv 2108.02037)",
    source="https://dcc.mit.edu (mit-supercloud-dataset on AWS Open Data)",
    licence="MIT (repository); data as stated at dcc.mit.edu",
    example="supercloud:slurm-log.csv?limit=1000",
    read=read,
    headers=(frozenset({"id_job", "time_submit", "time_start", "time_end", "tres_req"}),),
    suffixes=(".csv",),
)
