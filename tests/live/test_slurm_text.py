"""What Slurm says, read right whatever users write; no Slurm needed."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apportion.live.backend import (
    BLOCKED,
    ENDED,
    JOB_COLUMNS,
    LAUNCHING,
    RUNNING,
    STOPPING,
    STRAY,
    WAITING,
    BackendError,
)
from apportion.live.slurm import hostlist, values
from apportion.live.slurm.demand import Site, demand_of
from apportion.live.slurm.jobs import MARK, JobPoll, View, job_frame, may_begin_s, signal_of
from apportion.live.slurm.nodes import NodePoll, gpus_of, left_out_of, node_frame
from apportion.live.slurm.records import cut

NOW = 1_795_276_600.0
SITE = Site(
    {"n1": "a100", "n2": "a100", "n3": "a100", "n4": "v100", "n5": "v100"},
    {"a100": {"n1", "n2", "n3"}, "v100": {"n4", "n5"}, "big": {"n1", "n4"}, "all": {f"n{i}" for i in range(1, 6)}},
    cpus=64,
    threads=1,
    gpus=8,
)
PLAIN = {
    "JobArrayID": "7", "HetJobOffset": "N/A", "UserName": "ann", "Account": "(null)", "QOS": "(null)",
    "Partition": "wait", "StateCompact": "PD", "Reason": "PartitionDown", "SubmitTime": "1795276564",
    "EligibleTime": "1795276564", "StartTime": "N/A", "EndTime": "N/A", "TimeLimit": "UNLIMITED", "NumNodes": "1",
    "NumCPUs": "1", "NumTasks": "1", "NTPerNode": "0", "MinMemory": "1000M",
    "tres-alloc": "cpu=1,mem=1000M,node=1,billing=1",
    "tres-per-job": "N/A", "tres-per-node": "N/A", "tres-per-task": "N/A", "tres-per-socket": "N/A",
    "cpus-per-tres": "N/A", "mem-per-tres": "N/A", "OverSubscribe": "OK", "Requeue": "1", "BatchFlag": "1",
    "RestartCnt": "0", "Nice": "0", "PriorityLong": "4294901759", "Dependency": "(null)", "Feature": "(null)",
    "Reservation": "(null)",
    "ReqNodes": "", "NodeList": "", "admin_comment": "(null)", "comment": "(null)", "name": "wrap",
}  # fmt: skip
OURS = {"Partition": "main", "admin_comment": MARK, "ReqNodes": "n1"}
REQUEUED = {"RestartCnt": "1", "SubmitTime": "1795276599", "StartTime": "1795276720"}
RUNS = {"StateCompact": "R", "Reason": "None", "NodeList": "n1", "StartTime": "1795276601"}


def view(**changes: object) -> View:
    return View(**{"main": "main", "wait": "wait", "now_s": NOW, "site": SITE, **changes})  # type: ignore[arg-type]


def state(**changes: str) -> str | None:
    frame = job_frame([{**PLAIN, **changes}], view())
    return frame["state"][0] if frame.height else None


def printed(rows: list[dict[str, str]], widths: dict[str, int]) -> bytes:
    """Print rows as squeue does: fields padded or cut to their widths, in bytes."""
    lines = [b"".join(row[name].encode()[:width].ljust(width) for name, width in widths.items()) for row in rows]
    return b"".join(line + b"\n" for line in lines)


def test_the_poll_asks_for_what_is_read() -> None:
    assert set(JobPoll(None).widths) == set(PLAIN)  # type: ignore[arg-type]


@given(st.lists(st.text(max_size=200), min_size=1, max_size=5), st.text(max_size=200))
def test_no_name_or_comment_makes_a_row_or_a_field(names: list[str], comment: str) -> None:
    widths = JobPoll(None).widths  # type: ignore[arg-type]
    rows = [{**PLAIN, "JobArrayID": str(i), "name": name, "comment": comment} for i, name in enumerate(names)]
    found = cut(printed(rows, widths), widths, "squeue")
    assert [row["JobArrayID"] for row in found] == [str(i) for i in range(len(names))]
    rest = PLAIN.keys() - {"name", "comment", "JobArrayID"}
    assert all(row[key] == PLAIN[key] for row in found for key in rest)
    assert all(row["name"].isprintable() for row in found)


def test_a_row_in_a_name_stays_in_the_name() -> None:
    widths = {"JobArrayID": 8, "name": 24, "Partition": 8}
    forged = "x\n9       root            main    \n"
    (row,) = cut(printed([{"JobArrayID": "8", "name": forged, "Partition": "wait"}], widths), widths, "squeue")
    assert (row["JobArrayID"], row["Partition"]) == ("8", "wait")


@pytest.mark.parametrize("answer", [b"7  \n7", b"7   7  \n", b"slurm_load_jobs error"])
def test_half_an_answer_is_an_error(answer: bytes) -> None:
    with pytest.raises(BackendError, match="expected rows of 4"):
        cut(answer, {"JobArrayID": 3}, "squeue")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("n1", ("n1",)),
        ("n[1-3,07]", ("n1", "n2", "n3", "n07")),
        ("r[1-2]n[08-10]", ("r1n08", "r1n09", "r1n10", "r2n08", "r2n09", "r2n10")),
        ("a,b[1-2]-x,c", ("a", "b1-x", "b2-x", "c")),
    ],
)
def test_lists_of_nodes(text: str, names: tuple[str, ...]) -> None:
    assert hostlist.expand(text) == names


@pytest.mark.parametrize(
    "text", ["n[1-", "n[a-b]", "n[1-9999999]", "n1,,n2", "n1 n2", "n[1-2", "]", ",", "n1\nn2", "$(x)"]
)
def test_what_is_no_list_of_nodes(text: str) -> None:
    with pytest.raises(BackendError, match="expected a list of nodes"):
        hostlist.expand(text)


@given(st.text(max_size=40))
@example("¹")  # a digit, and no number
def test_readers_never_fail_otherwise(text: str) -> None:
    values.generic(text), values.limit_s(text), values.mib(text), values.moment(text), values.tres(text)
    with contextlib.suppress(BackendError):
        hostlist.expand(text)


@pytest.mark.parametrize(
    ("asked", "gpus", "models"),
    [
        ({"tres-per-node": "gres:gpu:8", "NumNodes": "2"}, 8, []),
        ({"tres-per-node": "gres/gpu:a100:2"}, 2, ["a100"]),
        ({"tres-per-node": "gpu"}, 1, []),
        ({"tres-per-job": "gres:gpu:16", "NumNodes": "2"}, 8, []),
        ({"tres-per-job": "gres:gpu:5"}, 5, []),
        ({"tres-per-task": "gres:gpu:a100:1", "NumTasks": "8"}, 8, ["a100"]),
        ({"tres-per-task": "gres:gpu:a100:1", "NumTasks": "8", "NumNodes": "2", "NTPerNode": "4"}, 4, ["a100"]),
        ({"tres-per-task": "gres:gpu:1", "NumTasks": "16", "NumNodes": "2"}, 8, []),
        ({"tres-per-node": "gres:gpu:2", "Feature": "v100"}, 2, ["v100"]),
        ({"tres-per-node": "gres:gpu:2", "Feature": "a100|v100"}, 2, []),
        ({"Feature": "all"}, 0, []),
    ],
)
def test_gpus(asked: dict[str, str], gpus: int, models: list[str]) -> None:
    demand = demand_of({**PLAIN, **asked}, SITE)
    assert (demand.gpus, list(demand.gpu_models), demand.unfit) == (gpus, models, "")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"tres-per-node": "gres:gpu:x\ny:1"}, "not known here"),
        ({"tres-per-node": "gres:shard:2"}, "asks for shard"),
        ({"tres-per-node": "gres:gpu:a100:1,gres:gpu:v100:1"}, "several models"),
        ({"tres-per-socket": "gres:gpu:1"}, "by socket"),
        ({"tres-per-node": "gres:gpu:t4:1"}, "no node has t4"),
        ({"tres-per-job": "gres:gpu:12", "NumNodes": "2"}, "12 GPUs in all on 2 nodes"),
        ({"tres-per-task": "gres:gpu:1", "NumTasks": "8", "NumNodes": "2"}, "8 GPUs in all on 2 nodes"),
        ({"tres-per-node": "gres:gpu:1", "Feature": "big"}, "constraint 'big'"),
        ({"Feature": "v100"}, "constraint 'v100'"),
    ],
)
def test_what_no_policy_can_place(asked: dict[str, str], says: str) -> None:
    assert says in demand_of({**PLAIN, **asked}, SITE).unfit
    frame = job_frame([{**PLAIN, **asked}], view())
    assert frame["state"][0] == BLOCKED
    assert says in frame["why"][0]


@pytest.mark.parametrize(
    ("asked", "cpus", "memory"),
    [
        ({"NumCPUs": "100", "NumNodes": "2"}, 50, 1000),
        ({"tres-per-job": "gres:gpu:4", "cpus-per-tres": "gres:gpu:4", "mem-per-tres": "gres:gpu:10240"}, 16, 40960),
        ({"OverSubscribe": "NO"}, 64, 1000),
        ({"tres-alloc": "cpu=4,mem=64G,node=2", "NumNodes": "2"}, 1, 32768),
        ({"tres-alloc": "cpu=4,node=1", "MinMemory": "3G"}, 1, 3072),
    ],
)
def test_cpus_and_memory_of_a_node(asked: dict[str, str], cpus: int, memory: int) -> None:
    demand = demand_of({**PLAIN, **asked}, SITE)
    assert (demand.cpu_milli, demand.memory_mib) == (cpus * 1000, memory)


def test_whole_cores() -> None:
    site = replace(SITE, threads=2)
    assert demand_of({**PLAIN, "NumCPUs": "3"}, site).cpu_milli == 4000


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, WAITING),
        ({"Reason": "Resources"}, WAITING),
        ({"Reason": "Dependency"}, BLOCKED),
        ({"Dependency": "afterok:1(unfulfilled)"}, BLOCKED),
        ({"EligibleTime": "1795280164"}, BLOCKED),
        ({"Reason": "JobHeldUser", "PriorityLong": "0"}, BLOCKED),
        ({"PriorityLong": "0"}, BLOCKED),
        ({"Reason": "BeginTime", "StartTime": "1795280164"}, BLOCKED),
        ({**REQUEUED, "Reason": "BeginTime"}, WAITING),
        ({**REQUEUED, "Reason": "BeginTime", "SubmitTime": "1795276564"}, BLOCKED),
        ({"Reason": "BeginTime", "StartTime": "1795280164", "RestartCnt": "1"}, BLOCKED),
        ({"Reason": "BeginTime", "RestartCnt": "1"}, WAITING),
        ({"Reason": "BeginTime", "EligibleTime": "1795280164"}, BLOCKED),
        ({"Reason": "JobArrayTaskLimit"}, BLOCKED),
        ({"Reason": "QOSMaxGRESPerUser"}, BLOCKED),
        ({"ReqNodes": "n3"}, BLOCKED),
        ({"Reservation": "maint"}, BLOCKED),
        ({"JobArrayID": "12+1", "HetJobOffset": "1"}, BLOCKED),
        ({**OURS}, LAUNCHING),
        ({**OURS, "Reason": "Resources"}, LAUNCHING),
        ({**OURS, "Reason": "BeginTime", "StartTime": "1795276749"}, STRAY),
        ({**OURS, **REQUEUED, "EligibleTime": "1795276720"}, STRAY),
        ({**OURS, "Reason": "BeginTime", "StartTime": "1795276601"}, LAUNCHING),
        ({**OURS, "EligibleTime": "1795276601"}, LAUNCHING),
        ({**OURS, "Reason": "JobArrayTaskLimit"}, STRAY),
        ({**OURS, "Reason": "JobHeldUser", "PriorityLong": "0"}, STRAY),
        ({"Partition": "main,wait"}, STRAY),
        ({"Partition": "main"}, None),
        ({"Partition": "other"}, None),
        ({**OURS, **RUNS}, RUNNING),
        ({**RUNS, "Partition": "main"}, RUNNING),
        ({**RUNS, "Partition": "other"}, RUNNING),
        ({**RUNS, "Partition": "other", "NodeList": "elsewhere1"}, None),
        ({**RUNS, "StateCompact": "CG"}, STOPPING),
        ({**OURS, **RUNS, "StateCompact": "CG"}, RUNNING),
        ({**OURS, "StateCompact": "CD"}, ENDED),
        ({"StateCompact": "F", "tres-per-node": "gres:gpu:a b:1"}, ENDED),
    ],
)
def test_states(row: dict[str, str], expected: str | None) -> None:
    assert state(**row) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, None),
        (REQUEUED, 1795276600),
        ({**REQUEUED, "StartTime": "1795276599"}, 1795276600),  # a Slurm that lets it begin at once
        ({**REQUEUED, "StartTime": "N/A"}, 1795276600),
        ({**REQUEUED, "RestartCnt": "0"}, None),
        ({**REQUEUED, "StartTime": "1795280164"}, None),  # somebody's wish
        ({**REQUEUED, "SubmitTime": "1795270000"}, None),
        ({**REQUEUED, "SubmitTime": "1795270000", "StartTime": "1795270121"}, None),
        ({**REQUEUED, "SubmitTime": "1795276601"}, 1795276602),  # Slurm's clock is ahead
        ({**REQUEUED, "SubmitTime": "N/A"}, None),
    ],
)
def test_a_requeued_job_runs_again_from_the_next_second_on(row: dict[str, str], expected: int | None) -> None:
    assert may_begin_s({**PLAIN, **row}, NOW) == expected


def test_only_what_we_launched_may_be_stopped() -> None:
    rows = [
        {**PLAIN, **OURS, **RUNS, "JobArrayID": "1"},
        {**PLAIN, **RUNS, "Partition": "main", "JobArrayID": "2"},
        {**PLAIN, **OURS, **RUNS, "JobArrayID": "3", "Requeue": "0"},
        {**PLAIN, **OURS, **RUNS, "JobArrayID": "4", "BatchFlag": "0"},
        {**PLAIN, **RUNS, "Partition": "wait", "admin_comment": MARK, "JobArrayID": "5"},
    ]
    frame = job_frame(rows, view())
    assert frame["preemptible"].to_list() == [True, False, False, False, False]
    assert dict(frame.schema) == JOB_COLUMNS


def test_excluded_nodes_and_jobs_that_cool_down_are_left_alone() -> None:
    frame = job_frame([PLAIN], view(excluded={"7": "n[2,5]"}))
    assert (frame["state"][0], "--exclude" in frame["why"][0]) == (BLOCKED, True)
    assert job_frame([PLAIN], view(excluded={"7": "other[1-9]"}))["state"][0] == WAITING
    assert job_frame([PLAIN], view(cooling={"7": "Licenses"}))["why"][0] == "Licenses"


def test_a_gang_is_a_task_a_node() -> None:
    row = {**PLAIN, **OURS, **RUNS, "NodeList": "n[1-2]", "NumNodes": "2", "tres-per-node": "gres:gpu:8"}
    frame = job_frame([row], view())
    assert frame.select("tasks", "gpus", "apart", "nodes").row(0) == (2, 8, True, ["n1", "n2"])


def test_a_job_that_runs_holds_at_most_what_its_total_leaves() -> None:
    total = {"tres-per-job": "gres:gpu:4", "NumNodes": "2"}
    assert [demand_of({**PLAIN, **total}, SITE, holds).gpus for holds in (1, 2, 3)] == [4, 3, 2]
    assert demand_of({**PLAIN, "tres-per-job": "gres:gpu:12"}, SITE, 2).gpus == 8


@pytest.mark.parametrize(
    ("comment", "wanted"),
    [("checkpoint:USR1", "USR1"), ("x checkpoint:SIGTERM y", "TERM"), ("checkpoint:KILL", None), ("(null)", None)],
)
def test_the_signal_a_job_asks_for(comment: str, wanted: str | None) -> None:
    assert signal_of({"comment": comment}) == wanted


def test_nodes() -> None:
    plain = {"NodeList": "n1", "Gres": "gpu:a100:8(S:0-1)", "CPUs": "64", "Memory": "512000", "StateComplete": "idle",
             "Threads": "1", "Features": "a100", "Reason": "none"}  # fmt: skip
    assert set(plain) == set(NodePoll(None, "main").widths)  # type: ignore[arg-type]
    states = ["idle", "mixed", "allocated+completing", "idle+drain", "down*", "idle+maintenance+reserved", "unknown"]
    frame = node_frame([{**plain, "StateComplete": each, "Reason": "why | not"} for each in states])
    assert frame["open"].to_list() == [True, True, True, False, False, False, False]
    assert frame["reason"][3] == "drain (why | not)"
    assert frame.select("gpu_model", "gpus", "cpu_milli", "memory_mib").row(0) == ("a100", 8, 64000, 512000)


@pytest.mark.parametrize(
    ("text", "seen", "left_out"),
    [
        ("gpu:a100:8(S:0-1)", ("a100", 8), {}),
        ("gpu:t4:2,gpu:a100:4,shard:8", ("a100", 4), {"t4": 2}),
        ("gpu:a100:4(S:0),gpu:v100:4(S:1)", ("a100", 4), {"v100": 4}),
        ("(null)", (None, 0), {}),
    ],
)
def test_of_a_node_with_two_types_policies_place_one(text: str, seen: tuple[str | None, int], left_out: object) -> None:
    assert (gpus_of(text), left_out_of(text)) == (seen, left_out)
