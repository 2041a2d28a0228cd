"""The example in every policy's text runs as pasted (with fewer jobs)."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apportion.cli.app import app
from apportion.policies.registry import ALLOCATORS, ORDERS, PLACEMENTS, Entry, entries, parse_policy

ENTRIES = [entry for entry in entries() if entry.name in ORDERS | PLACEMENTS | ALLOCATORS]


def text_of(entry: Entry) -> str:
    module = inspect.getmodule(entry.load())
    return inspect.cleandoc(module.__doc__ or "") if module else ""


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.kind}-{e.name}")
def test_the_example_runs(entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = re.search(r"Example: `apportion (.+?)`", text_of(entry), re.DOTALL)
    assert found, "the module's text has no example"
    command = re.sub(r"jobs=\d+", "jobs=150", " ".join(found[1].split()))
    result = CliRunner().invoke(app, shlex.split(command.replace("&", "\\&")), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert entry.name in command


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.kind}-{e.name}")
def test_a_policy_says_what_it_does_in_a_line(entry: Entry) -> None:
    first, rest = text_of(entry).split("\n", 1)
    assert first.endswith(".")
    assert rest.startswith("\n"), "the first paragraph is one line"
    assert parse_policy(entry.name)
