"""`--rules`, and what the commands say of runs in rounds."""

from __future__ import annotations

import json

import polars as pl
import pytest
from commandline import Call

TRACE = "synthetic:philly?jobs=60&load=1.3&seed=2"


def test_rules_change_the_run_and_the_summary_tells_of_rounds(cli: Call) -> None:
    runs = {}
    for rules in ("gavel", "shockwave", None):
        flags = ("--rules", rules) if rules else ()
        outcome = cli("simulate", TRACE, "-p", "gandiva-fair", "--cluster", "pool:24", *flags, "--json", "-", "-q")
        assert outcome.code == 0, outcome.err
        runs[rules] = json.loads(outcome.out)
    assert len({run["jct_s"]["mean"] for run in runs.values()}) == 3
    for run in runs.values():
        assert {"count", "decisions", "jct_s", "envy", "busy"} <= set(run["rounds"])
        assert {"worst", "unfair_fraction"} <= set(run["ftf"])
        assert set(run["engine"]) == {"events", "wall_s", "decide_s", "version"}


def test_tables_hold_the_ratios(cli: Call) -> None:
    assert cli("simulate", TRACE, "-p", "round-robin", "--out", "out", "-q").code == 0
    jobs = pl.read_parquet("out/jobs.parquet")
    assert jobs["ftf"].drop_nulls().len() == jobs.filter(pl.col("gpus") > 0)["jct_s"].drop_nulls().len()
    assert "ftf_contention" in jobs.columns


def test_a_comparison_shows_fairness(cli: Call) -> None:
    outcome = cli("compare", TRACE, "fifo", "gandiva-fair", "-q")
    assert outcome.code == 0
    assert "FTF" in outcome.out and "unfair" in outcome.out


@pytest.mark.parametrize(
    ("policy", "rules", "code", "said"),
    [
        ("gandiva-fair", "gavle", 2, "found rules 'gavle', expected gavel, shockwave; did you mean 'gavel'?"),
        ("fifo", "gavel", 1, "fifo: rules gavel are for allocators; this is an order"),
    ],
)
def test_mistakes(cli: Call, policy: str, rules: str, code: int, said: str) -> None:
    outcome = cli("simulate", TRACE, "-p", policy, "--rules", rules, "-q")
    assert outcome.code == code
    assert said in outcome.err


def test_why_tells_of_turns(cli: Call) -> None:
    jobs = pl.DataFrame({"job_id": ["a", "b"], "submit_s": [0, 0], "duration_s": [700, 700], "gpus": [1, 1]})
    jobs.write_csv("jobs.csv")
    flags = ("native:jobs.csv", "-p", "gandiva-fair", "--cluster", "1x1", "--rules", "gavel", "--job", "b")
    told = cli("why", *flags, "-q")
    assert told.code == 0, told.err
    assert "a share of 50.0 % of the time" in told.out
    assert "every GPU it could use went to others before it" in told.out
    assert "it decides every 6 min" not in told.out  # it never had room and no turn
    turns = json.loads(cli("why", *flags, "--json", "-", "-q").out)["turns"]
    assert sum(turn["rounds"] for turn in turns) == turns[0]["causes"]["full"] == 2
