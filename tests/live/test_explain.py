"""Why a pending job does not start now: the blocker in hand-made cases, and that reported changes do start it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import nodes, running, situation, situations, waiting

from apportion.engine.layout import EASY, SKIP, STRICT
from apportion.live.changes import Add, Ask, First, Open, Stop, parse_change
from apportion.live.decide import decide
from apportion.live.explain import Reason, explain
from apportion.live.situation import PENDING, RUNNING, Situation
from apportion.model.errors import InputError
from apportion.policies.registry import parse_policy

EIGHT: dict[str, Any] = {"gpus": 8, "gpu_model": "A100"}


def why(at: Situation, job: str, policy: str = "fifo", backfill: int = SKIP) -> Reason:
    """Return the answer, having verified every change that it names."""
    reason = explain(at, parse_policy(policy), job, backfill=backfill)
    for remedy in reason.remedies:
        changed = at
        for change in remedy.changes:
            changed = change.apply(changed)
        starts = [start.job_id for start in decide(changed, parse_policy(policy), backfill=backfill).starts]
        assert job in starts, str(remedy)
    assert reason.sentences() and reason.summary()["job_id"] == job
    return reason


def kind(reason: Reason) -> str:
    assert reason.blocker is not None
    return reason.blocker.kind


def test_not_enough_gpus() -> None:
    reason = why(situation(nodes(EIGHT), [running("a", 6, "n0"), waiting("x", 4)]), "x")
    assert kind(reason) == "capacity"
    assert "4 A100" not in reason.sentences()[1] and "2 GPUs it may use are free" in reason.sentences()[1]
    assert [h.job_id for h in reason.holders] == ["a"]
    assert reason.smallest is not None and reason.smallest.changes == (Ask("x", {"gpus": 2}),)
    assert any(remedy.changes == (Stop(("a",)),) for remedy in reason.remedies)
    assert any(isinstance(remedy.changes[-1], Add) for remedy in reason.remedies)


def test_scattered_gpus() -> None:
    reason = why(situation(nodes(EIGHT, EIGHT), [running("a", 6, "n0"), running("b", 5, "n1"), waiting("x", 4)]), "x")
    assert kind(reason) == "fragmentation"
    assert reason.smallest is not None and reason.smallest.changes == (Ask("x", {"gpus": 3}),)
    assert any(remedy.changes == (Stop(("b",)),) for remedy in reason.remedies)  # the smaller of the two


def test_cpu_beside_free_gpus() -> None:
    node = EIGHT | {"cpu_milli": 32000}
    jobs = [running("a", 1, "n0", cpu_milli=24000), waiting("x", 1, cpu_milli=16000)]
    reason = why(situation(nodes(node), jobs), "x")
    assert kind(reason) == "cpu"
    assert reason.smallest is not None and reason.smallest.changes == (Ask("x", {"cpu_milli": 8000}),)


def test_memory_beside_free_gpus() -> None:
    node = EIGHT | {"memory_mib": 64 * 1024}
    jobs = [running("a", 1, "n0", memory_mib=50 * 1024), waiting("x", 1, memory_mib=16 * 1024)]
    reason = why(situation(nodes(node), jobs), "x")
    assert kind(reason) == "memory"
    assert reason.smallest is not None and reason.smallest.changes == (Ask("x", {"memory_mib": 14 * 1024}),)


def test_another_gpu_model() -> None:
    at = nodes(EIGHT, {"gpus": 8, "gpu_model": "T4"})
    jobs = [running("a", 8, "n0", gpu_models=["A100"]), waiting("x", 2, gpu_models=["A100"])]
    reason = why(situation(at, jobs), "x")
    assert kind(reason) == "model"
    assert reason.smallest is not None and reason.smallest.changes == (Ask("x", {"gpu_models": ["A100", "T4"]}),)


def test_a_closed_node() -> None:
    jobs = [running("a", 6, "n0"), waiting("x", 8)]
    reason = why(situation(nodes(EIGHT, EIGHT, EIGHT), jobs, closed=["n1", "n2"]), "x")
    assert kind(reason) == "closed"
    assert any(remedy.changes == (Open(("n1",)),) for remedy in reason.remedies)


def test_nodes_of_groups() -> None:
    at = nodes(EIGHT | {"group": "red"}, EIGHT | {"group": "blue"})
    jobs = [running("a", 8, "n0", group="red"), waiting("x", 2, group="red")]
    assert kind(why(situation(at, jobs), "x")) == "group"


def test_its_turn_with_the_arithmetic_of_shares() -> None:
    jobs = [running("a", 6, "n0", user="ann"), waiting("x", 2, 300.0, user="ann"), waiting("y", 2, 400.0, user="bob")]
    at = situation(nodes(EIGHT), jobs, served={"user": {"ann": 3600.0, "bob": 1800.0}})
    reason = why(at, "x", "fair")
    assert kind(reason) == "turn"
    assert reason.blocker is not None and "y" in reason.blocker.text
    # 3600 GPU-seconds before, and 6 GPUs for 1000 s
    assert any("ann has received 2.7 GPU-h (1.0 before + 1.7" in text for text in reason.blocker.details)
    assert any("bob has received 0.5 GPU-h (0.5 before + 0.0" in text for text in reason.blocker.details)
    assert reason.smallest is not None and reason.smallest.changes == (First("x"),)


def test_behind_the_head_of_the_queue() -> None:
    jobs = [running("a", 6, "n0"), waiting("head", 8, 300.0), waiting("x", 2, 400.0, duration_s=9000.0)]
    at = situation(nodes(EIGHT), jobs)
    for backfill in (STRICT, EASY):
        reason = why(at, "x", backfill=backfill)
        assert kind(reason) == "backfill"
        assert reason.blocker is not None and "head" in reason.blocker.text
    assert why(at, "x", backfill=SKIP).state == "starting"


def test_what_never_fits() -> None:
    at = situation(nodes(EIGHT), [waiting("x", 2, gpu_models=["H100"])])
    reason = why(at, "x")
    assert kind(reason) == "impossible"
    assert reason.smallest is not None and reason.smallest.changes == (Ask("x", {"gpu_models": ["H100", "A100"]}),)


def test_going_first_and_stopping_another() -> None:
    jobs = [running("a", 8, "n0"), waiting("y", 8, 300.0), waiting("x", 8, 400.0)]
    reason = why(situation(nodes(EIGHT), jobs), "x")
    assert (First("x"), Stop(("a",))) in [remedy.changes for remedy in reason.remedies]


def test_jobs_that_run_start_or_are_not_there() -> None:
    at = situation(nodes(EIGHT), [running("abc", 4, "n0"), waiting("x", 4)])
    assert why(at, "abc").state == RUNNING
    assert why(at, "x").nodes == ("n0",)
    with pytest.raises(InputError, match="did you mean 'abc'"):
        explain(at, parse_policy("fifo"), "abd")


@settings(max_examples=15, deadline=None, derandomize=True)
@given(situations(), st.sampled_from(("fifo", "sjf", "fair", "smallest+worst-fit")), st.sampled_from((SKIP, STRICT)))
def test_reported_changes_start_the_job(at: Situation, policy: str, backfill: int) -> None:
    decided = {start.job_id for start in decide(at, parse_policy(policy), backfill=backfill).starts}
    for job in at.jobs.filter(at.jobs["state"] == PENDING)["job_id"][:3]:
        reason = why(at, job, policy, backfill)
        assert (reason.blocker is None) == (job in decided)
        if reason.blocker is not None and reason.blocker.kind in ("turn", "backfill"):
            assert any(remedy.changes == (First(job),) for remedy in reason.remedies)


def test_changes_as_people_write_them() -> None:
    at = situation(nodes(EIGHT | {"rack": "r1"}, EIGHT), [running("a", 8, "n0"), waiting("x", 4)])
    assert len(parse_change("+4x8:A100", at).apply(at).cluster) == 6
    assert parse_change("drain:rack=r1", at).apply(at).closed == {"n0"}
    assert parse_change("stop:a", at) == Stop(("a",))
    assert parse_change("x:gpus=2,memory_mib=1024", at) == Ask("x", {"gpus": 2, "memory_mib": 1024})
    for text, told in (
        ("drain:m0", "did you mean 'n0'"),
        ("x:gpu=2", "did you mean 'gpus'"),
        ("x:gpus=two", "expected a whole number"),
        ("y:gpus=2", "found no job 'y'"),
        ("nonsense", "expected +4x8:A100"),
        ("drain:rack=r2", "did you mean 'r1'"),
        ("+2x8+2x4", "nodes of one kind"),
    ):
        with pytest.raises(InputError) as error:
            parse_change(text, at)
        assert told in str(error.value)
