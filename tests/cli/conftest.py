"""The command line, run in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commandline import Call, Outcome

from apportion.cli.app import main


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Run `main()` with arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["apportion", *map(str, arguments)])
        code: object = 0
        capsys.readouterr()
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
        written = capsys.readouterr()
        assert isinstance(code, int)
        return Outcome(code, written.out, written.err)

    return call
