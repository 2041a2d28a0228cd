"""Help that can be trusted, listings, and a program that starts at once."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commandline import Call

import apportion
from apportion.cli.app import app
from apportion.policies.registry import entries
from apportion.traces.downloads import DOWNLOADS
from apportion.traces.registry import FORMATS

COMMANDS = [str(command.name) for command in app.registered_commands]


def example_of(text: str) -> str:
    """Return the one line after `Example:`."""
    found = re.findall(r"^\s*Example: (.*)$", text, re.MULTILINE)
    assert len(found) == 1, text
    return str(found[0])


def smaller(example: str) -> list[str]:
    """Return an example's arguments with fewer jobs."""
    text = re.sub(r"jobs=\d{4,}", "jobs=300", example).replace("--job 3617", "--job 150")
    return shlex.split(re.sub(r"--jobs \d+", "--jobs 300", text))


def test_the_commands_of_the_contract_are_there() -> None:
    assert {"simulate", "compare", "generate", "policies", "traces", "fetch"} <= set(COMMANDS)


@pytest.mark.parametrize("command", ["", *(c for c in COMMANDS if c != "fetch")])
def test_help_has_an_example_that_works_as_pasted(cli: Call, command: str) -> None:
    shown = cli(*command.split(), "--help")
    assert (shown.code, shown.err) == (0, "")
    program, *arguments = smaller(example_of(shown.out))
    assert program == "apportion"
    assert command in ("", arguments[0])
    outcome = cli(*arguments)
    assert outcome.code == 0, outcome.err
    assert "apportion: " not in outcome.err


def test_the_example_of_fetch_asks_for_what_it_says(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def download(name: str, folder: Path, **rest: Any) -> Path:
        asked.append((name, str(folder)))
        return folder / name

    monkeypatch.setattr("apportion.traces.fetch.fetch", download)
    _, *arguments = shlex.split(example_of(cli("fetch", "--help").out))
    outcome = cli(*arguments)
    assert (outcome.code, outcome.out) == (0, "data/openb\n")
    assert asked == [("openb", "data")]
    assert outcome.err == DOWNLOADS["openb"].then + "\n"
    assert cli(*arguments, "--quiet").err == ""


def test_the_version_is_printed(cli: Call) -> None:
    assert cli("--version").out == f"apportion {apportion.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["simulat"], ["simulate"], ["simulate", "a", "--polcy", "fifo"], ["compare", "a"]]
)
def test_wrong_usage_is_two(cli: Call, arguments: list[str]) -> None:
    outcome = cli(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Traceback" not in outcome.err


def test_policies_lists_all_of_them(cli: Call) -> None:
    out = cli("policies").out
    for entry in entries():
        assert re.search(rf"^  {entry.name}: ", out, re.MULTILINE), entry.name


def test_traces_lists_every_format(cli: Call) -> None:
    out = cli("traces").out
    for name in FORMATS:
        assert re.search(rf"^  {name}: ", out, re.MULTILINE), name


def test_fetch_lists_what_there_is(cli: Call) -> None:
    out = cli("fetch").out
    for name in DOWNLOADS:
        assert re.search(rf"^  {name}: ", out, re.MULTILINE), name


def test_help_loads_neither_compiler_nor_tables() -> None:
    script = """
import json, sys
sys.argv = ["apportion", "--help"]
import apportion
from apportion.cli.app import main
try:
    main()
except SystemExit:
    pass
sys.stderr.write(json.dumps(sorted(m for m in ("numba", "polars", "numpy", "plotly", "yaml") if m in sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr) == []


def test_every_public_name_is_there() -> None:
    assert {"load", "simulate", "compare"} <= set(apportion.__all__)
    for name in apportion.__all__:
        assert getattr(apportion, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        _ = apportion.simulat
