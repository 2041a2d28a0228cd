"""The report on a workload: what holds for any trace, and what it says where the answer is known."""

from __future__ import annotations

import math
import re
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.model.cluster_spec import parse_cluster
from apportion.model.errors import InputError, UsageError
from apportion.model.trace import Trace
from apportion.model.workload import Workload
from apportion.study.characterize import figures
from apportion.study.characterize.published import DURATION_S, NAMES, get_reference
from apportion.study.characterize.report import Report, analyses, characterize
from apportion.study.characterize.section import Analysis, Section
from apportion.study.characterize.subject import lacking, prepare
from apportion.traces.registry import load

MINE = (
    "overview", "machines", "durations", "sizes", "observed_waits", "states", "users", "groups", "rhythm", "gangs",
    "requests", "gpu_types",
)  # fmt: skip


def looked(trace: Trace, cluster: str | None = None) -> dict[str, Section]:
    """Return the sections on the table of jobs alone: nothing is replayed."""
    subject = prepare(trace, parse_cluster(cluster) if cluster else None)
    return {
        a.key: Section(a.key, a.title, skipped=why) if (why := lacking(subject, a)) else a.look(subject)
        for a in analyses()
        if a.key in MINE
    }


def trace_of(origin: datetime | None = None, **columns: object) -> Trace:
    """Return a trace of these columns."""
    return Trace(Workload.of(pl.DataFrame(columns, strict=False), origin=origin))


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Return any small trace, with and without the columns that may lack."""
    number = draw(st.integers(1, 40))

    def rows(values: st.SearchStrategy[object]) -> list[object]:
        return draw(st.lists(values, min_size=number, max_size=number))

    columns: dict[str, object] = {
        "submit_s": rows(st.floats(0, 3e6)),
        "duration_s": rows(st.floats(1, 1e6)),
        "gpus": rows(st.integers(0, 64)),
        "tasks": rows(st.integers(1, 4)),
    }
    optional: dict[str, st.SearchStrategy[object]] = {
        "user": st.sampled_from(["", "ann", "bob", "cy"]),
        "group": st.sampled_from(["", "nlp", "vision"]),
        "status": st.sampled_from([None, "completed", "cancelled", "failed", "censored"]),
        "source_wait_s": st.one_of(st.none(), st.floats(0, 1e5)),
        "cpu_milli": st.integers(0, 64_000),
        "memory_mib": st.integers(0, 1 << 20),
        "gpu_type": st.sampled_from(["", "T4", "V100"]),
        "used_cpu_milli": st.one_of(st.none(), st.floats(0, 64_000)),
    }
    columns |= {name: rows(values) for name, values in optional.items() if draw(st.booleans())}
    return trace_of(draw(st.sampled_from([None, datetime(2020, 4, 1, 13, 30)])), **columns)


@settings(deadline=None, max_examples=60)
@given(traces(), st.sampled_from([None, "4x8:V100", "pool:100"]))
def test_shares_sum_to_one_and_curves_rise(trace: Trace, cluster: str | None) -> None:
    for section in looked(trace, cluster).values():
        assert bool(section.skipped) != bool(section.sentences), section.key
        assert all(math.isfinite(value) for value in section.numbers.values()), section.numbers
        for name, value in section.numbers.items():
            assert not name.endswith("_share") or -1e-9 <= value <= 1 + 1e-9, (name, value)
        for name, table in section.tables.items():
            if name in ("cdf", "lorenz"):
                for column in table.columns[1:]:
                    values = table[column].to_numpy()
                    assert (np.diff(values) >= -1e-9).all() and values.min() >= 0 and values.max() <= 1 + 1e-9
            for share in ("share", "gpu_time_share"):
                if share in table.columns and name != "exact" and table.height:
                    total = table[share].sum()
                    assert math.isclose(total, 1, abs_tol=1e-9) or (share == "gpu_time_share" and total == 0)
        for text in section.sentences:
            assert text.endswith((".", ".)")) and not re.search(r"\b(nan|None|inf)\b", text), text


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.5, 1e6), min_size=1, max_size=60), st.data())
def test_quantiles_by_key_are_those_of_numpy(values: list[float], data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=len(values), max_size=len(values)))
    table = figures.by(figures.in_order(pl.DataFrame({"k": keys, "v": values}), "v", ["k"]), "k", "v")
    assert table["jobs"].sum() == len(values)
    for row in table.iter_rows(named=True):
        mine = [v for v, k in zip(values, keys) if k == row["k"]]
        for level in figures.LEVELS:
            assert row[figures.name(level)] == pytest.approx(np.quantile(mine, level))
        assert row["mean"] == pytest.approx(np.mean(mine)) and row["max"] == max(mine)


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50).filter(any), st.floats(0, 1))
def test_the_share_of_the_largest_is_the_lorenz_curve(held: list[int], part: float) -> None:
    amounts = np.array(held, dtype=np.float64)
    curve = np.concatenate([[0], np.cumsum(np.sort(amounts)[::-1])]) / amounts.sum()
    expected = np.interp(part * len(held), np.arange(len(held) + 1), curve)
    assert figures.share_of_top(amounts, part) == pytest.approx(expected)
    assert -1e-9 <= figures.gini(amounts) < 1


def test_gini_and_dispersion_at_their_ends() -> None:
    assert figures.gini(np.array([5.0, 5.0, 5.0])) == pytest.approx(0)
    assert figures.gini(np.array([0.0] * 99 + [7.0])) == pytest.approx(0.99)
    assert figures.dispersion(np.array([4.0] * 10)) == 0
    assert math.isnan(figures.dispersion(np.zeros(10)))


def test_what_a_trace_does_not_say_is_named() -> None:
    sections = looked(trace_of(submit_s=[0.0, 5.0], duration_s=[10.0, 20.0]))
    for key, column in (
        ("observed_waits", "wait_s"), ("states", "status"), ("users", "user"), ("groups", "group"), ("gangs", "tasks"),
        ("gpu_types", "model"), ("machines", "cluster"), ("requests", "cpu_milli"),
    ):  # fmt: skip
        assert column in sections[key].skipped, key


def test_groups_in_the_place_of_users_are_no_users() -> None:
    names = ["a", "b", "a"]
    sections = looked(trace_of(submit_s=[0.0, 1.0, 2.0], duration_s=[1.0] * 3, user=names, group=names))
    assert "groups in its place" in sections["users"].skipped
    assert "users" not in sections["overview"].numbers and sections["groups"].numbers["groups"] == 2


def test_sizes_count_the_whole_gang() -> None:
    trace = trace_of(
        submit_s=[0.0, 1.0, 2.0, 3.0], duration_s=[100.0] * 4, tasks=[1, 4, 2, 1], gpus=[1, 8, 1, 0],
        gpu_milli=[250, 1000, 1000, 0],
    )  # fmt: skip
    sections = looked(trace, "10x8")
    table = sections["sizes"].tables["by_size"]
    assert table["size"].to_list() == ["0", "<1", "2", "17-32"]
    assert sections["sizes"].numbers["wider_than_node_share"] == pytest.approx(1 / 3)
    assert sections["gangs"].numbers["gang_task_share"] == pytest.approx(6 / 8)
    assert sections["durations"].tables["by_size"]["jobs"].sum() == 4
    assert sections["overview"].numbers["gpu_jobs"] == 3


def test_hours_and_weekdays_are_those_of_the_clock() -> None:
    origin = datetime(2020, 4, 1, 13, 30)  # a Wednesday
    hours = [0.0, 0.4, 1.0, 24.0, 24.0 * 5]
    sections = looked(trace_of(origin, submit_s=[h * 3600 for h in hours], duration_s=[1.0] * 5))
    tables = sections["rhythm"].tables
    assert dict(tables["hours"].filter(pl.col("jobs") > 0).select("hour", "jobs").rows()) == {13: 4, 14: 1}
    assert tables["weekdays"]["jobs"].to_list() == [1, 0, 3, 1, 0, 0, 0]
    assert tables["weekdays"]["days"].to_list() == [1, None, 1, 1, 1, 1, 1]
    assert tables["days"]["date"][0].isoformat() == "2020-04-01" and tables["days"].height == 6
    assert tables["hours"]["weight"].mean() == pytest.approx(1)


def test_waits_are_those_of_the_source() -> None:
    trace = trace_of(submit_s=[0.0, 10.0], duration_s=[60.0, 100.0], start_s=[30.0, 210.0])
    numbers = looked(trace)["observed_waits"].numbers
    assert (numbers["mean_s"], numbers["max_s"], numbers["longer_than_run_share"]) == (115.0, 200.0, 0.5)


def test_requests_against_use_and_nodes() -> None:
    trace = trace_of(
        submit_s=[0.0, 1.0], duration_s=[10.0, 10.0], gpus=[1, 1], cpu_milli=[8000, 16_000], memory_mib=[1024, 3072],
        used_cpu_milli=[4000.0, 20_000.0],
    )  # fmt: skip
    numbers = looked(trace)["requests"].numbers
    assert numbers["cores_per_gpu_asked"] == 12 and numbers["memory_gib_per_gpu_asked"] == 2
    assert numbers["cores_over_request_share"] == 0.5 and numbers["cores_used_part"] == 1


def test_bound_jobs_and_models_that_are_not_there() -> None:
    trace = trace_of(submit_s=[0.0, 100.0, 200.0], duration_s=[100.0] * 3, gpu_models=[["V100"], [], ["A100", "H100"]])
    section = looked(trace, "1x8:V100+1x8:T4")["gpu_types"]
    assert section.numbers["constrained_share"] == pytest.approx(2 / 3)
    rows = {row["model"]: row for row in section.tables["by_model"].iter_rows(named=True)}
    assert (rows["any"]["capacity_gpus"], rows["V100"]["capacity_gpus"], rows["A100|H100"]["capacity_gpus"]) == (
        16,
        8,
        0,
    )
    assert any("can never start" in text for text in section.sentences)


def report_on(spec: str, against: tuple[str, ...] = ()) -> Report:
    return characterize(load(spec), against=against)


def test_every_analysis_has_a_name_of_its_own() -> None:
    keys = [analysis.key for analysis in analyses()]
    assert len(set(keys)) == len(keys) and set(MINE) <= set(keys)
    assert all(isinstance(a, Analysis) and a.title and a.needs for a in analyses())


@pytest.fixture(scope="module")
def venus() -> Trace:
    """A generated trace long enough to come near the curves it was calibrated to."""
    found = load("synthetic:venus?jobs=30000&seed=3")
    return Trace(found.workload, None, report=found.report, spec=found.spec)


def test_a_trace_like_a_cluster_is_near_its_curves_and_far_from_others(venus: Trace) -> None:
    numbers = {section.key: section.numbers for section in characterize(venus, against=("venus", "pai")).sections}
    assert numbers["durations"]["gap_to_venus"] < 0.03 < numbers["durations"]["gap_to_pai"]
    assert numbers["sizes"]["gap_to_venus"] < 0.03 < numbers["sizes"]["gap_to_pai"]
    assert numbers["sizes"]["gap_to_venus_gpu_time"] < 0.05
    assert numbers["states"]["gap_to_venus"] < 0.03


def test_published_curves_stand_in_the_tables(venus: Trace) -> None:
    report = characterize(venus, against=NAMES)
    curve = report["durations"].tables["cdf"]
    at = dict(curve.select("duration_s", "philly").rows())
    assert at[1024.0] == pytest.approx(0.549) and at[2.0] is None
    assert dict(report["sizes"].tables["cdf"].select("gpus", "pai_gpu_time").rows())[1.0] == pytest.approx(0.681)
    assert report["overview"].tables["against"].columns == [
        "number",
        "here",
        "seren",
        "kalos",
        "philly",
        "helios",
        "pai",
    ]
    assert report["rhythm"].tables["hours"]["earth"].mean() == pytest.approx(1)
    assert report["users"].tables["lorenz"].filter(pl.col("users_pct") == 5)["uranus"].item() == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_published_curves_rise(name: str) -> None:
    reference = get_reference(name)
    assert 19 <= len(reference.durations) <= len(DURATION_S)
    assert list(reference.durations) == sorted(reference.durations)
    jobs = [share for share, _ in reference.sizes.values()]
    time = [share for _, share in reference.sizes.values() if share is not None]
    assert jobs == sorted(jobs) and time == sorted(time) and max(jobs + time + list(reference.durations)) <= 100
    assert not reference.states or 99 <= sum(reference.states) <= 101
    assert len(reference.hours) in (0, 24)


def test_names_and_empty_traces_are_checked(venus: Trace) -> None:
    with pytest.raises(UsageError, match="did you mean 'philly'"):
        get_reference("phily")
    with pytest.raises(InputError, match="found no jobs"):
        characterize(Trace(Workload(venus.workload.table.clear(), None, "none")))
