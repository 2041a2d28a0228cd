"""Input of the simulator that Alibaba published with PAI: one job a line, requests in GPUs and cores."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, read_delimited
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.repairs import distinct, split_gpus

NEEDED = ("job_id", "num_gpu", "num_cpu", "submit_time", "duration")
ESTIMATES = ("user_dur", "user_gpu_dur", "group_dur", "group_gpu_dur")
CORES_PER_GPU = 23.22
"""CPU cores that the simulator's one giant node has for each GPU."""

BATCH_S = 60.0
"""Every so often the next `arrival_rate` jobs arrive."""


def read(path: Path, options: Options) -> Trace:
    """Read a job list of the PAI simulator (`pai_job_duration_estimate_100K.csv` and the like).

    Units of the file: `num_gpu` GPUs and `num_cpu` cores of one instance, both rounded to a whole percent
    as the simulator does; `num_inst` instances make a gang (`tasks`); times in seconds, kept as they are:
    the earliest job does not move to second 0. The estimates `user_dur`, `user_gpu_dur`, `group_dur`,
    `group_gpu_dur` (seconds; orders `sju`, `sjg`, `sjgg`) stay as columns of that name. Rows are sorted by
    (submit_time, numeric job_id), the order in which the simulator breaks ties.

    Options
    -------
    arrival_rate: R > 0 sends the i-th job at (i div R) * 60 s, the simulator's default being 1000; here,
    and with -1, submissions stay as in the file. clip: N cuts requests to a cluster of N GPUs and
    round(23.22 N) cores. matching: 0 (default) any GPU model, 1 the `gpu_type` of the job, 2 only V100 jobs
    are bound to their model.

    Source: Weng et al., MLaaS in the Wild: Workload Analysis and Scheduling in Large-Scale Heterogeneous
    GPU Clusters (NSDI'22), `cluster-trace-gpu-v2020/simulator`.

    Raises
    ------
    InputError: the file cannot be read or a cell is wrong.

    Examples
    --------
    ::

        trace = apportion.load("pai-sim:pai_job_duration_estimate_100K.csv?arrival_rate=1000&clip=6500")
    """
    rate = options.integer("arrival_rate", default=-1, minimum=-1) or -1
    clip = options.integer("clip", minimum=1)
    matching = options.choice("matching", ("0", "1", "2"), "0")
    raw = read_delimited(path, NEEDED)
    report = QualityReport(rows_read=raw.height, jobs=raw.height)
    gpu = (number(raw, "num_gpu", path, minimum=0, maximum=1e6, default=0) * 100).round()
    cpu = (number(raw, "num_cpu", path, minimum=0, default=0) * 100).round()
    if clip is not None:
        gpu, cpu = _clipped(gpu, cpu, clip, report)
    gpus, gpu_milli, uneven = split_gpus(gpu)
    report.repair("a fraction above one GPU became equal shares of the next whole number of devices", uneven)
    seconds = number(raw, "duration", path, required=True).floor()
    report.repair("run time below 1 s counted as 1 s", int((seconds < 1).sum()))
    tasks = number(raw, "num_inst", path, minimum=1, whole=True, default=1) if "num_inst" in raw.columns else 1
    frame = pl.DataFrame(
        {
            "job_id": raw["job_id"],
            "submit_s": number(raw, "submit_time", path, required=True),
            "duration_s": seconds.clip(lower_bound=1.0),
            "gpus": gpus,
            "gpu_milli": gpu_milli,
            "cpu_milli": cpu * 10,
        }
    ).with_columns(tasks=tasks)
    if "user" in raw.columns:
        frame = frame.with_columns(user=raw["user"])
    if "gpu_type" in raw.columns:
        frame = frame.with_columns(gpu_type=raw["gpu_type"])
    measured = {"wait_time": "source_wait_s"} | {name: name for name in ESTIMATES}
    frame = frame.with_columns(
        number(raw, name, path).alias(new) for name, new in measured.items() if name in raw.columns
    )
    # Ids are numbers in the published files; text is sorted behind them so that any file has one order.
    numeric = pl.col("job_id").cast(pl.Int64, strict=False)
    frame = frame.sort("submit_s", numeric, "job_id", nulls_last=True, maintain_order=True)
    frame = frame.with_columns(job_id=distinct(frame["job_id"], report))
    if rate > 0:
        frame = frame.with_columns(submit_s=(pl.int_range(pl.len()) // rate) * BATCH_S)
        report.notes.append(f"submissions replaced: {rate:,} jobs every {BATCH_S:g} s")
    frame = _with_models(frame, matching)
    return Trace(Workload.of(frame, name=path.stem), report=report)


def _clipped(gpu: pl.Series, cpu: pl.Series, clip: int, report: QualityReport) -> tuple[pl.Series, pl.Series]:
    """Cut percent of GPU and of CPU to what the simulator's one node of `clip` GPUs has."""
    most_gpu, most_cpu = 100.0 * clip, 100.0 * round(CORES_PER_GPU * clip)
    report.repair(f"GPU request cut to {clip:,} GPUs", int((gpu > most_gpu).sum()))
    report.repair(f"CPU request cut to {most_cpu / 100:,.0f} cores", int((cpu > most_cpu).sum()))
    return gpu.clip(upper_bound=most_gpu), cpu.clip(upper_bound=most_cpu)


def _with_models(frame: pl.DataFrame, matching: str) -> pl.DataFrame:
    """Add `gpu_models`: bind all jobs to their GPU type (1) or only those on V100 (2), never CPU jobs."""
    if matching == "0" or "gpu_type" not in frame.columns:
        return frame
    kind = pl.col("gpu_type").fill_null("").str.strip_chars()
    bound = (kind == "V100") if matching == "2" else ~kind.is_in(["", "CPU"])
    return frame.with_columns(
        gpu_models=pl.when(bound & (pl.col("gpus") > 0)).then(pl.concat_list(kind)).otherwise(pl.lit([]))
    )


FORMAT = Format(
    name="pai-sim",
    title="job list of the Alibaba PAI simulator",
    paper="Weng et al., MLaaS in the Wild: Workload Analysis and Scheduling in Large-Scale Heterogeneous GPU "
    "Clusters, NSDI'22",
    source="https://github.com/alibaba/clusterdata (cluster-trace-gpu-v2020/simulator/traces/pai)",
    licence="CC-BY-4.0",
    example="pai-sim:pai_job_duration_estimate_100K.csv?arrival_rate=1000&clip=6500",
    read=read,
    headers=(frozenset(NEEDED),),
)
