"""The Acme release: Seren and Kalos."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from reading import column, read, refusal

SEREN = """\
job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time
7,u,1,8,8,Eval,COMPLETED,2023-03-01 11:00:00+08:00,2023-03-01 11:00:30+08:00,2023-03-01 11:01:30+08:00,60,30,9
8,uB,0,0,4,Other,FAILED,2023-03-01 11:00:00+08:00,2023-03-01 11:00:30+08:00,2023-03-01 11:01:30+08:00,60,30,0
"""
KALOS_HEADER = (
    "job_id,user,node_num,gpu_num,cpu_num,mem_per_pod_GB,shared_mem_per_pod,type,state,submit_time,"
    "start_time,end_time,fail_time,stop_time,duration,queue,gpu_time\n"
)
KALOS = (
    KALOS_HEADER + "dlctk696s0jbvitv,uf794,2,16,240,1000,100,Pretrain,FAILED,2023-05-17 11:00:58+00:00,"
    "2023-05-17 11:01:08+00:00,2023-05-17 11:01:16+00:00,2023-05-17 11:01:16+00:00,,18.0,10.0,288.0\n"
)


def test_seren_is_read_in_utc(tmp_path: Path) -> None:
    path = tmp_path / "trace_seren.csv"
    path.write_text(SEREN)
    trace = read("acme", path)
    assert trace.workload.origin == datetime(2023, 3, 1, 3)
    assert column(trace, "duration_s") == [60.0]
    assert column(trace, "type") == column(trace, "group") == ["Eval"]
    assert column(trace, "gpus") == [8]
    assert list(trace.report.dropped.values()) == [1]
    assert trace.report.repaired == {}
    assert trace.cluster is None
    assert column(read("acme", path, cpu="keep"), "gpus") == [8, 0]


def test_the_duration_of_kalos_counts_the_queue_and_is_recomputed(tmp_path: Path) -> None:
    path = tmp_path / "trace_kalos.csv"
    path.write_text(KALOS)
    trace = read("acme", path)
    assert trace.workload.origin == datetime(2023, 5, 17, 11, 0, 58)
    assert column(trace, "duration_s") == [8.0]
    assert column(trace, "source_wait_s") == [10.0]
    assert column(trace, "memory_mib") == [2 * 1000 * 1024]  # of the whole job: two pods
    assert column(trace, "status") == ["failed"]
    assert trace.report.repaired == {"duration in the file is not end - start, which is used": 1}


def test_cluster_attaches_the_size_and_chooses_the_file(tmp_path: Path) -> None:
    (tmp_path / "trace_seren.csv").write_text(SEREN)
    assert column(read("acme", tmp_path), "job_id") == ["7"]
    (tmp_path / "trace_kalos.csv").write_text(KALOS)
    assert "choose with ?cluster=seren or ?cluster=kalos" in refusal("acme", tmp_path)
    seren, kalos = read("acme", tmp_path, cluster="seren"), read("acme", tmp_path, cluster="kalos")
    assert column(seren, "job_id") == ["7"]
    assert column(kalos, "job_id") == ["dlctk696s0jbvitv"]
    assert seren.cluster is not None
    assert kalos.cluster is not None
    assert (seren.cluster.gpus, kalos.cluster.gpus) == (286 * 8, 302 * 8)
    assert any("recalled" in note for note in seren.report.notes)


def test_mistakes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "trace_kalos.csv"
    assert "found cluster=sern" in refusal("acme", path, cluster="sern")
    assert "no such file" in refusal("acme", path)
    path.write_text(KALOS.replace("11:01:16+00:00,2023", "noon,2023", 1))
    assert "row 2, column 'end_time': found '2023-05-17 noon'" in refusal("acme", path)
    path.write_text(KALOS.replace(",1000,100,", ",lots,100,"))
    assert "row 2, column 'mem_per_pod_GB': found 'lots'" in refusal("acme", path)
