"""`apportion predict TRACE --model M`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

TRACE = "synthetic:philly?jobs=600&seed=1"


def test_a_table_and_a_file(cli: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    done = cli(
        "predict", TRACE, "--model", "mean", "--model", "additive", "--explain", "--retrain", "1d", "--json", out
    )
    assert done.code == 0
    assert "80 % interval" in done.out and "factors on the looked-up run time" in done.out
    found = json.loads(out.read_text())
    assert [one["model"] for one in found] == ["mean", "additive"]
    for one in found:
        assert 0 < one["jobs"] <= 600 and 0 <= one["coverage_80"] <= 1
        assert sum(part["jobs"] for part in one["by_gpus"].values()) == one["jobs"]
    assert found[1]["shapes"]


def test_mistakes(cli: Callable[..., Any]) -> None:
    for arguments, code, message in (
        ((TRACE, "--model", "oracle"), 1, "unknown model 'oracle'"),
        ((TRACE, "--model", "mean", "--explain"), 2, "--explain prints"),
        ((TRACE, "--model", "mean", "--retrain", "0"), 2, "--retrain"),
        (("--model", "mean"), 2, "give a trace"),
        (("synthetic:philly?jobs=5", "--model", "mean"), 1, "expected enough"),
        ((TRACE, "--explain"), 2, "--explain"),
    ):
        done = cli("predict", *arguments)
        assert (done.code, message in done.err) == (code, True), done.err
