"""The page and the tables of the packing experiment: they say what the study found, and open alone."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import plain, plots, without_library
from rich.console import Console

from apportion.model import ApportionError
from apportion.report.fill_figures import families
from apportion.report.fill_html import write_fill_report
from apportion.report.fill_terminal import print_fill, print_fills
from apportion.study.fill_compare import FillStudy, compare_fills
from apportion.traces.registry import load

PLACEMENTS = ["worst-fit", "best-fit", "random"]


@pytest.fixture(scope="module")
def study() -> FillStudy:
    """Two workloads of one family and another, three placements, four seeds."""
    specs = ["synthetic:philly?jobs=200", "synthetic:philly?jobs=300", "synthetic:venus?jobs=200"]
    found = compare_fills([load(spec) for spec in specs], PLACEMENTS, seeds=4)
    names = ["some:d?v=big9", "some:d?v=big10", "some:d?v=other"]
    runs = [replace(run, trace=names[number // 12]) for number, run in enumerate(found.runs)]
    return replace(found, traces=names, runs=runs)


def one_trace(study: FillStudy, policies: int = 3) -> FillStudy:
    """Return the part of `study` about its first workload and its first placements."""
    return FillStudy(study.traces[:1], study.policies[:policies], study.seeds, study.runs[: 4 * policies])


def page(study: FillStudy, folder: Path) -> str:
    """Return the page without the library of plots."""
    path = folder / "report.html"
    write_fill_report(study, path)
    return without_library(path)


def lines(plot: dict[str, Any], variant: int) -> list[dict[str, Any]]:
    """Return the lines of a plot."""
    return [trace for trace in plot["figures"][variant]["traces"] if trace["meta"]["role"] == "line"]


def test_loads_nothing_from_a_network(study: FillStudy, tmp_path: Path) -> None:
    text = page(study, tmp_path)
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=\"(?!data:)", text)
    assert "{{" not in text
    for link in re.findall(r'href="#([\w-]+)"', text):
        assert f'id="{link}"' in text


def test_curves_are_medians_over_seeds(study: FillStudy, tmp_path: Path) -> None:
    drawn = plots(page(study, tmp_path))
    columns = {"amount": "frag_pct", "ratio": "frag_ratio_pct", "failed": "failed"}
    for key, column in columns.items():
        for t in range(3):
            for p, trace in enumerate(lines(drawn[key], t)):
                expected = np.nanmedian(study.values(column)[t, p], axis=0)[trace["x0"] :]
                shown = np.array([np.nan if value is None else value for value in trace["y"]])
                np.testing.assert_allclose(shown, expected, atol=0.0051)
                assert trace["meta"]["policy"] == p
    assert lines(drawn["failed"], 0)[0]["x0"] == lines(drawn["unallocated"], 0)[0]["x0"] == 75


def test_unallocated_is_a_median_in_a_band_of_the_middle_half(study: FillStudy, tmp_path: Path) -> None:
    figure = plots(page(study, tmp_path))["unallocated"]["figures"][1]
    values = study.unallocated()[1, 2, :, 75:]
    band, line = figure["traces"][4:6]
    assert (band["meta"], line["meta"]) == ({"policy": 2, "role": "band"}, {"policy": 2, "role": "line"})
    assert band["x"] == [*range(75, 131), *range(130, 74, -1)]
    np.testing.assert_allclose(band["y"][:56], np.quantile(values, 0.75, axis=0), atol=0.0051)
    np.testing.assert_allclose(band["y"][:55:-1], np.quantile(values, 0.25, axis=0), atol=0.0051)
    np.testing.assert_allclose(line["y"], np.median(values, axis=0), atol=0.0051)
    assert [
        trace["meta"]["role"] for trace in plots(page(one_seed(study), tmp_path))["unallocated"]["figures"][0]["traces"]
    ] == ["line"] * 3


def one_seed(study: FillStudy) -> FillStudy:
    """Return the part of `study` with its first seed."""
    return replace(study, seeds=study.seeds[:1], runs=study.runs[::4])


def test_bars_are_means_with_whiskers_and_families_stand_together(study: FillStudy, tmp_path: Path) -> None:
    figure = plots(page(study, tmp_path))["bars"]["figures"][0]
    values = study.unallocated()[..., 100]
    for p, bar in enumerate(figure["traces"]):
        np.testing.assert_allclose(bar["y"], values[:, p].mean(axis=-1), atol=0.0051)
        np.testing.assert_allclose(bar["error_y"]["array"], values[:, p].std(axis=-1, ddof=1), atol=0.0051)
        assert bar["meta"] == {"policy": p, "role": "bar"}
    assert figure["layout"]["xaxis"]["ticktext"] == ["big9", "big10", "other"]
    first, second, third = figure["layout"]["xaxis"]["tickvals"]
    assert third - second > second - first
    assert "bars" not in plots(page(one_trace(study), tmp_path))


def test_families_are_by_letters() -> None:
    names = ["default", "cpu050", "gpushare40", "cpu100", "7"]
    assert families(names) == [("default", [0]), ("cpu", [1, 3]), ("gpushare", [2]), ("7", [4])]


def test_the_headline_is_the_finding(study: FillStudy, tmp_path: Path) -> None:
    part = one_trace(study)
    found = re.search(r"<h1>(.*?)</h1>", page(part, tmp_path))
    assert found
    mean = part.unallocated()[0, :, :, 100].mean(axis=-1)
    best, second = np.argsort(mean)[:2]
    saved = round((mean[second] - mean[best]) * 480 / 100)
    assert plain(found[1]) == (
        f"{PLACEMENTS[best]} leaves {mean[best]:.1f} % of the GPUs unallocated when demand reaches capacity, "
        f"{PLACEMENTS[second]} {mean[second]:.1f} %: {saved} GPUs more in use"
    )


def test_with_several_workloads_the_headline_counts_them(study: FillStudy, tmp_path: Path) -> None:
    text = page(study, tmp_path)
    found = re.search(r"<h1>(.*?)</h1>", text)
    assert found
    means = study.unallocated()[..., 100].mean(axis=-1)
    best = int(np.argmin(means.mean(axis=0)))
    wins = int((means.argmin(axis=1) == best).sum())
    where = "all 3" if wins == 3 else f"{wins} of 3"
    said = f"{PLACEMENTS[best]} leaves the fewest GPUs unallocated on {where} workloads: {means[:, best].mean():.1f} %"
    assert plain(found[1]).startswith(said)
    assert [plain(button) for button in re.findall(r"<button[^>]*data-variant[^>]*>(.*?)</button>", text)] == [
        "big9",
        "big10",
        "other",
    ]
    assert len({caption for plot in plots(text).values() for caption in plot["captions"]}) >= 9


def test_every_plot_has_a_sentence(study: FillStudy, tmp_path: Path) -> None:
    for part in (study, one_trace(study), one_trace(study, 1), one_seed(study)):
        text = page(part, tmp_path)
        captions = re.findall(r'<figure data-plot="\w+">.*?<p class="caption">(.*?)</p>', text, re.S)
        assert len(captions) == len(plots(text))
        for caption in captions:
            words = plain(caption)
            assert words[0].isupper() or words.startswith(tuple(PLACEMENTS)), words
            assert words.endswith(".") and "nan" not in words, words


def test_the_table_marks_the_least(study: FillStudy, tmp_path: Path) -> None:
    text = page(study, tmp_path)
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', text)
    assert [name for name, _ in rows] == ["big9", "big10", "other"] * 2
    means = np.concatenate([study.unallocated()[..., pct].mean(axis=-1) for pct in (100, 130)])
    for (_, cells), expected in zip(rows, means, strict=True):
        shown = re.findall(r"<span class=value>(.*?)</span><span", cells)
        assert [plain(cell).removeprefix("✓") for cell in shown] == [f"{value:.2f}" for value in expected]
        assert ["✓" in cell for cell in shown] == np.isclose(expected, expected.min()).tolist()


def test_a_single_run_has_tiles_and_no_marks(study: FillStudy, tmp_path: Path) -> None:
    text = page(one_seed(one_trace(study, 1)), tmp_path)
    assert 'class="tiles"' in text and 'class="chip' not in text and "✓" not in text.split("report-data")[0]
    idle = study.unallocated()[0, 0, 0, 100]
    assert f"<dt>unallocated at 100 %</dt><dd>{idle:.2f}</dd>" in text


def test_names_cannot_break_the_page(study: FillStudy, tmp_path: Path) -> None:
    nasty = "</script><script>alert(1)</script>{{plotly}}&\"'"
    part = one_trace(study, 2)
    runs = [replace(run, trace=nasty) for run in part.runs]
    text = page(replace(part, traces=[nasty], policies=[nasty, "b"], runs=runs), tmp_path)
    assert "alert(1)</script>" not in text


@pytest.mark.parametrize("reached", [1e-6, 0.4, 1.0, 2.0])
@pytest.mark.parametrize("policies", [1, 2])
def test_any_load_gives_a_page_and_a_table(tmp_path: Path, reached: float, policies: int) -> None:
    found = compare_fills([load("synthetic:philly?jobs=50")], PLACEMENTS[:policies], load=reached)
    assert "nan" not in plain(page(found, tmp_path).split("<script")[0])
    for printed in (print_fill, print_fills):
        out = io.StringIO()
        printed(found, console=Console(file=out, width=100))
        assert "nan" not in out.getvalue()


def test_is_written_whole_or_not_at_all(study: FillStudy, tmp_path: Path) -> None:
    with pytest.raises(ApportionError, match="cannot write"):
        write_fill_report(study, tmp_path / "missing" / "report.html")
    write_fill_report(study, tmp_path / "a.html")
    write_fill_report(study, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_table_of_one_run(study: FillStudy) -> None:
    out = io.StringIO()
    print_fill(one_seed(study), console=Console(file=out, width=100))
    rows = [line.split() for line in out.getvalue().splitlines()]
    shown = {int(row[0]): row[1:] for row in rows if row and row[0].isdecimal() and len(row) == 5}
    assert list(shown) == [60, 80, 90, 95, 100, 110, 120, 130]
    failed, idle = study.values("failed")[0, 0, 0], study.unallocated()[0, 0, 0]
    for pct, (unallocated, *_, without_place) in shown.items():
        assert (unallocated, without_place) == (f"{idle[pct]:.2f}", f"{failed[pct]:,.0f}")
    assert re.search(r"[\d,]+ tasks arrived; the engine took [\d.]+ s\.", out.getvalue())


def test_the_tables_of_several_runs(study: FillStudy) -> None:
    out = io.StringIO()
    print_fills(study, console=Console(file=out, width=100))
    text = out.getvalue()
    assert text.index("when 100 %") < text.index("when 130 %")
    mean = study.unallocated()[..., 100].mean(axis=-1)
    sd = study.unallocated()[..., 100].std(axis=-1, ddof=1)
    for t, name in enumerate(["big9", "big10", "other"]):
        line = next(line for line in text.splitlines() if line.startswith(name))
        cells = re.findall(r"(\*?)([\d.]+) ±([\d.]+)", line)
        assert [(value, spread) for _, value, spread in cells] == [
            (f"{mean[t, p]:.2f}", f"{sd[t, p]:.2f}") for p in range(3)
        ]
        assert [bool(mark) for mark, _, _ in cells] == np.isclose(mean[t], mean[t].min()).tolist()
