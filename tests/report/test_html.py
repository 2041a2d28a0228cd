"""The web page: opens alone, says what the summaries say, marks the best, stays small."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from report_runs import run, workload

from apportion.model import ApportionError
from apportion.report import words, write_report
from apportion.report.measures import MEASURES
from apportion.study.result import Result


def page(results: list[Result], folder: Path, **options: Any) -> str:
    """Return the page of `results` without the library of plots."""
    path = folder / "report.html"
    write_report(results, path, **options)
    text = path.read_text(encoding="utf-8")
    start = text.index("plotly.js v")
    return text[:start] + text[text.index("</script>", start) :]


def data(text: str) -> dict[str, Any]:
    """Return what the page's script draws."""
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', text, re.S)
    assert found
    parsed: dict[str, Any] = json.loads(found[1])
    return parsed


def test_loads_nothing_from_a_network(pair: list[Result], tmp_path: Path) -> None:
    text = page(pair, tmp_path)
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=\"(?!data:)", text)
    assert not re.search(r"@import|url\(", text)
    assert "showSendToCloud: false" in text
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_names_every_policy_and_what_was_run(pair: list[Result], tmp_path: Path) -> None:
    text = page(pair, tmp_path)
    for name in ("fifo", "sjf+best-fit", "synthetic:random", "16 nodes of V100", "1,000"):
        assert name in text
    assert data(text)["policies"] == ["fifo", "sjf+best-fit"]


def test_table_shows_the_summaries_and_marks_the_best(pair: list[Result], tmp_path: Path) -> None:
    text = page(pair, tmp_path)
    summaries = [r.summary() for r in pair]
    rows = dict(re.findall(r'<tr data-metric="([^"]+)">(.*?)</tr>', text, re.S))
    checked = 0
    for measure in MEASURES:
        values = [measure.of(s) for s in summaries]
        if None in values:
            continue
        cells = re.findall(
            r"<td class=\"(.*?)\".*?<span class=value>(.*?)</span>(?:<span class=\"ch|<i>)",
            rows[".".join(measure.path)],
        )
        known = [v for v in values if v is not None]
        top = min(known) if measure.lower_is_better else max(known)
        for value, (state, shown) in zip(known, cells, strict=True):
            assert shown.endswith(measure.write(value))
            assert ("✓" in shown) == (value == top) == state.startswith("best")
            checked += 1
    assert checked == 2 * 15


def test_headline_is_the_finding(pair: list[Result], tmp_path: Path) -> None:
    text = page(pair, tmp_path)
    found = re.search(r"<h1>(.*?)</h1>", text)
    assert found
    plain = re.sub(r"<[^>]+>", "", found[1]).replace("\u00a0", " ")
    fifo, sjf = (r.summary() for r in pair)
    cut = words.percent(1 - sjf["jct_s"]["mean"] / fifo["jct_s"]["mean"])
    longer = words.percent(sjf["wait_s"]["max"] / fifo["wait_s"]["max"] - 1)
    expected = f"sjf+best-fit cuts mean completion time by {cut} against fifo; the longest wait grows by {longer}"
    assert plain == expected


def test_distributions_hold_the_quantiles_of_the_jobs(pair: list[Result], tmp_path: Path) -> None:
    plots = data(page(pair, tmp_path))["plots"]
    for key, column in (("jct", "jct_s"), ("wait", "wait_s")):
        for result, trace in zip(pair, plots[key]["figures"][0]["traces"], strict=True):
            at = int(np.argmin(np.abs(np.array(trace["y"]) - 50)))
            expected = max(float(np.quantile(result.jobs[column], trace["y"][at] / 100)), 1.0)
            assert trace["x"][at] == pytest.approx(expected, rel=0.05, abs=1)
            assert trace["y"] == sorted(trace["y"]) and trace["x"] == sorted(trace["x"])


def test_heat_map_holds_the_allocated_gpu_time(pair: list[Result], tmp_path: Path) -> None:
    figures = data(page(pair, tmp_path))["plots"]["nodes"]["figures"]
    assert len(figures) == 2
    for result, figure in zip(pair, figures, strict=True):
        z = figure["traces"][0]["z"]
        cells = np.frombuffer(base64.b64decode(z["bdata"]), dtype=np.uint8)
        assert z["shape"] == "16, 400" and cells.size == 16 * 400
        used = float((result.placements["gpus"] * (result.placements["end_s"] - result.placements["start_s"])).sum())
        span = max(float(r.jobs["end_s"].max()) for r in pair) - float(result.jobs["submit_s"].min())  # type: ignore[arg-type]
        assert cells.mean() / 100 == pytest.approx(used / (128 * span), abs=0.005)


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    nasty = "</script><script>alert(1)</script>{{plotly}}&\"'"
    one = run(workload(50), policy="fifo")
    jobs = one.jobs.with_columns(group=pl.Series([nasty, "b"] * 25))
    text = page([dataclasses.replace(one, policy=nasty, trace=nasty, jobs=jobs)], tmp_path, title=nasty)
    assert "alert(1)</script>" not in text
    assert data(text)["policies"] == [nasty]


def test_one_run_has_no_legend_and_no_marks(pair: list[Result], tmp_path: Path) -> None:
    text = page(pair[:1], tmp_path)
    assert 'class="chip' not in text and "✓" not in text.split("report-data")[0]
    rows = dict(re.findall(r'data-metric="([^"]+)"><dt>.*?</dt><dd title=".*?">(.*?)</dd>', text))
    assert rows["wait_s.max"] == words.duration(pair[0].summary()["wait_s"]["max"])


def test_runs_that_did_little(tmp_path: Path) -> None:
    work = workload(40)
    empty = dataclasses.replace(work, table=work.table.clear())
    for results in (
        [run(empty)],
        [run(work, until=-1.0)],
        [run(work, until=3600.0), run(work, until=3600.0)],
    ):
        assert "<h1>" in page(results, tmp_path)
    assert "fifo #2" in page([run(work), run(work)], tmp_path)


def test_pools_share_a_heat_map_and_one_group_is_not_split(tmp_path: Path) -> None:
    work = workload(300, gpus=64, dated=True)
    runs = [run(work, "pool:64", policy) for policy in ("fifo", "sjf")]
    runs = [dataclasses.replace(r, jobs=r.jobs.with_columns(group=pl.lit("g"))) for r in runs]
    plots = data(page(runs, tmp_path))["plots"]
    assert "group" not in plots
    assert [f["traces"][0]["y"] for f in plots["nodes"]["figures"]] == [["fifo", "sjf"]]
    axis = plots["timeline"]["figures"][0]["layout"]["xaxis"]
    assert axis["type"] == "date"
    assert axis["range"][0] == pytest.approx(
        1000 * (datetime(2024, 3, 4) - datetime(1970, 1, 1)).total_seconds() + 1000 * float(work.table["submit_s"][0])
    )


def test_many_jobs_make_no_large_file(tmp_path: Path) -> None:
    work = workload(50_000, gpus=512)
    runs = [run(work, "64x8", policy) for policy in ("fifo", "sjf")]
    write_report(runs, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 6_000_000


def test_is_written_whole_or_not_at_all(pair: list[Result], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")
    broken = dataclasses.replace(pair[0], placements=pair[0].placements.drop("node"))
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        write_report([broken], path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(ApportionError, match="cannot write"):
        write_report(pair[:1], tmp_path / "missing" / "report.html")


def test_same_runs_give_the_same_bytes(pair: list[Result], tmp_path: Path) -> None:
    write_report(pair, tmp_path / "a.html")
    write_report(pair, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
