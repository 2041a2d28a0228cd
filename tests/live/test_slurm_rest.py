"""Slurm's REST daemon: both shapes of its JSON, the choice of a version, and what is sent in each."""

from __future__ import annotations

import json
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from apportion.cli.slurm import slurm_access
from apportion.live.backend import BackendError
from apportion.live.slurm import Rest, Slurm, rest_finding
from apportion.live.slurm.access import Change, Requeue
from apportion.live.slurm.jobs import MARK
from apportion.live.slurm.rest_http import Daemon as Reached
from apportion.live.slurm.rest_rows import flat, job_rows_of, node_row_of, tasks_of
from apportion.live.slurm.rest_versions import body_of

OLD_JOB = {
    "job_id": 6, "array_job_id": 5, "array_task_id": 2, "job_state": "RUNNING", "priority": 77, "time_limit": None,
    "required_nodes": "n1,n2", "name": "a", "start_time": 1700000000, "tres_per_node": "gres:gpu:1", "shared": "none",
    "requeue": True, "het_job_id": 0, "memory_per_cpu": 500, "nice": None,
}  # fmt: skip
NEW_JOB = {
    "job_id": 6, "array_job_id": {"set": True, "infinite": False, "number": 5}, "name": "a",
    "array_task_id": {"set": True, "infinite": False, "number": 2}, "job_state": ["RUNNING"],
    "priority": {"set": True, "infinite": False, "number": 77}, "tres_per_node": "gres:gpu:1",
    "time_limit": {"set": False, "infinite": True, "number": 0}, "required_nodes": ["n1", "n2"], "nice": 0,
    "start_time": {"set": True, "infinite": False, "number": 1700000000}, "shared": ["none"], "requeue": True,
    "het_job_id": {"set": True, "infinite": False, "number": 0},
    "memory_per_cpu": {"set": True, "infinite": False, "number": 500},
}  # fmt: skip
DENIED = {"error_number": 2002, "error": "Access/permission denied", "description": "job update failed"}
FIELDS = ("partition", "required_nodes", "minimum_nodes", "maximum_nodes", "priority", "admin_comment", "begin_time")
START = Change("1", "main", ("n1",), 9, MARK)
PARK = Change("1", "wait", begin_s=7)
TOKEN = "x.eyJzdW4iOiAiYW5uIn0.sesame"


def specification(*versions: str, fields: tuple[str, ...] = FIELDS) -> dict[str, Any]:
    schemas = {f"{version}_job_desc_msg": {"properties": {field: {} for field in fields}} for version in versions}
    return {"paths": {f"/slurm/{version}/jobs/": {} for version in versions}, "components": {"schemas": schemas}}


def programs(folder: Path) -> Slurm:
    """Return programs that write down how they were called, and say nothing."""
    for name in ("scontrol", "scancel"):
        path = folder / name
        path.write_text(f'#!/bin/sh\nfor x in "{name}" "$@"; do echo "$x" >> {folder}/called; done\n'
                        f"while read -r line; do echo \"$line\" >> {folder}/given\n"
                        'case $line in 0*0) echo "invalid keyword: $line" >&2;; esac; done\n')  # fmt: skip
        path.chmod(0o755)
    return Slurm(programs=folder)


def given(folder: Path) -> list[str]:
    """Return the commands that `scontrol` was given."""
    path = folder / "given"
    return [line for line in path.read_text().splitlines() if not line.startswith("0")] if path.exists() else []


