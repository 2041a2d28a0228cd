"""Shockwave decides on a real cluster: it is shown the jobs before every decision."""

from __future__ import annotations

from situations import nodes, running, situation, waiting

from apportion.live.decide import decide
from apportion.policies.registry import parse_policy


def test_it_starts_what_fits_and_asks_to_be_asked_again() -> None:
    cluster = nodes({"gpus": 8}, {"gpus": 8})
    policy = parse_policy("shockwave[since=submit]")
    jobs = [running("a", 8, "n0"), waiting("b", 8), waiting("c", 8, submit_s=900.0)]
    first = decide(situation(cluster, jobs), policy)
    assert len(first.starts) - len(first.stops) == 1
    assert first.wake_s == 1120.0
    # another job is there the next time: its row is new, the others keep their names
    later = decide(situation(cluster, [*jobs, waiting("d", 8, submit_s=1050.0)], now_s=1120.0), policy)
    assert later.wake_s == 1240.0
