"""Tables for the terminal: all numbers, nothing cut, plain when piped."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from apportion.report import print_comparison, print_summary, words
from apportion.study.result import Result


def plain(width: int = 80) -> tuple[Console, io.StringIO]:
    """Return a console that is no terminal and what it writes to."""
    out = io.StringIO()
    return Console(file=out, width=width), out


def test_comparison_is_plain_fits_and_marks_the_best(pair: list[Result]) -> None:
    console, out = plain()
    summaries = [r.summary() for r in pair]
    long = summaries[0] | {"policy": "shockwave[window=20]+consolidate", "rejected": 52, "energy_kwh": 1234.5}
    print_comparison([*summaries, long], console=console)
    text = out.getvalue()
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "\x1b" not in text and "…" not in text and "│" not in text and "─" not in text
    best = words.duration(summaries[1]["jct_s"]["mean"]).replace(" h", "h")
    assert f"*{best}" in text
    assert "rejected" in text and "1,23" in text


def test_columns_without_news_are_left_out(pair: list[Result]) -> None:
    console, out = plain()
    print_comparison([r.summary() | {"policy": r.policy[:3]} for r in pair], console=console)
    assert any(line.startswith("policy") for line in out.getvalue().splitlines())
    assert "rejected" not in out.getvalue() and "*1,000" not in out.getvalue()


def test_colours_on_a_terminal(pair: list[Result]) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system="standard")
    print_comparison([r.summary() for r in pair], console=console)
    assert "\x1b[1;32m" in out.getvalue() and "*" not in out.getvalue()


def test_same_policy_twice_is_told_apart(pair: list[Result]) -> None:
    console, out = plain()
    print_comparison([pair[0].summary(), pair[0].summary()], console=console)
    assert "fifo #1" in out.getvalue() and "fifo #2" in out.getvalue()


def test_summary_of_a_run(pair: list[Result]) -> None:
    console, out = plain()
    print_summary(pair[0], console=console)
    summary = pair[0].summary()
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert f"wait, longest {words.duration(summary['wait_s']['max'])}" in lines
    assert f"GPU utilisation {words.percent(summary['gpu_utilization'])}" in lines


def test_no_summaries() -> None:
    with pytest.raises(ValueError, match="found no summaries"):
        print_comparison([])
