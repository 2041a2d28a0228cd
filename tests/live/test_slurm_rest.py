"""Slurm's REST daemon: both shapes of its JSON, the choice of a version, and the real one of Slurm 22.05."""

from __future__ import annotations

import contextlib
import json
import shutil
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import SlurmCluster

from apportion.live.backend import BackendError, Refusal
from apportion.live.slurm.rest import Rest, dispatching, finding, flat, normalised, parking

SLEEP = "#!/bin/sh\nsleep 300\n"
OLD_JOB = {
    "job_id": 6, "array_job_id": 5, "array_task_id": 2, "job_state": "RUNNING", "priority": 77, "time_limit": None,
    "required_nodes": "n1,n2", "name": "a", "start_time": 1700000000, "tres_per_node": "gres:gpu:1",
}  # fmt: skip
NEW_JOB = {
    "job_id": 6, "array_job_id": {"set": True, "infinite": False, "number": 5}, "name": "a",
    "array_task_id": {"set": True, "infinite": False, "number": 2}, "job_state": ["RUNNING"],
    "priority": {"set": True, "infinite": False, "number": 77}, "tres_per_node": "gres:gpu:1",
    "time_limit": {"set": False, "infinite": True, "number": 0}, "required_nodes": ["n1", "n2"],
    "start_time": {"set": True, "infinite": False, "number": 1700000000},
}  # fmt: skip
DENIED = {"error_number": 2002, "error": "Access/permission denied", "description": "job update failed"}


def specification(*versions: str, field: str = "required_nodes") -> dict[str, Any]:
    schemas = {f"{version}_job_desc_msg": {"properties": {field: {}}} for version in versions}
    return {"paths": {f"/slurm/{version}/jobs/": {} for version in versions}, "components": {"schemas": schemas}}


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


def test_both_shapes_of_a_job_are_one() -> None:
    job = normalised(OLD_JOB)
    assert job == normalised(NEW_JOB)
    assert job["job_id"] == "5_2"
    assert (job["job_state"], job["priority"], job["time_limit"]) == ("RUNNING", 77, None)
    assert job["required_nodes"] == "n1,n2"


def test_a_state_of_several_words_is_that_of_older_versions() -> None:
    assert normalised({"job_id": 1, "job_state": ["RUNNING", "COMPLETING"]})["job_state"] == "COMPLETING"
    assert normalised({"job_id": 1, "job_state": ["RUNNING", "CONFIGURING"]})["job_state"] == "CONFIGURING"
    assert normalised({"job_id": 1, "job_state": []})["job_state"] == ""


@pytest.mark.parametrize("value", [None, "7", True, [], {"set": False, "number": 7}, {"number": None}])
def test_what_is_no_number_is_none(value: object) -> None:
    assert flat(value) is None


@pytest.mark.parametrize("row", [None, 7, [], {}, {"job_id": "x"}, {"job_id": {"set": False, "number": 0}}])
def test_what_is_no_job_is_said(row: object) -> None:
    with pytest.raises(BackendError, match="expected a job"):
        normalised(row)


def test_what_is_sent_depends_on_the_version() -> None:
    old = dispatching("v0.0.38", "main", ["n1", "n2"], 9)
    assert old == {"partition": "main", "nodelist": "n1,n2", "nodes": [2, 2], "priority": 9}
    new = dispatching("v0.0.42", "main", ["n1", "n2"], 9)
    assert new["required_nodes"] == ["n1", "n2"]
    assert (new["minimum_nodes"], new["maximum_nodes"], new["priority"]["number"]) == (2, 2, 9)
    assert parking("v0.0.38", "wait") == {"partition": "wait", "nodelist": ""}


