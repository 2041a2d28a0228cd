"""sacct output: both shapes, and what Slurm's accounting hides in its fields."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from apportion.model.errors import InputError
from apportion.model.trace import Trace
from apportion.traces.registry import load
from inputs import real_data

HEADER = "JobID|User|Account|Partition|Submit|Start|End|Timelimit|State|NNodes|NCPUS|ReqMem|ReqTRES|AllocTRES"
FULL = (
    "100|ann|nlp|gpu|2024-03-01T10:00:00|2024-03-01T10:05:00|2024-03-01T11:05:00|2-00:00:00|COMPLETED|2|64|4Gn|"
    "cpu=64,node=2,gres/gpu=16|cpu=64,mem=8G,node=2,gres/gpu:a100=16,gres/gpu=16"
)


def sacct(tmp_path: Path, *rows: str, header: str = HEADER, query: str = "") -> Trace:
    file = tmp_path / "jobs.txt"
    file.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return load(f"slurm:{file}{query}")


def row(job: str, **cells: str) -> str:
    names = HEADER.split("|")
    given = dict(zip(names, FULL.split("|"))) | {"JobID": job} | cells
    return "|".join(given[name] for name in names)


def job(trace: Trace) -> dict[str, object]:
    assert len(trace.workload) == 1
    return trace.workload.table.row(0, named=True)


def test_a_job_of_two_nodes_is_two_tasks_of_eight_gpus(tmp_path: Path) -> None:
    trace = sacct(tmp_path, FULL)
    got = job(trace)
    wanted = {
        "job_id": "100",
        "user": "ann",
        "group": "nlp",
        "partition": "gpu",
        "submit_s": 0.0,
        "duration_s": 3600.0,
        "source_wait_s": 300.0,
        "estimate_s": 172_800.0,
        "tasks": 2,
        "gpus": 8,
        "cpu_milli": 32_000,
        "memory_mib": 4096,
        "status": "completed",
        "source_gpu_model": "a100",
        "gpu_models": [],
    }
    assert {name: got[name] for name in wanted} == wanted
    assert trace.workload.origin == datetime(2024, 3, 1, 10)


@pytest.mark.parametrize(
    ("requested", "given", "tasks", "gpus", "models"),
    [
        ("gres/gpu:v100=4", "", 2, 2, ["v100"]),
        ("gres/gpu=3,node=2", "", 3, 1, []),  # which node has two of them is Slurm's to say
        ("gres/gpu:a100=2,gres/gpu:v100=2", "", 2, 2, ["a100", "v100"]),
        ("cpu=1", "gres/gpu=2,gres/gpuutil=90,gres/gpumem=5", 2, 1, []),
        ("billing=9,gres/gpu:h100=2,gres/gpu=2", "gres/gpu:h100=4,gres/gpu=4", 2, 1, ["h100"]),
    ],
)
def test_gpus_of_tres(tmp_path: Path, requested: str, given: str, tasks: int, gpus: int, models: list[str]) -> None:
    got = job(sacct(tmp_path, row("1", ReqTRES=requested, AllocTRES=given)))
    assert (got["tasks"], got["gpus"], got["gpu_models"]) == (tasks, gpus, models)


@pytest.mark.parametrize(
    ("nodes", "asked", "given", "tasks", "gpus", "apart"),
    [
        (2, "gres/gpu=8,node=2", "gres/gpu=8,node=2", 2, 4, True),  # -N2 --gres=gpu:4
        (2, "gres/gpu=8", "gres/gpu=8,node=2", 2, 4, False),  # nothing is said of nodes
        (1, "gres/gpu=8,node=1", "gres/gpu=8,node=1", 1, 8, False),
        (2, "gres/gpu=12,node=1", "gres/gpu=12,node=2", 12, 1, False),  # --gpus=12
        (3, "gres/gpu=20,node=1", "gres/gpu=20,node=3", 20, 1, False),
        (2, "gres/gpu=11,node=2", "gres/gpu=11,node=2", 11, 1, False),  # -N2 --gpus=11
        (2, "gres/gpu=1,node=1", "gres/gpu=2,node=2", 2, 1, True),  # -n100 --gres=gpu:1
        (3, "gres/gpu=8,node=2", "gres/gpu=12,node=3", 3, 4, True),  # -N2-3 --gres=gpu:4
        (1, "gres/gpu=1,node=1", "gres/gpu=8,node=1", 1, 1, False),  # --exclusive
        (2, "node=2", "node=2", 2, 0, True),
    ],
)
def test_gpus_of_each_node_or_in_all(
    tmp_path: Path, nodes: int, asked: str, given: str, tasks: int, gpus: int, apart: bool
) -> None:
    trace = sacct(tmp_path, row("1", NNodes=str(nodes), ReqTRES=asked, AllocTRES=given), query="?cpu=keep")
    assert (job(trace)["tasks"], job(trace)["gpus"], job(trace)["apart"]) == (tasks, gpus, apart)
    assert trace.report.repaired == ({"GPUs not dealt out evenly over the nodes: a task a GPU": 1} if tasks > 3 else {})


def test_priorities_that_count_down_from_the_largest_keep_their_order(tmp_path: Path) -> None:
    header = "JobID|Submit|Start|End|Priority"
    line = "{}|2024-03-01T10:00:00|2024-03-01T10:00:00|2024-03-01T11:00:00|{}"
    for given in ([4_294_901_759, 4_294_901_758, 0], [3000, 2999, 0]):
        rows = [line.format(i, priority) for i, priority in enumerate(given)]
        found = sacct(tmp_path, *rows, header=header).workload.table["priority"].to_list()
        assert found[0] - found[1] == 1
        assert found[1] > found[2]


@pytest.mark.parametrize(
    ("field", "text", "tasks", "gpus", "models"),
    [
        ("ReqGRES", "gpu:volta:2", 2, 2, ["volta"]),  # asked for on each node
        ("ReqGRES", "PER_NODE:gpu:2", 2, 2, []),
        ("ReqGRES", "gpu", 2, 1, []),
        ("AllocGRES", "gpu:4(S:0-1)", 2, 2, []),  # of the whole job
        ("AllocGRES", "gpu:1080ti:4,craynetwork:0", 2, 2, ["1080ti"]),
    ],
)
def test_gpus_of_gres(tmp_path: Path, field: str, text: str, tasks: int, gpus: int, models: list[str]) -> None:
    line = f"1|2024-03-01T10:00:00|2024-03-01T10:00:00|2024-03-01T11:00:00|2|{text}"
    got = job(sacct(tmp_path, line, header=f"JobID|Submit|Start|End|NNodes|{field}"))
    assert (got["tasks"], got["gpus"], got["gpu_models"]) == (tasks, gpus, models)


@pytest.mark.parametrize(
    ("text", "mib"), [("4Gn", 4096), ("1Gc", 32 * 1024), ("16G", 8192), ("4000Mn", 4000), ("0n", 0), ("?", 0)]
)
def test_memory_is_for_a_core_a_node_or_the_job(tmp_path: Path, text: str, mib: int) -> None:
    assert job(sacct(tmp_path, row("1", ReqMem=text, AllocTRES="")))["memory_mib"] == mib


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2-00:00:00", 172_800.0),
        ("01:30:00", 5400.0),
        ("30:00", 1800.0),
        ("UNLIMITED", None),
        ("Partition_Limit", None),
    ],
)
def test_time_limits(tmp_path: Path, text: str, seconds: float | None) -> None:
    assert job(sacct(tmp_path, row("1", Timelimit=text)))["estimate_s"] == seconds


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("CANCELLED by 1001", "cancelled"),
        ("OUT_OF_MEMORY", "failed"),
        ("OUT_OF_ME+", "failed"),
        ("NODE_FAIL", "failed"),
        ("TIMEOUT", "failed"),
        ("PREEMPTED", "failed"),
        ("SOMETHING_NEW", None),
    ],
)
def test_states(tmp_path: Path, text: str, status: str | None) -> None:
    assert job(sacct(tmp_path, row("1", State=text)))["status"] == status


def test_steps_arrays_and_heterogeneous_jobs(tmp_path: Path) -> None:
    pending = row("7_[1-10]", State="PENDING", Start="Unknown", End="Unknown")
    rows = [row("5"), row("5.batch"), row("5.0"), row("6_4"), pending, row("8+0"), row("8+1")]
    trace = sacct(tmp_path, *rows)
    assert trace.workload.table["job_id"].to_list() == ["5", "6_4", "8+0", "8+1"]
    assert trace.workload.table["array_job"].to_list() == [None, "6", None, None]
    assert trace.report.rows_read == 7
    assert trace.report.dropped == {"a step of a job": 2, "pending array (one record for many jobs)": 1}
    assert any("heterogeneous" in note for note in trace.report.notes)


def test_jobs_that_never_ran_are_left_out_with_the_reason(tmp_path: Path) -> None:
    never = {"Start": "Unknown", "End": "Unknown"}
    rows = [
        row("1", State="CANCELLED by 0", Start="None", End="2024-03-01T12:00:00"),
        # an early scancel gets equal start and end times and nothing allocated
        row("2", State="CANCELLED", Start="2024-03-01T12:00:00", End="2024-03-01T12:00:00", AllocTRES=""),
        row("3", State="PENDING", **never),
        row("4", State="FAILED", Start="", End=""),
        row("5", Submit="Unknown"),
        row("6"),
    ]
    assert sacct(tmp_path, *rows).report.dropped == {
        "no submission time": 1,
        "cancelled before start": 2,
        "pending: never started": 1,
        "never started": 1,
    }


def test_a_running_job_is_censored_at_the_last_time_of_the_log(tmp_path: Path) -> None:
    trace = sacct(tmp_path, row("1", State="RUNNING", End="Unknown"), row("2", End="2024-03-01T12:05:00"))
    assert trace.workload.table["status"].to_list() == ["censored", "completed"]
    assert trace.workload.table["duration_s"].to_list() == [7200.0, 7200.0]
    assert trace.report.censored == 1


def test_requeued_attempts_are_folded_into_the_last(tmp_path: Path) -> None:
    first = row("1", State="REQUEUED", Submit="2024-03-01T09:00:00", Start="2024-03-01T09:10:00")
    trace = sacct(tmp_path, first, row("1"))
    got = job(trace)
    assert (got["source_restarts"], got["source_wait_s"]) == (1.0, 3900.0)
    assert trace.report.dropped == {"an earlier attempt of a requeued job": 1}


def test_end_before_start_is_dropped_and_zero_seconds_become_one(tmp_path: Path) -> None:
    zero = row("2", Start="2024-03-01T11:05:00")
    trace = sacct(tmp_path, row("1", End="2024-03-01T09:00:00"), zero)
    assert trace.workload.table["duration_s"].to_list() == [1.0]
    assert trace.report.dropped == {"ends before it starts": 1}
    assert sum(trace.report.repaired.values()) == 1


def test_suspension_is_no_run_time(tmp_path: Path) -> None:
    line = "1|2024-03-01T10:00:00|2024-03-01T10:00:00|2024-03-01T11:00:00|00:10:00|gres/gpu=1"
    assert job(sacct(tmp_path, line, header="JobID|Submit|Start|End|Suspended|ReqTRES"))["duration_s"] == 3000.0


def test_elapsed_stands_in_for_end(tmp_path: Path) -> None:
    line = "1|2024-03-01T10:00:00|2024-03-01T10:00:00|1-00:00:10|COMPLETED|gres/gpu=1"
    got = job(sacct(tmp_path, line, header="JobID|Submit|Start|Elapsed|State|ReqTRES"))
    assert (got["duration_s"], got["status"]) == (86_410.0, "completed")


def test_epoch_times_and_output_without_a_header(tmp_path: Path) -> None:
    columns = "JobIDRaw,JobID,Submit,Eligible,Start,End,TimelimitRaw,State,ReqTRES"
    file = tmp_path / "jobs.txt"
    file.write_text("9|5_2|1700000000|1700000060|1700000100|1700000400|90|COMPLETED|gres/gpu=1\n")
    got = job(load(f"slurm:{file}?columns={columns}"))
    assert (got["job_id"], got["array_job"], got["duration_s"]) == ("9", "5", 300.0)
    assert (got["source_hold_s"], got["source_wait_s"], got["estimate_s"]) == (60.0, 100.0, 5400.0)


def test_a_name_with_the_separator_and_a_closing_separator(tmp_path: Path) -> None:
    line = "1|train | tee log|2024-03-01T10:00:00|2024-03-01T10:00:00|2024-03-01T11:00:00|gres/gpu=1|"
    trace = sacct(tmp_path, line, header="JobID|JobName|Submit|Start|End|ReqTRES|")
    assert job(trace)["job_name"] == "train | tee log"
    assert trace.report.repaired == {"the job name contained the separator": 1}


def test_fixed_width_tables_are_cut_at_the_dashes(tmp_path: Path) -> None:
    widths = (8, 10, 19, 19, 19, 10, 8)
    names = ("JobID", "JobName", "Submit", "Start", "End", "State", "ReqGRE")
    cells = (
        "12",
        "my job",
        "2024-03-01T10:00:00",
        "2024-03-01T10:00:00",
        "2024-03-01T11:00:00",
        "CANCELLED+",
        "gpu:2",
    )
    lines = [" ".join(text.rjust(width) for text, width in zip(line, widths)) for line in (names, cells)]
    dashes = " ".join("-" * width for width in widths)
    trace = sacct(tmp_path, dashes, lines[1], header=lines[0])
    got = job(trace)
    assert (got["job_name"], got["status"], got["gpus"]) == ("my job", "cancelled", 2)


def test_without_gpu_fields_nodes_count(tmp_path: Path) -> None:
    header = "JobID|Submit|Start|End|NNodes"
    line = "1|2024-03-01T10:00:00|2024-03-01T10:00:00|2024-03-01T11:00:00|4"
    bare = sacct(tmp_path, line, header=header)
    assert (job(bare)["tasks"], job(bare)["gpus"]) == (4, 1)
    assert any("gpus_per_node=" in note for note in bare.report.notes)
    assert job(sacct(tmp_path, line, header=header, query="?gpus_per_node=3"))["gpus"] == 3


def test_cpu_jobs_and_partitions(tmp_path: Path) -> None:
    rows = [row("1"), row("2", ReqTRES="cpu=4", AllocTRES="cpu=4"), row("3", Partition="debug")]
    assert sacct(tmp_path, *rows).workload.table["job_id"].to_list() == ["1", "3"]
    assert len(sacct(tmp_path, *rows, query="?cpu=keep").workload) == 3
    assert sacct(tmp_path, *rows, query="?partition=debug").workload.table["job_id"].to_list() == ["3"]
    with pytest.raises(InputError, match=r"found no partition 'debgu'; did you mean 'debug'"):
        sacct(tmp_path, *rows, query="?partition=debgu")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"NNodes": "many"}, r"row 2, column 'NNodes': found 'many', expected a whole number"),
        ({"Start": "yesterday"}, r"row 2, column 'Start': found 'yesterday', expected a date"),
        ({"Timelimit": "a while"}, r"row 2, column 'Timelimit': found 'a while', expected a limit"),
        ({"ReqTRES": "gres/gpu=99999999999999999999"}, r"row 2, column 'ReqTRES': .* at most"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, cells: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sacct(tmp_path, row("1", **cells))


def test_bad_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 3: found 2 cells, expected 14"):
        sacct(tmp_path, FULL, "1|ann")
    with pytest.raises(InputError, match=r"row 1, column 'Submit': .*expected JobID, Submit, Start"):
        sacct(tmp_path, "1|2", header="JobID|Start")
    with pytest.raises(InputError, match="expected the header of sacct"):
        sacct(tmp_path, "1|2", header="a|b")


def test_lonestar6_log_of_mirage() -> None:
    """Its first line is a count, tabs stand below a fixed-width header, one name holds a tab."""
    log = real_data("mirage", "ls6-a100.log")
    trace = load(f"slurm:{log}?gpus_per_node=3")
    table = trace.workload.table
    assert (len(table), trace.report.rows_read) == (24_777, 24_777)
    assert trace.report.repaired["the job name contained the separator"] == 1
    assert table.filter(pl.col("tasks") == 2).height == 1785
    assert table["gpus"].unique().to_list() == [3]
    assert table.filter(pl.col("estimate_s") == 2880 * 60).height == 5905
    assert trace.workload.origin == datetime(2022, 10, 5, 11, 52, 48)
    assert load(str(log)).spec == str(log)