class Daemon(socketserver.ThreadingUnixStreamServer):
    """Answers what it was given, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, path: Path, answers: dict[str, tuple[int, bytes]]) -> None:
        super().__init__(str(path), Handler)
        self.path = path
        self.answers = answers
        self.asked: list[tuple[str, str, Any, dict[str, str]]] = []

    def gives(self, path: str, answer: object, status: int = 200) -> None:
        self.answers[path] = (status, answer if isinstance(answer, bytes) else json.dumps(answer).encode())


class Handler(BaseHTTPRequestHandler):
    server: Daemon

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, json.loads(body or b"null"), dict(self.headers)))
        status, text = self.server.answers.get(self.path, (404, b"Unable find requested URL."))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def address_string(self) -> str:
        return "local"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="apportion-rest-") as folder:
        server = Daemon(Path(folder) / "s", {})
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        server.server_close()
        thread.join()


def test_both_shapes_of_a_job_are_one_row() -> None:
    (row,) = job_rows_of(OLD_JOB)
    assert [row] == job_rows_of(NEW_JOB)
    assert row["JobArrayID"] == "5_2"
    assert (row["StateCompact"], row["PriorityLong"], row["TimeLimit"]) == ("R", "77", "UNLIMITED")
    assert (row["ReqNodes"], row["OverSubscribe"], row["MinMemory"]) == ("n1,n2", "NO", "500M")
    assert (row["HetJobOffset"], row["StartTime"], row["EndTime"]) == ("N/A", "1700000000", "N/A")


def test_both_shapes_of_a_node_are_one_row() -> None:
    same = {"name": "n1", "cpus": 64, "real_memory": 512, "threads": 2, "gres": "gpu:a100:8", "reason": "hot\x1b"}
    old = {**same, "state": "idle", "state_flags": ["DRAIN"], "features": "a,b"}
    new = {**same, "state": ["IDLE", "DRAIN"], "features": ["a", "b"]}
    assert node_row_of(old) == node_row_of(new)
    assert (node_row_of(old)["StateComplete"], node_row_of(old)["Reason"]) == ("idle+drain", "hot")


@pytest.mark.parametrize(
    ("words", "short"),
    [("RUNNING", "R"), (["RUNNING", "COMPLETING"], "CG"), (["PENDING", "REQUEUE_HOLD"], "RH"), ("OUT_OF_MEMORY", "OOM"),
     (["RUNNING", "CONFIGURING"], "CF"), (["CANCELLED"], "CA"), (["RUNNING", "NEWS"], "R"), ([], ""), ("NEWS", "NEWS")],
)  # fmt: skip
def test_states(words: object, short: str) -> None:
    assert job_rows_of({"job_id": 1, "job_state": words})[0]["StateCompact"] == short


def test_processors_of_a_job_that_ended_before_it_ran() -> None:
    none = {"set": False, "infinite": False, "number": 0}
    gone = {"job_id": 1, "job_state": "CANCELLED", "cpus": none, "tres_req_str": "cpu=4,mem=64G,node=1,billing=4"}
    assert job_rows_of(gone)[0]["NumCPUs"] == "4"
    assert job_rows_of({**gone, "tres_req_str": ""})[0]["NumCPUs"] == "1"


def test_tasks_that_wait_as_one_job() -> None:
    array = {"job_id": 5, "array_job_id": 5, "array_task_id": None, "job_state": "PENDING"}
    rows = job_rows_of({**array, "array_task_string": "0,2-3,8-12:2%4"})
    assert [row["JobArrayID"] for row in rows] == ["5_0", "5_2", "5_3", "5_8", "5_10", "5_12"]
    # 9 may be the beginning of 93
    assert tasks_of("1,5,9...%3") == [1, 5]
    # a command to 5 would be one to every task
    assert job_rows_of({**array, "array_task_string": "1..."}) == []
    # when every task was cancelled by itself, the programs, too, show the array as one job that ended
    empty = {**array, "array_task_string": ""}
    assert job_rows_of(empty) == []
    assert [row["JobArrayID"] for row in job_rows_of({**empty, "job_state": "CANCELLED"})] == ["5"]


def test_what_users_write_can_be_shown_and_is_no_longer_than_in_squeue() -> None:
    name = "a\n|\x1b[2J" + "é" * 500
    (row,) = job_rows_of({"job_id": 1, "name": name, "comment": "\ud800", "required_nodes": "n" * 500})
    assert row["name"].isprintable() and len(row["name"].encode()) <= 64 + 2
    assert row["comment"] == "?"
    assert row["ReqNodes"] == "n" * 500


@pytest.mark.parametrize("value", [None, "7", True, [], {"set": False, "number": 7}, {"number": None}])
def test_what_is_no_number_is_none(value: object) -> None:
    assert flat(value) is None


@pytest.mark.parametrize("row", [None, 7, [], {}, {"job_id": "x"}, {"job_id": {"set": False, "number": 0}}])
def test_what_is_no_job_or_node_is_said(row: object) -> None:
    with pytest.raises(BackendError, match="expected a job"):
        job_rows_of(row)
    with pytest.raises(BackendError, match="expected a node"):
        node_row_of(row)


def test_what_is_sent_depends_on_the_version() -> None:
    start, park = Change("1", "main", ("n1", "n2"), 9, "us", begin_s=7), Change("1", "wait")
    old = {"partition": "main", "nodelist": "n1,n2", "nodes": [2, 2], "priority": 9, "admin_comment": "us"}
    assert body_of("v0.0.38", start) == {**old, "begin_time": "uts7"}
    new = body_of("v0.0.42", start)
    assert new["required_nodes"] == ["n1", "n2"]
    assert (new["minimum_nodes"], new["maximum_nodes"], new["priority"]["number"]) == (2, 2, 9)
    assert new["begin_time"] == {"set": True, "infinite": False, "number": 7}
    assert new["admin_comment"] == "us"
    assert body_of("v0.0.38", park) == {"partition": "wait", "nodelist": ""}
    assert body_of("v0.0.42", park) == {"partition": "wait", "required_nodes": [""]}


def test_the_newest_common_version_is_spoken_and_asked_for_once(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.39", "v0.0.40", "v0.0.42", "v0.0.99"))
    daemon.gives("/slurm/v0.0.42/ping", {"pings": [{"pinged": "UP"}], "errors": []})
    rest = Rest(daemon.path, token=TOKEN)
    assert rest.version() == "v0.0.42"
    assert rest.ping()
    assert [path for _, path, _, _ in daemon.asked] == ["/openapi/v3", "/slurm/v0.0.42/ping"]
    assert daemon.asked[-1][3]["X-SLURM-USER-NAME"] == "ann"
    assert daemon.asked[-1][3]["X-SLURM-USER-TOKEN"] == TOKEN
    found = rest_finding(rest)
    assert (found.level, found.what[-len("jobs are stopped") :]) == ("ok", "jobs are stopped")


def test_no_common_version_is_said(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.36"))
    with pytest.raises(BackendError, match=r"speaks v0\.0\.36, expected one of"):
        Rest(daemon.path).version()
    assert rest_finding(Rest(daemon.path)).level == "bad"


def test_what_a_version_cannot_say_goes_through_one_scontrol(daemon: Daemon, tmp_path: Path) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.44", fields=FIELDS[:-2]))
    daemon.gives("/slurm/v0.0.44/ping", {"pings": [{"pinged": "UP"}]})
    daemon.gives("/slurm/v0.0.44/job/1", {"errors": []})
    rest = Rest(daemon.path, slurm=programs(tmp_path))
    assert rest_finding(rest).what.endswith("jobs are started, parked, stopped")
    stay = Change("1", "wait")
    assert rest.carry_out([stay]) == [""]
    assert given(tmp_path) == []
    sent = [path for method, path, *_ in daemon.asked if method == "POST"]
    assert sent == ["/slurm/v0.0.44/job/1"]
    # in the order in which they were given
    assert rest.carry_out([stay, START]) == ["", ""]
    assert rest.carry_out([Requeue("2"), Change("2", "wait")]) == ["", ""]
    rest.send_signal(["3_1"], "USR1")
    assert given(tmp_path) == [
        stay.line(),
        START.line(),
        "requeue Incomplete 2",
        "update JobId=2 Partition=wait ReqNodeList=",
    ]
    called = (tmp_path / "called").read_text().splitlines()
    assert called == ["scontrol", "scontrol", "scancel", "--signal=USR1", "--batch", "3_1"]
    assert [path for method, path, *_ in daemon.asked if method == "POST"] == sent


def test_the_oldest_version_parks_and_does_not_start(daemon: Daemon, tmp_path: Path) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.38"))
    daemon.gives("/slurm/v0.0.38/ping", {"pings": [{"ping": "UP"}]})
    daemon.gives("/slurm/v0.0.38/job/1", {"errors": []})
    rest = Rest(daemon.path, slurm=programs(tmp_path))
    assert rest.carry_out([PARK]) == [""]
    assert daemon.asked[-1][2] == {"partition": "wait", "nodelist": "", "begin_time": "uts7"}
    assert rest.carry_out([START]) == [""]
    assert given(tmp_path) == [START.line()]
    assert rest_finding(rest).what.endswith("jobs are started, stopped")


def test_answers_to_a_change(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.41"))
    rest = Rest(daemon.path)
    done = {"errors": [], "results": [{"job_id": 1, "error": "No error", "error_code": 0}]}
    daemon.gives("/slurm/v0.0.41/job/1", done)
    assert rest.carry_out([START]) == [""]
    assert daemon.asked[-1][2] == body_of("v0.0.41", START)
    daemon.gives("/slurm/v0.0.41/job/1", {"errors": [DENIED]}, 500)
    daemon.gives("/slurm/v0.0.41/job/2", done)
    assert rest.carry_out([PARK, Change("2", "wait")]) == ["Access/permission denied: job update failed", ""]
    for number in (1007, 6000, 9001):
        daemon.gives("/slurm/v0.0.41/job/1", {"errors": [{**DENIED, "error_number": number}]}, 500)
        with pytest.raises(BackendError, match="Access/permission denied"):
            rest.carry_out([PARK])
    daemon.gives("/slurm/v0.0.41/job/1", {"errors": [{"description": "Unknown key"}]})
    with pytest.raises(BackendError, match="Unknown key"):
        rest.carry_out([PARK])
    daemon.gives("/slurm/v0.0.41/job/1", {}, 502)
    with pytest.raises(BackendError, match="status 502"):
        rest.carry_out([PARK])


def test_jobs_and_whom_they_avoid(daemon: Daemon) -> None:
    waits = {"job_id": 7, "job_state": ["PENDING"], "partition": "wait", "excluded_nodes": "n[3-4]"}
    array = {**waits, "job_id": 8, "array_job_id": 8, "array_task_string": "1-2"}
    elsewhere = {**waits, "job_id": 9, "partition": "other"}
    daemon.gives("/openapi/v3", specification("v0.0.40"))
    daemon.gives("/slurm/v0.0.40/jobs", {"jobs": [NEW_JOB, waits, array, elsewhere], "errors": []})
    rows, excluded = Rest(daemon.path).job_rows("wait")
    assert [row["JobArrayID"] for row in rows] == ["5_2", "7", "8_1", "8_2", "9"]
    assert excluded == {"7": "n[3-4]", "8_1": "n[3-4]", "8_2": "n[3-4]"}


def test_nodes_of_a_partition(daemon: Daemon) -> None:
    nodes = [{"name": f"n{i}", "partitions": ["main", "wait"][i:]} for i in range(2)]
    daemon.gives("/openapi/v3", specification("v0.0.40"))
    daemon.gives("/slurm/v0.0.40/nodes", {"nodes": nodes})
    assert [row["NodeList"] for row in Rest(daemon.path).node_rows("main")] == ["n0"]


@pytest.mark.parametrize("text", [b"", b"[]", b"<html>", b"[" * 100_000, b"\xff\xfe", b'{"errors": 3, "jobs": 4}'])
def test_answers_that_are_none(daemon: Daemon, text: bytes) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.40"))
    daemon.gives("/slurm/v0.0.40/jobs", text)
    with pytest.raises(BackendError, match="slurmrestd"):
        Rest(daemon.path).job_rows("wait")


def test_bytes_that_are_no_text_spoil_nothing(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.40"))
    daemon.gives("/slurm/v0.0.40/jobs", b'{"jobs": [{"job_id": 1, "name": "a\xff\x01b"}]}')
    assert Rest(daemon.path).job_rows("wait").rows[0]["name"] == "a\ufffd b"


def test_a_daemon_that_became_another_is_asked_again(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.40"))
    rest = Rest(daemon.path)
    assert rest.version() == "v0.0.40"
    daemon.gives("/openapi/v3", specification("v0.0.44"))
    with pytest.raises(BackendError, match="404"):
        rest.ping()
    assert rest.version() == "v0.0.44"


@pytest.mark.parametrize("job", ["", "1/../2", "1 2", "1_", "x", "1?a=b", "1\r\nX: y", "12345678901"])
def test_only_jobs_are_put_in_a_command(job: str) -> None:
    with pytest.raises(BackendError, match="expected a job"):
        Change(job, "main", ("n1",), 9)
    with pytest.raises(BackendError, match="expected a job"):
        Requeue(job)


def test_unsound_arguments_are_said(daemon: Daemon) -> None:
    for partition, nodes, priority, mark in (
        ("a b", ("n1",), 9, ""), ("main", ("n1,n2",), 9, ""), ("main", ("n1 x",), 9, ""), ("main", ("n",), 0, ""),
        ("main", ("n",), 1 << 32, ""), ("main", ("n",), 9, "a b"),
    ):  # fmt: skip
        with pytest.raises(BackendError, match="expected"):
            Change("1", partition, nodes, priority, mark)
    for address in ("ftp://x", "http://", "http://u:p@x", "http://x:port", "http://x?token=p"):
        with pytest.raises(BackendError, match="expected a path"):
            Rest(address)
    with pytest.raises(BackendError, match="header"):
        Rest(daemon.path, token="a\nb")


def test_a_secret_is_not_repeated(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JWT", TOKEN)
    daemon.gives("/openapi/v3", specification("v0.0.38"))
    rest = Rest(daemon.path, token=TOKEN, slurm=programs(tmp_path))
    said = [repr(rest), repr(rest.daemon), str(rest_finding(rest))]
    for address in ("http://ann:sesame@x", "https://x/?token=sesame", "http://sesame@x:port"):
        with pytest.raises(BackendError) as error:
            Rest(address)
        said.append(str(error.value))
    with pytest.raises(BackendError) as error:
        Rest(daemon.path, token="sesame\n")
    said.append(str(error.value))
    rest.carry_out([START])
    rest.send_signal(["1"], "USR1")
    said += [(tmp_path / name).read_text() for name in ("called", "given")]
    assert not [text for text in said if "sesame" in text]


def test_the_token_comes_from_the_variable_that_slurm_reads(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JWT", TOKEN)
    access = slurm_access(str(daemon.path))
    assert isinstance(access, Rest)
    assert (access.token, access.daemon.user) == (TOKEN, "ann")
    monkeypatch.delenv("SLURM_JWT")
    assert isinstance(slurm_access(None), Slurm)


def test_a_token_in_the_clear_is_warned_of(daemon: Daemon) -> None:
    clear = {"http://slurm.example:6820": True, "http://10.0.0.1:6820": True, "https://slurm.example": False,
             "http://127.0.0.1:6820": False, "http://localhost": False, "http://[::1]:6820": False}  # fmt: skip
    assert {address: Reached(address, token="x").in_the_clear() for address in clear} == clear
    assert not Reached("http://slurm.example").in_the_clear()
    assert not Reached(daemon.path, token="x").in_the_clear()


def test_an_address_of_the_network(daemon: Daemon) -> None:
    class Network(socketserver.ThreadingTCPServer):
        daemon_threads = True
        answers, asked = daemon.answers, daemon.asked

    daemon.gives("/at/openapi/v3", specification("v0.0.41"))
    with Network(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        assert Rest(f"http://127.0.0.1:{server.server_address[1]}/at/", user="ann").version() == "v0.0.41"
        server.shutdown()
    assert daemon.asked[-1][3]["X-SLURM-USER-NAME"] == "ann"


def test_no_daemon_is_said(tmp_path: Path) -> None:
    for address in (tmp_path / "absent", "http://127.0.0.1:1"):
        with pytest.raises(BackendError, match="slurmrestd at"):
            Rest(address).version()
