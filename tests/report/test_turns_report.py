"""The cards on rounds: there where they apply, and holding what happened."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import apportion as ap
from apportion.report.curves import Bins
from apportion.report.html import write_report
from apportion.report.turns import by_model, holders, job_turns


def play(policy: str, cluster: str = "2x8:V100+2x8:K80") -> ap.Result:
    workload = ap.load("synthetic:philly?jobs=80&load=1.2&seed=3").workload
    return ap.simulate(workload, ap.parse_cluster(cluster), policy, until=100_000.0, check=True)


@pytest.fixture(scope="module")
def fair() -> ap.Result:
    return play("gandiva-fair")


def page(results: list[ap.Result], folder: Path) -> tuple[str, dict[str, Any]]:
    write_report(results, folder / "report.html")
    html = (folder / "report.html").read_text(encoding="utf-8")
    data = re.search(r'id="report-data"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert data is not None
    return html, json.loads(data[1])["plots"]


def test_cards_are_there_only_where_they_apply(fair: ap.Result, tmp_path: Path) -> None:
    html, plots = page([fair], tmp_path)
    assert {"ftf", "ftf-contention", "shares", "turns", "models"} <= set(plots)
    assert 'id="fairness"' in html and 'id="rounds"' in html
    html, plots = page([play("fifo")], tmp_path)
    assert not {"ftf", "ftf-contention", "shares", "turns", "models"} & set(plots)
    assert 'id="fairness"' not in html and 'id="rounds"' not in html


def test_an_order_beside_an_allocator_has_its_turns_shown(fair: ap.Result, tmp_path: Path) -> None:
    html, plots = page([play("fifo"), fair], tmp_path)
    assert len(plots["turns"]["figures"]) == len(plots["shares"]["figures"]) == 2
    # its jobs were not measured by fairness: one curve, that of the allocator
    assert [trace["meta"]["policy"] for trace in plots["ftf"]["figures"][0]["traces"]] == [1]
    assert "who has a turn when" in html.lower()


def test_one_model_and_one_user_are_not_split(tmp_path: Path) -> None:
    jobs = pl.DataFrame({"submit_s": [0.0, 0.0], "duration_s": [20.0, 20.0], "gpus": [1, 1]})
    result = ap.simulate(ap.Workload.of(jobs), ap.parse_cluster("1x1"), "round-robin[quantum=10]")
    _, plots = page([result], tmp_path)
    assert not {"shares", "models"} & set(plots)
    cells = plots["turns"]["figures"][0]["traces"][0]["z"]
    part = np.frombuffer(base64.b64decode(cells["bdata"]), "<f4").reshape(2, -1)
    quarters = part.reshape(2, 4, -1)
    assert np.allclose(quarters[1], np.array([0, 100, 0, 100])[:, None])
    assert np.allclose(quarters[0, :3], np.array([100, 0, 100])[:, None])
    assert np.isnan(quarters[0, 3]).all()  # it ended


def test_what_is_shown_adds_up_to_what_was_held(fair: ap.Result) -> None:
    bins = Bins.between(0.0, 100_000.0, 300)
    shown = holders([fair], bins)
    assert shown is not None
    held = shown[0].gpus.sum(axis=0) * bins.width_s
    line = fair.timeline
    times, gpus = line["time_s"].to_numpy(), line["allocated_gpus"].to_numpy()
    spans = np.diff(np.append(times, 100_000.0))
    assert held.sum() == pytest.approx((gpus * spans)[times < 100_000.0].sum(), rel=1e-6)
    parts = by_model(fair, 100_000.0)
    first = fair.jobs["submit_s"].min()
    assert sum(parts.values()) * 16 * (100_000.0 - first) == pytest.approx(held.sum(), rel=1e-6)  # type: ignore[operator]


def test_many_jobs_share_rows(fair: ap.Result) -> None:
    bins = Bins.between(0.0, 100_000.0, 50)
    turns = job_turns(fair, bins, max_rows=20)
    assert turns is not None
    assert turns.part.shape == (20, 50)
    assert turns.rows[0].startswith("0 … ")
    assert np.nanmin(turns.part) >= 0 and np.nanmax(turns.part) <= 100
