"""The page of the report on a workload: it opens alone, draws what was found and says what it means."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pages import plain, plots, without_library
from rich.console import Console

from apportion.model import ApportionError
from apportion.model.cluster import Cluster
from apportion.model.trace import Trace
from apportion.model.workload import Workload
from apportion.report.characterize_drawings import DRAWINGS
from apportion.report.characterize_findings import findings
from apportion.report.characterize_html import QUESTIONS, write_characterization
from apportion.report.characterize_left_out import left_out
from apportion.report.characterize_terminal import print_characterization
from apportion.study.characterize.report import Report, analyses, characterize
from apportion.study.characterize.section import Section
from apportion.traces.registry import load

TOPICS = {key: question.key for question in QUESTIONS for key in question.sections}


@pytest.fixture(scope="module")
def beside() -> Report:
    """A generated trace with users and groups on its own cluster, beside two published ones."""
    return characterize(load("synthetic:philly?jobs=3000&seed=1"), against=["philly", "pai"])


@pytest.fixture(scope="module")
def rich() -> Report:
    """A trace that says nearly everything: waits, models, CPU, shared GPUs, use, gangs."""
    rng = np.random.default_rng(1)
    jobs = 600
    gpus = rng.choice([0, 1, 1, 2, 8], jobs)
    frame = pl.DataFrame(
        {
            "submit_s": np.sort(rng.uniform(0, 6 * 86_400, jobs)),
            "duration_s": rng.lognormal(8, 2, jobs),
            "gpus": gpus,
            "gpu_milli": np.where(gpus == 1, rng.choice([250, 1000], jobs), 1000),
            "cpu_milli": 12_000 * np.maximum(gpus, 1),
            "memory_mib": 40_000,
            "tasks": rng.choice([1, 1, 4], jobs),
            "user": rng.choice(["ada", "bob", "eve"], jobs),
            "group": rng.choice(["red", "blue"], jobs),
            "status": rng.choice(["completed", "failed", "cancelled"], jobs),
            "gpu_type": rng.choice(["A100", "T4"], jobs),
            "kind": rng.choice(["train", "serve"], jobs),
            "wait_s": rng.exponential(900, jobs) * np.maximum(gpus, 0.2),
            "gpu_util": rng.uniform(0, 100, jobs),
        }
    )
    nodes = pl.DataFrame(
        {
            "node": [f"n{i}" for i in range(8)],
            "gpu_model": ["A100"] * 6 + ["T4"] * 2,
            "gpus": [8] * 6 + [4] * 2,
            "cpu_milli": 64_000,
            "memory_mib": 512_000,
        }
    )
    return characterize(Trace(Workload.of(frame)), Cluster.of(nodes))


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Counts of jobs, hourly for three weeks."""
    hours = np.arange(21 * 24)
    lines = [
        f"2020-04-{1 + h // 24:02d} {h % 24:02d}:00:00,{h % 24},{8 * (h % 24)},0,0,0,0,{h % 24}" for h in hours.tolist()
    ]
    head = "time,submit_gpu_job,submit_gpu_num,start_gpu_job,start_gpu_num,end_gpu_job,end_gpu_num,submit_job_all"
    path = tmp_path_factory.mktemp("counts") / "counts.csv"
    path.write_text("\n".join([head, *lines]))
    return characterize(load(f"venus-counts:{path}"))


def page(report: Report, folder: Path) -> str:
    """Return the page without the library of plots."""
    path = folder / "report.html"
    write_characterization(report, path)
    return without_library(path)


def words_of(text: str) -> str:
    """Return what is to be read on the page."""
    return plain(re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.S))


@pytest.mark.parametrize("name", ["beside", "rich", "series"])
def test_loads_nothing_from_a_network(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    text = page(request.getfixturevalue(name), tmp_path)
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=\"(?!data:)", text)
    assert "{{" not in text and "nan" not in re.findall(r"\w+", words_of(text))
    for link in re.findall(r'href="#([\w-]+)"', text):
        assert f'id="{link}"' in text


