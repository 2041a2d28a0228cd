"""Alibaba PAI 2020 (`cluster-trace-gpu-v2020`): tables of jobs, tasks, instances, tags and machines."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload
from apportion.traces.columns import number, state
from apportion.traces.format import Format
from apportion.traces.options import Options
from apportion.traces.pai_tables import instance_times, local_origin, no_instances, read_table, table_path
from apportion.traces.repairs import at_least_a_second, distinct, split_gpus


def read(path: Path, options: Options) -> Trace:
    """Read the folder of the seven-table release; the tables of sensors and machine metrics are not needed.

    A task is a job of `inst_num` identical instances (`tasks`). It is called by its job's name, or
    `job_name/task_name` where a job has several tasks (parameter server and workers): these become
    independent jobs, as in the published analysis. Requests are for one instance: `plan_gpu` and `plan_cpu`
    in percent, `plan_mem` in GB. Times are seconds minus an unknown constant, 0 means missing; read as Unix
    time in Asia/Shanghai they keep the hour of the day and the day of the week, which is what
    `Workload.origin` is for.

    Submission is the start of the task (of the job where that is missing). The run time is the mean of end
    - start over its instances; without the instance table it is end - start of the task, with the queueing
    time in it. A task that runs without an end is censored at the latest time of the tables, one that waits
    never started and is left out. `group` is the recurrence tag; a missing one is the user. `workload` and
    `gpu_type` are kept.

    Options
    -------
    spec: asked (default) allows the models of `gpu_type_spec`; type adds, where none was asked for, the
    `gpu_type` the task ran on; none allows every model.

    Source: Weng et al., MLaaS in the Wild: Workload Analysis and Scheduling in Large-Scale Heterogeneous
    GPU Clusters (NSDI'22).

    Raises
    ------
    InputError: the job or task table is missing, or a cell is wrong.

    Examples
    --------
    ::

        trace = apportion.load("pai:data?spec=type&limit=100000")
        trace.cluster.gpus  # 6742
    """
    spec = options.choice("spec", ("asked", "type", "none"), "asked")
    if not path.is_dir():
        raise InputError("found no folder, expected the folder of the PAI tables", file=path)
    report = QualityReport()
    tasks = _tasks(path, report)
    tasks = _with_tags(tasks, path, report)
    tasks = _with_times(tasks, path, report)
    frame = tasks.select(
        job_id=distinct(tasks["name"], report),
        user="user",
        group=pl.coalesce("group", "user"),
        submit_s="submit",
        duration_s=at_least_a_second(tasks["duration"], report),
        tasks="tasks",
        gpus="gpus",
        gpu_milli="gpu_milli",
        cpu_milli="cpu_milli",
        memory_mib="memory_mib",
        gpu_models=_models(spec),
        status="status",
        source_wait_s="wait",
        gpu_type="gpu_type",
        workload="workload",
    )
    report.jobs = frame.height
    report.censored = int((frame["status"] == "censored").sum())
    workload = Workload.of(frame, origin=local_origin(), name="pai")
    return Trace(workload, _machines(path, report), report=report)


def _tasks(folder: Path, report: QualityReport) -> pl.DataFrame:
    """Return the task table with requests in the units of a workload, joined with its jobs."""
    raw, file, header = read_table(folder, "pai_task_table")
    report.rows_read = raw.height
    percent = number(raw, "plan_gpu", file, minimum=0, maximum=1e6, default=0, header_rows=header).round()
    gpus, gpu_milli, uneven = split_gpus(percent)
    report.repair("a fraction above one GPU became equal shares of the next whole number of devices", uneven)
    count = number(raw, "inst_num", file, minimum=0, whole=True, default=0, header_rows=header)
    report.repair("no number of instances: counted as 1", int((count < 1).sum()))
    memory = number(raw, "plan_mem", file, minimum=0, maximum=1e9, default=0, header_rows=header)
    cpu = number(raw, "plan_cpu", file, minimum=0, default=0, header_rows=header)
    tasks = raw.select("job_name", "task_name", "gpu_type").with_columns(
        tasks=count.clip(lower_bound=1),
        gpus=gpus,
        gpu_milli=gpu_milli,
        cpu_milli=(cpu * 10).round(),
        memory_mib=(memory * 1024).round(),
        status=state(raw["status"]),
        waiting=raw["status"].str.strip_chars() == "Waiting",
        start=_known(number(raw, "start_time", file, minimum=0, header_rows=header)),
        end=_known(number(raw, "end_time", file, minimum=0, header_rows=header)),
    )
    several = pl.len().over("job_name") > 1
    tasks = tasks.with_columns(
        name=pl.when(several).then(pl.format("{}/{}", "job_name", "task_name")).otherwise("job_name"),
    )
    siblings = int(tasks.select(several.sum()).item())
    if siblings:
        report.notes.append(f"{siblings:,} tasks of jobs with several tasks became jobs of their own")
    jobs, file, header = read_table(folder, "pai_job_table")
    jobs = jobs.with_columns(asked=_known(number(jobs, "start_time", file, minimum=0, header_rows=header))).select(
        "job_name", "inst_id", "user", "asked"
    )
    jobs = jobs.unique("job_name", keep="first", maintain_order=True).with_columns(listed=pl.lit(True))
    tasks = tasks.join(jobs, on="job_name", how="left", maintain_order="left")
    report.repair("task of no job in the job table: no user", int(tasks["listed"].null_count()))
    return tasks


def _known(seconds: pl.Series) -> pl.Series:
    """Return times with 0, the release's mark for a missing one, as null."""
    return pl.select(pl.when(seconds > 0).then(seconds)).to_series()


def _with_tags(tasks: pl.DataFrame, folder: Path, report: QualityReport) -> pl.DataFrame:
    """Add `group`, `workload`, `gpu_type_spec`, and the user where the job table has none."""
    names = ("group", "workload", "gpu_type_spec")
    if table_path(folder, "pai_group_tag_table") is None:
        report.notes.append("no pai_group_tag_table: the group is the user, and no GPU model was asked for")
        nothing = [pl.lit(None, dtype=pl.String).alias(name) for name in names]
        return tasks.with_columns(nothing).with_columns(user=pl.col("user").fill_null(""))
    tags, _, _ = read_table(folder, "pai_group_tag_table")
    tags = tags.select("inst_id", *names, tag_user="user").unique("inst_id", keep="first", maintain_order=True)
    tasks = tasks.join(tags, on="inst_id", how="left", maintain_order="left")
    return tasks.with_columns(user=pl.coalesce("user", "tag_user", pl.lit("")))


def _with_times(tasks: pl.DataFrame, folder: Path, report: QualityReport) -> pl.DataFrame:
    """Add `submit`, `wait` and `duration`, and leave out what has none."""
    file = table_path(folder, "pai_instance_table")
    if file is None:
        report.notes.append("no pai_instance_table: run times include the queueing time")
        times = no_instances()
    else:
        times = instance_times(file)
    latest = pl.concat([tasks["start"], tasks["end"], times["first_start"], times["last_end"]]).max()
    tasks = tasks.join(times, on=["job_name", "task_name"], how="left", maintain_order="left")
    waits = tasks["waiting"].fill_null(False) & tasks["first_start"].is_null()
    report.drop("never started: status Waiting", int(waits.sum()))
    tasks = tasks.filter(~waits).with_columns(
        submit=pl.coalesce("start", "asked", "first_start"),
        began=pl.coalesce("first_start", "start", "asked"),
    )
    report.drop("no start time", int(tasks["submit"].null_count()))
    tasks = tasks.filter(pl.col("submit").is_not_null())
    running = (pl.col("status") == "censored").fill_null(False) & pl.col("end").is_null()
    ended = pl.coalesce(pl.col("mean_s"), pl.coalesce("end", "last_end") - pl.col("began"))
    tasks = tasks.with_columns(
        duration=pl.when(running).then(pl.lit(latest) - pl.col("began")).otherwise(ended),
        wait=pl.col("first_start") - pl.col("submit"),
    )
    report.drop("no end time", int(tasks["duration"].null_count()))
    return tasks.filter(pl.col("duration").is_not_null())


def _models(spec: str) -> pl.Expr:
    """Return the allowed GPU models of each task; alternatives are separated by a bar or a comma."""
    asked = pl.col("gpu_type_spec").fill_null("")
    if spec == "type":
        ran_on = pl.col("gpu_type").fill_null("").str.replace("^CPU$", "")
        asked = pl.when(asked == "").then(ran_on).otherwise(asked)
    if spec == "none":
        asked = pl.lit("")
    text = pl.when(pl.col("gpus") > 0).then(asked).otherwise(pl.lit(""))
    return (
        text.str.replace_all(",", "|", literal=True).str.split("|").list.eval(pl.element().filter(pl.element() != ""))
    )


def _machines(folder: Path, report: QualityReport) -> Cluster | None:
    if table_path(folder, "pai_machine_spec") is None:
        report.notes.append("no cluster: pai_machine_spec is not in the folder")
        return None
    raw, file, header = read_table(folder, "pai_machine_spec")
    frame = pl.DataFrame(
        {
            "node": raw["machine"],
            "gpu_model": raw["gpu_type"].replace({"CPU": None, "": None}),
            "gpus": number(raw, "cap_gpu", file, minimum=0, whole=True, default=0, header_rows=header),
            "cpu_milli": number(raw, "cap_cpu", file, minimum=0, default=0, header_rows=header) * 1000,
            "memory_mib": number(raw, "cap_mem", file, minimum=0, maximum=1e9, default=0, header_rows=header) * 1024,
        }
    )
    try:
        return Cluster.of(frame, name="pai")
    except InputError as error:
        raise InputError(str(error), file=file) from None


FORMAT = Format(
    name="pai",
    title="Alibaba PAI 2020, the seven-table release",
    paper="Weng et al., MLaaS in the Wild: Workload Analysis and Scheduling in Large-Scale Heterogeneous GPU "
    "Clusters, NSDI'22",
    source="https://github.com/alibaba/clusterdata (cluster-trace-gpu-v2020)",
    licence="CC-BY-4.0",
    example="pai:data?spec=type",
    read=read,
    directory=("pai_task_table*", "pai_job_table*"),
)
