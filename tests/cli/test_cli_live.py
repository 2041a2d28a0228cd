"""`live`, `top`, `why`, `predict`, `what-if` and `import` on the command line."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from commandline import Call

from apportion.live.memory import Memory

TRACE = "synthetic:philly?jobs=80&seed=1"
SACCT = """JobIDRaw|JobID|User|Account|Partition|QOS|Submit|Eligible|Start|End|ElapsedRaw|TimelimitRaw|State|ExitCode|NNodes|NCPUS|ReqTRES|AllocTRES|NodeList|Priority|Reason|Suspended
100|100|ann|nlp|gpu|normal|1000|1000|1100|1400|300|60|REQUEUED|0:0|1|8|cpu=8,gres/gpu=4,node=1|cpu=8,gres/gpu:a100=4,gres/gpu=4,node=1|n1|1|None|00:00:00
100|100|ann|nlp|gpu|normal|1400|1500|1600|2600|1000|60|COMPLETED|0:0|1|8|cpu=8,gres/gpu=4,node=1|cpu=8,gres/gpu:a100=4,gres/gpu=4,node=1|n2|1|None|00:00:00
101|101|bob|cv|gpu|normal|1200|1200|1300|1900|600|120|COMPLETED|0:0|2|16|cpu=16,gres/gpu=8,node=2|cpu=16,gres/gpu:a100=8,gres/gpu=8,node=2|n[3-4]|1|None|00:00:00
"""  # noqa: E501


@pytest.fixture
def simulated(cli: Call) -> str:
    """A controller's file with a picture of a busy simulated cluster."""
    done = cli(
        "live", "simulate", TRACE, "fifo", "--cluster", "2x8", "--cycles", 60, "--memory", "m.sqlite", "--log", "log",
        "--quiet",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert re.search(r"60 cycles, \d+ ms each", done.out)
    return "m.sqlite"


def test_the_log_is_a_json_object_a_line(cli: Call, simulated: str) -> None:
    lines = [json.loads(line) for line in Path("log").read_text().splitlines()]
    assert {line["event"] for line in lines} == {"command", "cycle"}
    start = next(line for line in lines if line["event"] == "command")
    assert start["action"] == "start" and start["outcome"] == "told" and start["nodes"]


def test_questions_about_the_queue_of_a_controller(cli: Call, simulated: str) -> None:
    memory = Memory.reading(simulated)
    picture = memory.picture()
    memory.close()
    assert picture is not None
    waiting = picture.jobs.filter(pl.col("state") == "waiting")["job_id"].to_list()
    assert waiting
    why = cli("why", waiting[-1], "--memory", simulated)
    assert why.code == 0 and f"job {waiting[-1]}" in why.out
    told = cli("predict", waiting[-1], "--memory", simulated, "--draws", 5, "--json", "-")
    assert json.loads(told.out)["job_id"] == waiting[-1]
    other = cli("what-if", "+2x8", "--memory", simulated, "--draws", 3, "--to", "sjf")
    assert "sjf instead of fifo" in other.out
    assert cli("why", "nonesuch", "--memory", simulated).complaint.startswith("apportion: found no job 'nonesuch'")
    assert "found nothing to change" in cli("what-if", "--memory", simulated).complaint
    assert "expected column=value" in cli("predict", "--request", "gpus=", "--memory", simulated).complaint
    assert "p95 wait" in cli("plan", "--memory", simulated, "--most", 2).out
    assert "expected the id of a job" in cli("predict", "--memory", simulated).complaint
    assert "expected a trace, or a live queue" in cli("plan").complaint
    look = cli("top", "--memory", simulated, "--once")
    assert look.code == 0 and "queue" in look.out and waiting[0] in look.out


def test_predictions_of_a_live_queue_are_kept(cli: Call, simulated: str) -> None:
    memory = Memory(simulated)
    memory.set_fact("policy", "fifo")
    picture = memory.picture()
    assert picture is not None
    waiting = picture.jobs.filter(pl.col("state") == "waiting")["job_id"].to_list()
    told = cli("predict", waiting[-1], "--memory", simulated, "--draws", 10, "--learn", 3)  # its controller is there
    assert told.code == 0 and "not calibrated yet" in told.out
    kept = {job for (job,) in memory.base.execute("select job_id from predictions")}
    assert waiting[-1] in kept and kept <= set(waiting)
    assert f"{len(kept)} of 4 predictions kept" in told.err
    assert cli("predict", "--learn", 2, "--memory", simulated, "--draws", 10).out == ""
    assert cli("predict", waiting[-1], "--memory", simulated, "--draws", 10, "--policy", "sjf").code == 0
    assert memory.base.execute("select count(*) from predictions where policy != 'fifo'").fetchone() == (0,)
    memory.close()
    assert "give --memory FILE" in cli("predict", "--learn", 2, "--live", TRACE).complaint


@pytest.mark.parametrize("command", [("why", "7"), ("predict", "7"), ("what-if", "+1x8")])
def test_a_question_needs_a_queue(cli: Call, command: tuple[str, ...]) -> None:
    outcome = cli(*command, *(("--live", "slurm", "--job", "7") if command[0] == "why" else ()))
    assert outcome.code == 2
    assert "expected" in outcome.complaint


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("live", "slrm", "fifo"), "did you mean 'slurm'?"),
        (("live", "slurm", "fifo", "sjf"), "expected one policy"),
        (("live", "slurm", "fivo"), "did you mean 'fifo'?"),
        (("live", "slurm", "fifo", "--poll", "0"), "expected 0.1 to 3600 seconds"),
        (("live", "slurm", "fifo", "--dry-run", "--shadow"), "expected one of them"),
        (("live", "slurm", "fifo", "--apply"), "--apply goes with"),
        (("live", "slurm", "fifo", "--backfill", "esay"), "did you mean 'easy'?"),
        (("live", "simulate", "fifo"), "expected simulate TRACE POLICY"),
        (("live", "shadow", "fifo"), "no such file"),
        (("top", "--once"), "no such file"),
        (("import", "slrm"), "expected slurm"),
        (("import", "slurm", "jobs.txt", "--sacct"), "expected one of them"),
        (("import", "slurm", "--sacct", "--since", "now; rm"), "expected a time such as"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes_are_said_in_a_line(cli: Call, arguments: tuple[str, ...], says: str) -> None:
    outcome = cli(*arguments)
    assert outcome.code in (1, 2)
    assert says in outcome.complaint


def test_without_slurm_one_cycle_says_so(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    outcome = cli("live", "slurm", "fifo", "--once", "--memory", "m")
    assert outcome.code == 1
    assert outcome.complaint == "apportion: sinfo: not found; is Slurm installed here?"


def test_two_controllers_of_one_memory(cli: Call) -> None:
    memory = Memory("m")
    outcome = cli("live", "slurm", "fifo", "--once", "--memory", "m")
    memory.close()
    assert outcome.code == 2
    assert "another controller is in charge" in outcome.complaint


def test_the_unit_has_few_rights(cli: Call) -> None:
    text = cli("live", "systemd", "las[quantum=10m]+best-fit", "--metrics-port", 9100, "--main", "gpu").out
    for line in ("User=apportion", "Restart=always", "NoNewPrivileges=yes", "ProtectSystem=strict"):
        assert line in text.splitlines()
    assert "live slurm 'las[quantum=10m]+best-fit' --memory" in text
    assert text.count("--metrics-port 9100 --main gpu") == 1


def test_sigterm_ends_the_service_cleanly(tmp_path: Path) -> None:
    """Nothing answers here, so it is patient until it is told to end."""
    arguments = ("live", "slurm", "fifo", "--memory", str(tmp_path / "m"), "--log", str(tmp_path / "log"))
    process = subprocess.Popen(
        [sys.executable, "-m", "apportion.cli.app", *arguments], env={"PATH": "/nonexistent", "HOME": str(tmp_path)}
    )
    while not (tmp_path / "log").is_file() or "trouble" not in (tmp_path / "log").read_text():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert events[0] == "began" and events[-1] == "ended"


def test_accounting_becomes_a_workload(cli: Call) -> None:
    Path("jobs.txt").write_text(SACCT, encoding="utf-8")
    outcome = cli("import", "slurm", "jobs.txt", "--out", "jobs.parquet")
    assert outcome.code == 0, outcome.err
    assert "1 jobs were requeued; their earlier attempts ran 5 min in all" in outcome.err
    assert "held back" in outcome.err and "for resources" in outcome.err
    table = pl.read_parquet("jobs.parquet").sort("job_id")
    assert table.select("job_id", "submit_s", "duration_s", "tasks", "gpus").rows() == [
        ("100", 0.0, 1000.0, 1, 4), ("101", 200.0, 600.0, 2, 4),
    ]  # fmt: skip
    assert table["source_earlier_s"].to_list() == [300.0, 0.0]
    assert cli("compare", "native:jobs.parquet", "fifo", "sjf", "--cluster", "4x8", "--quiet").code == 0


def test_top_without_textual_says_what_to_install(cli: Call, simulated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    monkeypatch.setitem(sys.modules, "textual.app", None)
    monkeypatch.delitem(sys.modules, "apportion.live.top", raising=False)
    assert "pip install 'apportion[top]'" in cli("top", "--memory", simulated).complaint


def test_textual_is_an_extra() -> None:
    if importlib.util.find_spec("textual") is None:
        pytest.skip("textual is not installed: `apportion top` has only --once")
