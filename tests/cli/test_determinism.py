"""The same question has the same answer, to the byte, however many runs go on at once."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from commandline import Call

TRACE = "synthetic:philly?jobs=250&load=1.2&seed=3"
POLICIES = ["fifo+random", "random", "fair", "srtf+random", "las[quantum=1h]+spread", "round-robin[quantum=2h]"]
FAILURES = """time_s,node,state
3600,node-0000,down
3600,node-0001,down
9000,node-0000,up
20000,node-0001,up
"""


def answers(folder: Path) -> dict[str, bytes]:
    """Return the files of a comparison without the times it took."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}
    summaries = json.loads((folder / "summary.json").read_text())
    for summary in summaries:
        for measured in ("wall_s", "decide_s"):
            summary["engine"].pop(measured, None)
    return found | {"summary.json": json.dumps(summaries).encode()}


@pytest.mark.parametrize("backfill", ["skip", "strict"])
def test_the_same_bytes_with_any_number_of_workers(cli: Call, backfill: str) -> None:
    Path("failures.csv").write_text(FAILURES)
    how = ["--cluster", "6x8", "--failures", "failures.csv", "--checkpoint-interval", "600", "--seeds", "2", "-q"]
    how += ["--backfill", backfill, "--checkpoint-cost", "helios", "--check"]
    for folder, workers in (("one", 1), ("two", 2), ("again", 2)):
        outcome = cli("compare", TRACE, *POLICIES, *how, "--workers", workers, "--out", folder)
        assert outcome.code == 0, outcome.err
    one = answers(Path("one"))
    assert len(one) == 2 * 2 * len(POLICIES) + 1
    assert one == answers(Path("two"))
    assert one == answers(Path("again"))
    restarts = [pl.read_parquet(path)["restarts"].sum() for path in Path("one").glob("*/jobs.parquet")]
    assert max(restarts) > 0


def test_easy_backfill_gives_the_same_bytes(cli: Call) -> None:
    for folder, workers in (("one", 1), ("two", 2)):
        how = ["--cluster", "6x8", "--backfill", "easy", "--workers", workers, "--out", folder, "-q"]
        assert cli("compare", TRACE, "fifo", "sjf+random", "qssf", *how).code == 0
    assert answers(Path("one")) == answers(Path("two"))


def test_a_run_of_its_own_equals_the_run_in_a_comparison(cli: Call) -> None:
    assert cli("compare", TRACE, "fifo+random", "sjf", "--seeds", "2", "--out", "all", "-q").code == 0
    assert cli("simulate", TRACE, "-p", "fifo+random", "--seed", "1", "--out", "one", "-q").code == 0
    for name in ("jobs.parquet", "timeline.parquet"):
        assert Path("one", name).read_bytes() == Path("all/fifo+random-seed=1", name).read_bytes()


@pytest.mark.parametrize(("policy", "column"), [("fifo+random", "nodes"), ("random", "start_s")])
def test_another_seed_is_another_draw(cli: Call, policy: str, column: str) -> None:
    drawn = []
    for seed in (0, 1):
        assert cli("simulate", TRACE, "--cluster", "6x8", "-p", policy, "--seed", seed, "--out", seed, "-q").code == 0
        drawn.append(pl.read_parquet(f"{seed}/jobs.parquet")[column].to_list())
    assert drawn[0] != drawn[1]
