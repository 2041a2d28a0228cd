"""Why a job was not given a turn: worlds in which one constraint binds, and what it was owed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.engine.rules import GAVEL
from apportion.engine.view import Decision, Shares, View
from apportion.model.units import format_duration
from apportion.policies.placements.best_fit import BestFit
from apportion.policies.protocol import Policy
from apportion.study.why import explain
from apportion.study.why_rounds import FULL, NOTHING, NOWHERE, PASSED, PENDING, SCATTERED, WIDE


@dataclass
class Fixed:
    """An allocator that gives the first jobs to arrive these shares, others none."""

    shares: tuple[float, ...]
    round_s: float = 10.0

    def decide(self, view: View) -> Shares:
        given = [self.shares[j] if j < len(self.shares) else 0.0 for j in view.jobs.tolist()]
        return Shares(np.array(given)[:, None] * np.ones(len(view.models)))


def play(policy: str | Policy, cluster: str, rules: str | None = None, **columns: list[object]) -> ap.Result:
    return ap.simulate(
        ap.Workload.of(pl.DataFrame(columns)), ap.parse_cluster(cluster), policy, check=True, rules=rules
    )


def scripted(*shares: float) -> Policy:
    return Policy("scripted", Fixed(shares), BestFit())


def test_gpus_that_went_to_others() -> None:
    result = play("round-robin[quantum=10]", "1x1", submit_s=[0.0, 0.0], duration_s=[20.0, 20.0], gpus=[1, 1])
    (turn,) = explain(result, "1").turns[:1]
    assert turn.share is None
    assert sum(t.rounds for t in explain(result, "1").turns) == 2
    assert turn.causes == {FULL: 2}
    assert turn.owed_s is None


def test_too_wide_for_what_was_left() -> None:
    policy = scripted(1.0, 0.1)
    result = play(policy, "1x8", submit_s=[0.0, 0.0], duration_s=[15.0, 10.0], gpus=[6, 4])
    turns = explain(result, "1", policy=policy).turns
    assert turns[0].causes == {WIDE: 2}  # the other goes on until 15
    assert "fewer than its 4 GPUs were left" in turns[0].text


def test_owed_is_the_share_of_the_time_less_what_was_received() -> None:
    # a share of 0.4 from second 0 on; at 0, 10 and 20 the other job, of which the share is 1, has the only GPU
    policy = scripted(1.0, 0.4)
    result = play(policy, "1x1", submit_s=[0.0, 0.0], duration_s=[100.0, 100.0], gpus=[1, 1])
    mine = result.placements.filter(pl.col("job") == 1)["start_s"].to_list()
    why = explain(result, "1", policy=policy)
    first = why.turns[0]
    waited = [start for start in result.facts["rounds"].starts if start < result.jobs["end_s"][0]]
    last = max(at for at in waited if at not in mine and not _runs(result, 1, at))
    ran = sum(min(e, last) - s for s, e in _spans(result, 1) if s < last)
    assert first.share == {"": pytest.approx(0.4)}
    assert first.owed_s == pytest.approx(0.4 * last - ran)


def _spans(result: ap.Result, job: int) -> list[tuple[float, float]]:
    return result.placements.filter(pl.col("job") == job).select("start_s", "end_s").rows()


def _runs(result: ap.Result, job: int, at: float) -> bool:
    return any(start <= at < end for start, end in _spans(result, job))


def test_chosen_but_scattered() -> None:
    policy = scripted(1.0, 1.0, 0.5)
    result = play(policy, "2x8", submit_s=[0.0] * 3, duration_s=[10.0] * 3, gpus=[5, 5, 6])
    assert explain(result, "2", policy=policy).turns[0].causes == {SCATTERED: 1}


def test_no_share_until_shares_are_computed_anew() -> None:
    # shares are computed at 0 and, for the second job, at 360; the third comes at 400 and waits for the next time
    result = play("gandiva-fair", "1x8", "gavel", submit_s=[0.0, 10.0, 400.0], duration_s=[3600.0] * 3, gpus=[2, 2, 2])
    anew = 360 * math.ceil((360 + GAVEL.reset_s) / 360)
    assert result.jobs["start_s"].to_list() == [0.0, 360.0, anew]
    (turn,) = explain(result, "2").turns
    assert turn.causes == {PENDING: (anew - 720) / 360}
    assert turn.share is None
    every = format_duration(GAVEL.reset_s)
    assert turn.text == f"no share yet: shares are computed anew when jobs come or go, at most every {every}"


def test_a_share_of_nothing() -> None:
    policy = scripted(1.0, 0.0)
    result = play(policy, "1x1", submit_s=[0.0, 0.0], duration_s=[30.0, 10.0], gpus=[1, 1])
    assert explain(result, "1", policy=policy).turns[0].causes == {NOTHING: 3}


def test_a_share_on_a_model_it_cannot_run_on() -> None:
    @dataclass
    class Wrong:
        """Gives all its time on the first model."""

        round_s: float = 10.0

        def decide(self, view: View) -> Shares:
            return Shares(np.array([[1.0, 0.0]] * view.jobs.size), only=True)

    policy = Policy("wrong", Wrong(), BestFit())
    jobs = pl.DataFrame({"submit_s": [0.0], "duration_s": [10.0], "gpus": [1], "gpu_models": [["T4"]]})
    cluster = ap.parse_cluster("1x8:A100+1x8:T4")
    result = ap.simulate(ap.Workload.of(jobs), cluster, policy, until=50.0, check=True)
    (turn,) = explain(result, "0", policy=policy).turns
    assert turn.causes == {NOWHERE: 5}
    assert "does not run on (it cannot run on A100)" in turn.text


def test_shares_that_were_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apportion.engine.round_log.KEPT", 1)
    policy = scripted(1.0, 0.4)
    result = play(policy, "1x1", submit_s=[0.0, 0.0], duration_s=[20.0, 20.0], gpus=[1, 1])
    assert result.facts["rounds"].given == []
    assert {turn.share is None for turn in explain(result, "1", policy=policy).turns} == {True}


def test_room_but_not_chosen() -> None:
    @dataclass
    class Idle:
        """Gives nobody anything before second 20."""

        round_s: float = 10.0

        def decide(self, view: View) -> Decision:
            return Decision(view.gpus * (view.now_s >= 20))

    policy = Policy("idle", Idle(), BestFit())
    result = play(policy, "1x8", submit_s=[0.0], duration_s=[10.0], gpus=[1])
    assert explain(result, "0", policy=policy).turns[0].causes == {PASSED: 2}


def test_an_order_has_no_turns_and_an_allocator_tells_of_them() -> None:
    jobs = {"submit_s": [0.0, 0.0], "duration_s": [20.0, 20.0], "gpus": [1, 1]}
    order = explain(play("fifo", "1x1", **jobs), "1")
    assert order.turns == []
    assert "turns" not in order.to_dict()
    turns = explain(play("gandiva-fair[round=10]", "1x1", **jobs), "1")
    assert any(line.startswith("in the 2 rounds it waited") for line in turns.lines())
    assert sum(turn["rounds"] for turn in turns.to_dict()["turns"]) == 2