@pytest.mark.parametrize("name", ["beside", "rich", "series"])
def test_every_sentence_stands_on_the_page_and_every_plot_has_one(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    report: Report = request.getfixturevalue(name)
    text = page(report, tmp_path)
    body = plain(text[text.index('id="metrics"') : text.index('id="report-data"')]).replace("`", "")
    said = Counter(sentence.replace("`", "") for section in report.sections for sentence in section.sentences)
    for sentence, times in said.items():
        assert body.count(sentence) == times, sentence
    captions = re.findall(r'<figure[^>]*data-plot="[\w-]+">(?:<h3>.*?</h3>)?<p class="caption">(.*?)</p>', text)
    assert len(captions) == len(plots(text)) >= 2
    assert all(plain(caption).endswith((".", ".)")) for caption in captions)


def test_everything_that_can_be_drawn_is(rich: Report, tmp_path: Path) -> None:
    drawn = set(plots(page(rich, tmp_path)))
    for key in ("durations-cdf", "sizes-by_size", "gangs-ccdf", "gpu_types-by_model", "machines-models", "rhythm-days",
                "users-lorenz", "groups-by_group", "observed_waits-cdf", "observed_waits-by_size", "states-by_state",
                "utilisation-cdf", "requests-per_gpu", "sharing-gpus", "recurrence-repeats", "seasonality-day",
                "power-watts"):  # fmt: skip
        assert key in drawn, key


def test_curves_are_the_tables(beside: Report, tmp_path: Path) -> None:
    drawn = plots(page(beside, tmp_path))
    table = beside["durations"].tables["cdf"]
    lines = {trace["name"]: trace for trace in drawn["durations-cdf"]["figures"][0]["traces"]}
    assert list(lines) == ["jobs", "GPU time", "philly", "pai"]
    for name, column in (("jobs", "jobs"), ("GPU time", "gpu_time"), ("philly", "philly"), ("pai", "pai")):
        known = table.filter(pl.col(column).is_not_null())
        np.testing.assert_allclose(lines[name]["x"], known["duration_s"], rtol=1e-3)
        np.testing.assert_allclose(lines[name]["y"], 100 * known[column], rtol=1e-3, atol=1e-9)
    bars = drawn["sizes-by_size"]["figures"][0]["traces"]
    by_size = beside["sizes"].tables["by_size"]
    np.testing.assert_allclose(bars[0]["x"], 100 * by_size["share"], rtol=1e-3)
    np.testing.assert_allclose(bars[1]["x"], 100 * by_size["gpu_time_share"], rtol=1e-3)
    watts = beside["power"].tables["watts"]
    areas = drawn["power-watts"]["figures"][0]["traces"]
    np.testing.assert_allclose(areas[0]["y"], watts["busy_w"] / 1000, rtol=1e-3)
    assert [area["stackgroup"] for area in areas] == ["all", "all"]


def test_others_have_one_colour_in_every_plot_and_none_of_the_traces_own(beside: Report, tmp_path: Path) -> None:
    colours: dict[str, set[int]] = {}
    for plot in plots(page(beside, tmp_path)).values():
        for trace in plot["figures"][0]["traces"]:
            if "colour" in trace["meta"]:
                colours.setdefault(trace["name"].partition(":")[0], set()).add(trace["meta"]["colour"])
    assert len(colours["philly"]) == len(colours["pai"]) == 1
    assert not (colours["philly"] | colours["pai"]) & (colours["jobs"] | colours["GPU time"])


def test_the_overview_stands_beside_the_published(beside: Report, tmp_path: Path) -> None:
    text = page(beside, tmp_path)
    head = re.search(r"<thead>(.*?)</thead>", text)
    assert head and [plain(cell) for cell in re.findall(r"<th.*?</th>", head[1])] == ["number", "here", "philly", "pai"]
    row = re.search(r'<tr><th scope="row">with GPUs</th>(.*?)</tr>', text)
    assert row and [plain(cell) for cell in re.findall(r"<td>.*?</td>", row[1])] == ["3,000", "112,956", "1,037,085"]
    assert "Philly: Microsoft, 2017" in words_of(text)


def test_the_headline_is_the_weightiest_finding(beside: Report, tmp_path: Path) -> None:
    found = findings(beside, TOPICS)
    assert len(found) == 3 and len({TOPICS.get(one.section) for one in found}) == 3
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)
    text = page(beside, tmp_path)
    headline = re.search(r"<h1>(.*?)</h1>", text)
    assert headline and plain(headline[1]) == found[0].short
    assert [plain(item) for item in re.findall(r"<li><a.*?</a><b>(.*?)</b>", text)] == [one.short for one in found[1:]]


def report_of(*sections: Section) -> Report:
    """Return a report of these sections."""
    return Report("x", sections)