def test_the_newest_common_version_is_spoken_and_asked_for_once(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.39", "v0.0.40", "v0.0.42", "v0.0.99"))
    daemon.gives("/slurm/v0.0.42/ping", {"pings": [{"pinged": "UP"}], "errors": []})
    rest = Rest(daemon.path, user="ann", token="secret")
    assert rest.version() == "v0.0.42"
    assert rest.pins() and rest.ping()
    assert [path for _, path, _, _ in daemon.asked] == ["/openapi/v3", "/slurm/v0.0.42/ping"]
    assert daemon.asked[-1][3]["X-SLURM-USER-NAME"] == "ann"
    assert daemon.asked[-1][3]["X-SLURM-USER-TOKEN"] == "secret"
    assert "secret" not in repr(rest)
    assert finding(rest).level == "ok"


def test_no_common_version_is_said(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.36"))
    with pytest.raises(BackendError, match=r"speaks v0\.0\.36, expected one of"):
        Rest(daemon.path).version()
    assert finding(Rest(daemon.path)).level == "bad"


def test_a_version_that_names_no_nodes_starts_nothing(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.44", field="other"))
    daemon.gives("/slurm/v0.0.44/ping", {"pings": [{"pinged": "UP"}]})
    rest = Rest(daemon.path)
    with pytest.raises(BackendError, match=r"v0\.0\.44 cannot say on which nodes"):
        rest.dispatch("1", "main", ["n1"], 9)
    with pytest.raises(BackendError, match="cannot free a job"):
        rest.park("1", "wait")
    assert finding(rest).level == "warn"
    assert not [method for method, *_ in daemon.asked if method == "POST"]


def test_answers_to_a_change(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.41"))
    rest = Rest(daemon.path)
    done = {"errors": [], "results": [{"job_id": 1, "error": "No error", "error_code": 0}]}
    daemon.gives("/slurm/v0.0.41/job/1", done)
    assert rest.dispatch("1", "main", ["n1"], 9) is None
    assert daemon.asked[-1][2] == dispatching("v0.0.41", "main", ["n1"], 9)
    daemon.gives("/slurm/v0.0.41/job/1", {"errors": [DENIED]}, 500)
    assert rest.park("1", "wait") == Refusal("1", "Access/permission denied: job update failed")
    for number in (1007, 6000, 9001):
        daemon.gives("/slurm/v0.0.41/job/1", {"errors": [{**DENIED, "error_number": number}]}, 500)
        with pytest.raises(BackendError, match="Access/permission denied"):
            rest.park("1", "wait")
    daemon.gives("/slurm/v0.0.41/job/1", {"errors": [{"description": "Unknown key"}]})
    with pytest.raises(BackendError, match="Unknown key"):
        rest.park("1", "wait")


def test_jobs_changed_and_unchanged(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.40"))
    daemon.gives("/slurm/v0.0.40/jobs", {"jobs": [NEW_JOB], "errors": []})
    daemon.gives("/slurm/v0.0.40/jobs?update_time=7", b"", 304)
    daemon.gives("/slurm/v0.0.40/jobs?update_time=8", {"errors": [{"error_number": 1900, "error": "No change"}]})
    rest = Rest(daemon.path)
    assert rest.jobs() == [normalised(OLD_JOB)]
    assert rest.jobs(update_time=7) is None
    assert rest.jobs(update_time=8) is None


@pytest.mark.parametrize("text", [b"", b"[]", b"<html>", b"[" * 100_000, b"\xff\xfe", b'{"errors": 3, "jobs": 4}'])
def test_answers_that_are_none(daemon: Daemon, text: bytes) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.40"))
    daemon.gives("/slurm/v0.0.40/jobs", text)
    with pytest.raises(BackendError, match="slurmrestd"):
        Rest(daemon.path).jobs()


def test_a_daemon_that_became_another_is_asked_again(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.40"))
    rest = Rest(daemon.path)
    assert rest.version() == "v0.0.40"
    daemon.gives("/openapi/v3", specification("v0.0.44"))
    with pytest.raises(BackendError, match="404"):
        rest.ping()
    assert rest.version() == "v0.0.44"


@pytest.mark.parametrize("job", ["", "1/../2", "1 2", "1_", "x", "1?a=b", "1\r\nX: y", "12345678901"])
def test_only_jobs_are_put_in_a_path(daemon: Daemon, job: str) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.40"))
    with pytest.raises(BackendError, match="expected a job"):
        Rest(daemon.path).dispatch(job, "main", ["n1"], 9)


def test_unsound_arguments_are_said(daemon: Daemon) -> None:
    daemon.gives("/openapi/v3", specification("v0.0.40"))
    rest = Rest(daemon.path)
    for partition, nodes, priority in (("a b", ["n1"], 9), ("main", [], 9), ("main", ["n1,n2"], 9), ("main", ["n"], 0)):
        with pytest.raises(BackendError, match="expected"):
            rest.dispatch("1", partition, nodes, priority)
    for address in ("ftp://x", "http://", "http://u:p@x", "http://x:port"):
        with pytest.raises(BackendError, match="expected a path"):
            Rest(address)
    with pytest.raises(BackendError, match="header"):
        Rest(daemon.path, token="a\nb")


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


@pytest.fixture
def rest(slurm: SlurmCluster) -> Iterator[Rest]:
    """The real daemon."""
    program = shutil.which("slurmrestd", path=slurm.env["PATH"])
    if program is None:
        pytest.skip("slurmrestd is not installed")
    path = slurm.folder / "run" / "rest.sock"
    path.unlink(missing_ok=True)
    env = {**slurm.env, "SLURMRESTD_SECURITY": "disable_user_check,disable_unshare_files,disable_unshare_sysv"}
    release = slurm.run(program, "-V").split()[-1].split(".")
    plugin = "openapi/v0.0.38" if (int(release[0]), int(release[1])) < (23, 11) else "slurmctld"
    options = ["-a", "rest_auth/local", "-s", plugin, f"unix:{path}"]
    with (slurm.folder / "log" / "rest.log").open("wb") as log:
        process = subprocess.Popen([program, *options], env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 20
        while True:
            with contextlib.suppress(BackendError):
                Rest(path).version()
                break
            assert process.poll() is None and time.monotonic() < limit, (slurm.folder / "log" / "rest.log").read_text()
            time.sleep(0.1)
        yield Rest(path)
    finally:
        process.terminate()
        process.wait(10)


def found(rest: Rest, job: str) -> dict[str, Any]:
    return next(row for row in rest.jobs() or [] if row["job_id"] == job)


def until(rest: Rest, job: str, state: str) -> dict[str, Any]:
    limit = time.monotonic() + 30
    while (row := found(rest, job))["job_state"] != state:
        assert time.monotonic() < limit, f"job {job} is {row['job_state']}, expected {state}"
        time.sleep(0.2)
    return row


def test_real_version_ping_and_finding(rest: Rest, slurm: SlurmCluster) -> None:
    if slurm.run("slurmctld", "-V").startswith("slurm-wlm 22.05"):
        assert rest.version() == "v0.0.38"
    assert rest.ping()
    assert finding(rest).level == "ok"


def test_real_jobs(rest: Rest, slurm: SlurmCluster) -> None:
    job = slurm.submit("--gres=gpu:2", "-J", "naïve", script=SLEEP)
    row = found(rest, job)
    assert (row["job_state"], row["partition"], row["name"]) == ("PENDING", "wait", "naïve")
    assert row["array_task_id"] is None and row["submit_time"] > 1.6e9
    assert rest.jobs(update_time=int(time.time()) + 3600) is None


def test_real_start_on_given_nodes(rest: Rest, slurm: SlurmCluster) -> None:
    one, two = slurm.submit("--gres=gpu:1", script=SLEEP), slurm.submit("--gres=gpu:8", script=SLEEP)
    assert rest.dispatch(one, "main", ["n5"], 4_294_960_000) is None
    assert rest.dispatch(two, "main", ["n2", "n3"], 4_294_959_999) is None
    assert until(rest, one, "RUNNING")["nodes"] == "n5"
    row = until(rest, two, "RUNNING")
    assert (row["nodes"], row["node_count"]) == ("n[2-3]", 2)


def test_real_start_of_a_task_of_an_array(rest: Rest, slurm: SlurmCluster) -> None:
    array = slurm.submit("--gres=gpu:1", "--array=1-3", script=SLEEP)
    assert rest.dispatch(f"{array}_2", "main", ["n4"], 4_294_960_000) is None
    assert until(rest, f"{array}_2", "RUNNING")["nodes"] == "n4"
    answer = rest.dispatch(f"{array}_3", "nowhere", ["n4"], 9)
    assert answer is not None and "Invalid partition name" in answer.message
    assert rest.dispatch(f"{array}_9", "main", ["n4"], 9) is not None


def test_real_parking(rest: Rest, slurm: SlurmCluster) -> None:
    full, job = slurm.submit("--gres=gpu:8", script=SLEEP), slurm.submit("--gres=gpu:1", script=SLEEP)
    assert rest.dispatch(full, "main", ["n1"], 4_294_960_000) is None
    until(rest, full, "RUNNING")
    assert rest.dispatch(job, "main", ["n1"], 4_294_959_999) is None
    assert found(rest, job)["partition"] == "main" and found(rest, job)["required_nodes"] == "n1"
    assert rest.park(job, "wait") is None
    row = found(rest, job)
    assert (row["job_state"], row["partition"], row["required_nodes"]) == ("PENDING", "wait", "")


def test_real_refusals(rest: Rest, slurm: SlurmCluster) -> None:
    job = slurm.submit("--gres=gpu:1", script=SLEEP)
    for name, partition, node, words in (
        ("999999", "main", "n1", "Invalid job id"),
        (job, "nowhere", "n1", "Invalid partition name"),
        (job, "main", "n99", "Invalid node name"),
    ):
        answer = rest.dispatch(name, partition, [node], 9)
        assert answer is not None and answer.job_id == name and words in answer.message
    assert found(rest, job)["partition"] == "wait"


def test_the_controller_away_is_an_error(rest: Rest, slurm: SlurmCluster) -> None:
    job = slurm.submit("--gres=gpu:1", script=SLEEP)
    slurm.kill("slurmctld")
    try:
        answers = Rest(rest.address, timeout_s=60)
        assert finding(answers).level == "bad"
        assert answers.version() == rest.version()
        with pytest.raises(BackendError, match="slurmrestd: "):
            answers.dispatch(job, "main", ["n1"], 9)
    finally:
        slurm.start_controller()
        slurm.wait_ready()
    assert rest.ping()
