"""The seven-table release of Alibaba PAI."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from reading import column, read, refusal

from inputs import real_data

JOBS = """\
j1,i1,u1,Terminated,100,900
j2,i2,u2,Running,200,0
j3,i3,u3,Failed,300,310
j4,i4,u4,Waiting,400,0
"""
TASKS = """\
j1,ps,2,Terminated,110,900,600,29.3,0,CPU
j1,worker,4,Terminated,120,900,600,29.3,50,MISC
j2,tensorflow,1,Running,200,0,1000.0,10,250.0,V100
j3,tensorflow,,Failed,0,310,,,100,T4
j4,tensorflow,1,Waiting,400,0,600,29.3,100,
"""
INSTANCES = """\
j1,worker,n1,w1,i1,Terminated,150.0,250.0,m1
j1,worker,n2,w2,i1,Terminated,140,340,m1
j1,worker,n3,w3,i1,Failed,0,400,m1
j1,worker,n4,w4,i1,Failed,160,0,m1
j2,tensorflow,n5,w5,i2,Running,260,0,m2
"""
TAGS = """\
i1,u1,"V100,V100M32",g1,bert
i2,u2,,,
i1,other,T4,g9,
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pai_job_table.csv").write_text(JOBS)
    (tmp_path / "pai_task_table.csv").write_text(TASKS)
    (tmp_path / "pai_instance_table.csv").write_text(INSTANCES)
    (tmp_path / "pai_group_tag_table.csv").write_text(TAGS)
    (tmp_path / "pai_machine_spec.csv").write_text("m1,MISC,96,512,8\nm2,CPU,96,512,0\n")
    return tmp_path


def test_tasks_become_gangs_with_the_times_of_their_instances(folder: Path) -> None:
    trace = read("pai", folder)
    assert column(trace, "job_id") == ["j1/ps", "j1/worker", "j2", "j3"]
    assert column(trace, "submit_s") == [110.0, 120.0, 200.0, 300.0]  # j3: of its job, the task has none
    assert column(trace, "tasks") == [2, 4, 1, 1]
    assert column(trace, "duration_s") == [790.0, 150.0, 640.0, 10.0]  # worker: mean of 100 and 200
    assert column(trace, "source_wait_s") == [None, 20.0, 60.0, None]
    assert column(trace, "gpus") == [0, 1, 3, 1]
    assert column(trace, "gpu_milli") == [0, 500, 833, 1000]
    assert column(trace, "cpu_milli") == [6000, 6000, 10_000, 0]
    assert column(trace, "memory_mib") == [30_003, 30_003, 10_240, 0]
    assert column(trace, "status") == ["completed", "completed", "censored", "failed"]
    assert trace.report.dropped == {"never started: status Waiting": 1}
    assert trace.report.censored == 1
    assert trace.report.rows_read == 5


def test_group_tags(folder: Path) -> None:
    trace = read("pai", folder)
    assert column(trace, "user") == ["u1", "u1", "u2", "u3"]
    assert column(trace, "group") == ["g1", "g1", "u2", "u3"]  # a missing group is the user
    assert column(trace, "workload") == ["bert", "bert", None, None]
    assert column(trace, "gpu_models") == [[], ["V100", "V100M32"], [], []]
    assert column(read("pai", folder, spec="type"), "gpu_models") == [
        [],
        ["V100", "V100M32"],
        ["V100"],
        ["T4"],
    ]
    assert column(read("pai", folder, spec="none"), "gpu_models") == [[]] * 4


def test_only_jobs_and_tasks_are_needed(folder: Path) -> None:
    for table in ("instance_table", "group_tag_table", "machine_spec"):
        (folder / f"pai_{table}.csv").unlink()
    trace = read("pai", folder)
    assert trace.cluster is None
    assert column(trace, "duration_s") == [790.0, 780.0, 700.0, 10.0]
    assert column(trace, "group") == column(trace, "user") == ["u1", "u1", "u2", "u3"]
    assert sum("pai_" in note for note in trace.report.notes) == 3
    (folder / "pai_job_table.csv").unlink()
    assert "found no pai_job_table.csv" in refusal("pai", folder)


def test_header_files_and_header_rows(folder: Path) -> None:
    expected = read("pai", folder).workload.table
    task = folder / "pai_task_table.csv"
    names = "job_name,task_name,inst_num,status,start_time,end_time,plan_cpu,plan_mem,plan_gpu,gpu_type\n"
    task.write_text(names + TASKS)
    assert read("pai", folder).workload.table.equals(expected)
    task.write_text("".join("x," + line for line in TASKS.splitlines(keepends=True)))
    task.with_suffix(".header").write_text("spare," + names)
    assert read("pai", folder).workload.table.equals(expected)
    task.with_suffix(".header").write_text("a,b\n")
    assert "pai_task_table.header, row 1: found a, b" in refusal("pai", folder)


def test_a_task_without_an_end_or_a_start_is_dropped(folder: Path) -> None:
    with (folder / "pai_task_table.csv").open("a") as file:
        file.write("j5,t,1,Terminated,500,0,600,29.3,100,T4\nj6,t,1,Failed,0,0,600,29.3,100,T4\n")
    trace = read("pai", folder)
    assert trace.report.dropped == {"never started: status Waiting": 1, "no start time": 1, "no end time": 1}
    assert trace.report.repaired["task of no job in the job table: no user"] == 2


def test_mistakes_are_named(folder: Path) -> None:
    assert "expected the folder" in refusal("pai", folder / "pai_job_table.csv")
    assert "expected one of asked, type, none" in refusal("pai", folder, spec="all")
    instances = folder / "pai_instance_table.csv"
    instances.write_text(INSTANCES + "j3,tensorflow,n6,w6,i3,Failed,300,never,m2\n")
    assert f"{instances}, row 6, column 'end_time': found 'never'" in refusal("pai", folder)
    instances.write_text('j1,worker,"n1')
    assert f"{instances}" in refusal("pai", folder)
    instances.unlink()
    (folder / "pai_task_table.csv").write_text(TASKS + "j9,t,1,Failed,1,2,x,29.3,100,T4\n")
    assert "pai_task_table.csv, row 6, column 'plan_cpu': found 'x'" in refusal("pai", folder)


def test_real_machines(folder: Path) -> None:
    shutil.copy(real_data("pai", "pai_machine_spec.csv"), folder / "pai_machine_spec.csv")
    cluster = read("pai", folder).cluster
    assert cluster is not None
    assert (len(cluster), cluster.gpus) == (1897, 6742)
    by_model = dict(cluster.table.group_by("gpu_model").agg(pl.col("gpus").sum()).iter_rows())
    assert by_model == {None: 0, "MISC": 2240, "P100": 1596, "T4": 994, "V100": 832, "V100M32": 1080}