def test_findings_are_weighed_by_what_they_concern() -> None:
    overview = Section("overview", "", {"span_s": 1e6, "span_of_95pct_s": 9e5, "offered_load": 0.6}, {}, ("Room.",))
    states = Section("states", "", {"failed_gpu_time_share": 0.1, "cancelled_gpu_time_share": 0.1}, {}, ("Ends.",))
    waits = Section("observed_waits", "", {"part_of_stay": 0.3}, {}, ("Waits.",))
    found = findings(report_of(overview, states, waits), TOPICS)
    assert [(one.section, round(one.weight, 3)) for one in found] == [
        ("overview", 0.4), ("observed_waits", 0.3), ("states", 0.2)
    ]  # fmt: skip
    assert found[0].short == "Jobs ask for 60 % of the GPUs, 40 % stay free on average"
    # of a load that is mostly in the last days averages over all days say little
    late = replace(overview, numbers={**overview.numbers, "span_of_95pct_s": 1e5}, sentences=("All within 27.8 h.",))
    assert "27.8 h" in findings(report_of(late), TOPICS)[0].short
    assert findings(report_of(Section("states", "", {"failed_gpu_time_share": 0.001}, {}, ("Ends.",))), TOPICS) == []


def test_what_lacks_the_same_stands_in_one_row(beside: Report, series: Report, tmp_path: Path) -> None:
    found = {one.why: one for one in left_out(beside)}
    waits = next(one for why, one in found.items() if why.startswith("no column wait_s"))
    assert waits.titles == ("Waits as recorded",) and waits.needs == "column wait_s, or start_s"
    assert found["the trace is a list of jobs, not a series of counts"].needs == "a series"
    jobs = next(one for one in left_out(series) if one.needs == "a list of jobs")
    assert len(jobs.titles) > 10
    card = page(series, tmp_path).split('id="lacking"')[1].split("</section>")[0]
    assert card.count("<tr>") == 1 + len(left_out(series))
    skipped = [section.title for section in series.sections if section.skipped]
    assert sorted(title for one in left_out(series) for title in one.titles) == sorted(skipped)


def test_a_series_has_numbers_on_the_page_and_in_the_terminal(series: Report, tmp_path: Path) -> None:
    said = words_of(page(series, tmp_path))
    total = series["arrivals_series"].numbers["jobs"]
    assert f"{total:,.0f}" in said and "Hours of the day" in said
    out = io.StringIO()
    print_characterization(series, console=Console(file=out, width=100))
    assert re.search(rf"^jobs +{total:,.0f}$", out.getvalue(), re.M)


def test_dates_where_the_trace_has_them(beside: Report, tmp_path: Path) -> None:
    assert beside.origin is not None
    with_dates, without = (
        plots(page(report, tmp_path))["rhythm-days"]["figures"][0]["layout"]["xaxis"]
        for report in (beside, replace(beside, origin=None))
    )
    assert with_dates["type"] == "date" and "since the first submission" in without["title"]["text"]


def test_every_analysis_has_its_place() -> None:
    keys = {analysis.key for analysis in analyses()}
    assert keys == {"overview", *TOPICS}
    assert set(DRAWINGS) <= keys


def test_a_section_of_ones_own_is_shown(beside: Report, tmp_path: Path) -> None:
    mine = Section("mine", "Licences", {"used": 1.0}, {}, ("All licences are in use.",))
    text = page(replace(beside, sections=(*beside.sections, mine)), tmp_path)
    assert "Licences" in words_of(text) and "All licences are in use." in words_of(text)


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    nasty = "</script><script>alert(1)</script>{{plotly}}&\"'"
    frame = pl.DataFrame(
        {"submit_s": [0.0, 9e4, 2e5], "duration_s": [5.0, 6, 9e5], "gpus": [1, 1, 2], "group": [nasty, nasty, "b"]}
    )
    report = replace(characterize(Trace(Workload.of(frame))), trace=nasty)
    text = page(report, tmp_path)
    assert "alert(1)</script>" not in text
    assert "&lt;script&gt;" in json.dumps(plots(text)["groups-by_group"])


def test_one_job_gives_a_page(tmp_path: Path) -> None:
    frame = pl.DataFrame({"submit_s": [0.0], "duration_s": [5.0], "gpus": [1]})
    text = page(characterize(Trace(Workload.of(frame))), tmp_path)
    assert "nan" not in re.findall(r"\w+", words_of(text))


def test_is_written_whole_or_not_at_all(series: Report, tmp_path: Path) -> None:
    with pytest.raises(ApportionError, match="cannot write"):
        write_characterization(series, tmp_path / "missing" / "report.html")
    write_characterization(series, tmp_path / "a.html")
    write_characterization(series, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
