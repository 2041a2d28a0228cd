"""What models predict, against looking at every earlier job; and that they never look ahead."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apportion as ap
from apportion.model.errors import PolicyError
from apportion.predict.additive import Additive
from apportion.predict.look_up import BY_GROUP_AND_GPUS, UNKNOWN_S, LookUp
from apportion.predict.past import Past, mean_of
from apportion.predict.predictor import MODELS, make
from apportion.predict.rolling import Rolling
from apportion.study.accuracy import accuracy, pinball, replay

QUANTILES = (0.1, 0.9)
JOBS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from((1, 8)), st.integers(1, 50)), max_size=20
)
Row = tuple[str, str, int, int]


def frame(rows: list[Row], time: str) -> pl.DataFrame:
    """Return rows of user, group, GPUs and seconds as a table that calls the seconds `time`."""
    columns = {"user": pl.String, "group": pl.String, "gpus": pl.Int32, time: pl.Float64}
    same = {"tasks": 1, "gpu_milli": 1000, "cpu_milli": 0, "submit_s": 0.0}
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        **{name: pl.lit(value) for name, value in same.items()}, ended_s=pl.int_range(pl.len()).cast(pl.Float64)
    )


def slow_look_up(ended: list[Row], running: list[Row], job: Row) -> float:
    """Return the seconds run by jobs with the same key over the ends among them, by the first key that has an end."""
    for key in (lambda r: (r[1], r[0], r[2]), lambda r: (r[1], r[0]), lambda r: r[0], lambda r: None):
        ends = [r[3] for r in ended if key(r) == key(job)]
        if ends:
            return (sum(ends) + sum(r[3] for r in running if key(r) == key(job))) / len(ends)
    return float(sum(r[3] for r in running)) or UNKNOWN_S


@settings(deadline=None)
@given(JOBS, JOBS, JOBS, st.integers(0, 20))
def test_the_look_up(ended: list[Row], running: list[Row], jobs: list[Row], first: int) -> None:
    model = LookUp(BY_GROUP_AND_GPUS)
    model.fit(frame(ended[:first], "duration_s"), frame(running, "ran_s"))
    model.update(frame(ended[first:], "duration_s"))
    found = model.predict(frame(jobs, "duration_s").drop("duration_s"), frame(running, "ran_s"), QUANTILES)
    for job, value, low, high in zip(jobs, found["duration_s"], found["0.1"], found["0.9"], strict=True):
        assert math.isclose(value, slow_look_up(ended, running, job))
        assert low <= high
        if not ended:
            assert low == value == high


@settings(deadline=None)
@given(JOBS, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=20, max_size=20))
def test_what_was_known_at_submission(rows: list[Row], times: list[tuple[int, int]]) -> None:
    """The past of every job at once is the past of each job looked at alone."""
    submits = [float(submit) for submit, _ in times[: len(rows)]]
    ends = [submit + wait + row[3] for (submit, wait), row in zip(times, rows)]
    order = sorted(range(len(rows)), key=lambda i: ends[i])
    ended = frame([rows[i] for i in order], "duration_s").with_columns(
        submit_s=pl.Series([submits[i] for i in order], dtype=pl.Float64),
        ended_s=pl.Series([ends[i] for i in order], dtype=pl.Float64),
    )
    then = Past((("user",), ())).then(ended, ended.clear().rename({"duration_s": "ran_s"}))
    for level, same in zip(then, (lambda r, q: r[0] == q[0], lambda r, q: True)):
        for at, i in enumerate(order):
            others = [j for j in order if same(rows[j], rows[i])]
            over = [j for j in others if ends[j] < submits[i]]
            busy = [j for j in others if ends[j] >= submits[i] > ends[j] - rows[j][3]]
            known = level[at]
            assert known[0] == len(over) and known[6] == len(busy)
            assert math.isclose(known[1], sum(rows[j][3] for j in over))
            assert math.isclose(known[7], sum(submits[i] - (ends[j] - rows[j][3]) for j in busy), abs_tol=1e-9)
            if over:
                assert math.isclose(known[2], sum(math.log1p(rows[j][3]) for j in over) / len(over))
                assert known[5] == math.log1p(rows[over[-1]][3])


def test_nothing_ended_is_not_known() -> None:
    assert math.isnan(mean_of(np.zeros((1, 8)))[0])


@pytest.mark.parametrize(
    ("user", "name", "gpus", "expected"),
    [
        ("ann", "train", 1, 10.0),  # her own of that name and size
        ("ann", "train", 4, 20.0),  # of that name, any size
        ("bob", "train", 1, 20.0),  # of that name, anybody's
        ("ann", "train2", 1, 10.0),  # hers of the most similar name
        ("bob", "quite else", 1, 50.0),  # his own
        ("eve", "quite else", 1, 30.0),  # all
    ],
)
def test_the_rolling_estimate(user: str, name: str, gpus: int, expected: float) -> None:
    rows = [("ann", "", 1, 10), ("ann", "", 8, 30), ("bob", "", 1, 50)]
    ended = frame(rows, "duration_s").with_columns(job_name=pl.Series(["train", "train", "other"]))
    model = Rolling()
    model.update(ended)
    job = frame([(user, "", gpus, 0)], "duration_s").drop("duration_s").with_columns(job_name=pl.lit(name))
    assert model.predict(job, frame([], "ran_s"))["duration_s"].to_list() == [expected]


@pytest.fixture(scope="module")
def workload() -> ap.Workload:
    return ap.load("synthetic:philly?jobs=700&seed=3").workload


@pytest.mark.parametrize("model", MODELS)
def test_the_future_is_never_seen(workload: ap.Workload, model: str) -> None:
    """What ends after a moment can be anything: what was predicted up to then stays the same."""
    table = workload.table
    moment = float(table["submit_s"][500])
    late = (table["submit_s"] + table["duration_s"]) > moment
    changed = pl.when(late).then(moment - pl.col("submit_s").clip(upper_bound=moment) + 12_345.0)
    other = ap.Workload(table.with_columns(duration_s=changed.otherwise("duration_s")))
    settings_ = {"retrain_s": 3600.0 * 6, "update_s": 900.0}
    predicted = [replay(w, model, **settings_)["predicted_s"] for w in (workload, other)]
    known = len(predicted[0]) - int((table["submit_s"] > moment).sum())
    assert predicted[0][:known].to_list() == predicted[1][:known].to_list()
    assert predicted[0].to_list() != predicted[1].to_list()


@pytest.mark.parametrize("model", MODELS)
def test_a_steady_stream_is_learnt(model: str) -> None:
    """Of jobs that go on coming from the same people four in five lie in the interval."""
    random, n = np.random.default_rng(5), 1_500
    user = random.integers(0, 3, n)
    table = pl.DataFrame({
        "job_id": [str(i) for i in range(n)],
        "user": [f"u{i}" for i in user],
        "submit_s": 60.0 * np.arange(n),
        "duration_s": np.exp(random.normal(4 + 1.5 * user, 0.7)),
    })  # fmt: skip
    found = accuracy(replay(ap.Workload.of(table), model, retrain_s=86_400.0))
    assert found["rank_correlation"] > 0.7
    assert 0.74 < found["coverage_80"] < 0.86


def test_an_additive_model_shows_what_it_learnt(workload: ap.Workload) -> None:
    model = Additive()
    assert model.shapes().is_empty()
    replay(workload, model)
    shapes = model.shapes()
    assert shapes.height and (shapes["factor"] > 0).all()
    # one feature a tree: the whole is the sum of its parts
    assert all(len(set(_features_of(tree["tree_structure"]))) <= 1 for tree in model.model.dump_model()["tree_info"])


def _features_of(node: dict[str, object]) -> list[int]:
    if "split_feature" not in node:
        return []
    below = [_features_of(node[side]) for side in ("left_child", "right_child")]  # type: ignore[arg-type]
    return [node["split_feature"], *below[0], *below[1]]  # type: ignore[list-item]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from((0.1, 0.5, 0.9)))
def test_the_pinball_loss_is_least_at_the_quantile(values: list[float], quantile: float) -> None:
    true = np.array(values)
    best = float(np.quantile(true, quantile, method="inverted_cdf"))
    losses = [pinball(true, np.full(true.size, guess), quantile) for guess in (best, best - 1, best + 1)]
    assert losses[0] <= min(losses) + 1e-9


def test_an_unknown_model() -> None:
    with pytest.raises(PolicyError, match="unknown model 'gbtd'; did you mean 'gbdt'"):
        make("gbtd")
