"""The unit that runs the controller, as systemd itself reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from apportion.live.systemd import unit


@pytest.mark.parametrize("policy", ["sjf+best-fit", "las[quantum=10m]+first-fit"])
def test_systemd_finds_nothing_wrong_with_the_unit(policy: str, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    # the program of another machine is not here
    lines = unit(policy, ["--main", 'a 100% "gpu" $x']).splitlines()
    command = next(i for i, line in enumerate(lines) if line.startswith("ExecStart="))
    assert "100%%" in lines[command] and "$$x" in lines[command]
    lines[command] = f"ExecStart=/bin/true {lines[command].split(' ', 1)[1]}"
    file = tmp_path / "apportion.service"
    file.write_text("\n".join(lines))
    done = subprocess.run([program, "verify", str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
