"""Files of counters: signals without jobs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from samples import SAMPLES

from apportion.model.errors import InputError
from apportion.model.signal import NodeEvents, Signal
from apportion.traces.registry import load, recognise
from inputs import real_data


def signal(spec: str, name: str) -> Signal:
    found = load(spec).signals[name]
    assert isinstance(found, Signal)
    return found


def test_counts_of_venus(tmp_path: Path) -> None:
    location, _ = SAMPLES["venus-counts"].write(tmp_path)
    trace = load(location)
    assert trace.workload.origin == datetime(2020, 4, 1)
    assert len(trace.workload) == 0
    gpus = signal(f"venus-counts:{location}", "submitted_gpus")
    assert gpus.times_s.tolist() == [0, 600, 1200]
    assert gpus.values.tolist() == [9, 3, 0]
    assert gpus.unit == "gpus"
    assert signal(str(location), "submitted_all_jobs").values.tolist() == [5, 4, 0]


def test_from_and_to_cut_signals_as_they_cut_jobs(tmp_path: Path) -> None:
    location, _ = SAMPLES["venus-counts"].write(tmp_path)
    trace = load(f"venus-counts:{location}?from=2020-04-01T00:10:00&to=2020-04-01T00:20:00")
    assert trace.workload.origin == datetime(2020, 4, 1, 0, 10)
    cut = trace.signals["started_jobs"]
    assert isinstance(cut, Signal)
    assert (cut.times_s.tolist(), cut.values.tolist()) == ([0], [3])
    with pytest.raises(InputError, match="nothing between from= and to="):
        load(f"{location}?from=2021-01-01")


def test_node_events_are_cut_too() -> None:
    events = NodeEvents(np.array([1.0, 5.0, 9.0]), ("a", "b", "a"), np.array([False, True, True]))
    cut = events.between(2.0, 9.0)
    assert (cut.times_s.tolist(), cut.nodes, cut.up.tolist()) == ([3.0], ("b",), [True])


def test_nodes_of_philly(tmp_path: Path) -> None:
    location, _ = SAMPLES["philly-nodes"].write(tmp_path)
    trace = load(location)
    assert signal(str(location), "active_nodes").at(130) == 310
    assert not any("rows are missing" in note for note in trace.report.notes)
    more = "".join(f"2017-10-03 00:{minute:02d}:00,1,2\n" for minute in (4, 5, 9))
    location.write_text(location.read_text() + more)
    trace = load(location)
    assert any("rows are missing" in note for note in trace.report.notes)


def test_virtual_clusters_of_earth(tmp_path: Path) -> None:
    folder, _ = SAMPLES["earth-minutes"].write(tmp_path)
    trace = load(folder)
    assert {name: s.values.tolist() for name, s in trace.signals.items() if name.startswith("busy")} == {  # type: ignore[union-attr]
        "busy_gpus": [11, 16],
        "busy_gpus/vcA": [10, 16],
        "busy_gpus/vcB": [1, 0],
    }
    assert signal(f"earth-minutes:{folder}?vc=vcB", "total_gpus").values.tolist() == [8, 8]
    assert signal(str(folder / "vcA" / "cluster_sequence_vc.csv"), "waiting_gpus/vcA").values.tolist() == [0, 8]
    assert signal(str(folder / "vcA"), "waiting_gpus").values.tolist() == [0, 8]
    with pytest.raises(InputError, match="found no vc=vcX"):
        load(f"earth-minutes:{folder}?vc=vcX")
    other = folder / "vcB" / "cluster_sequence_vc.csv"
    other.write_text(other.read_text().replace("00:01:00", "00:02:00"))
    with pytest.raises(InputError, match="other minutes"):
        load(folder)


def test_times_have_to_rise(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    file.write_text("time,active,total\n2020-01-01 00:01:00,1,2\n2020-01-01 00:00:00,1,2\n")
    with pytest.raises(InputError, match=r"row 3, column 'time': found 2020-01-01 00:00:00, expected a time after"):
        load(file)
    file.write_text("time,active,total\n2020-01-01 00:01:00,1,2\n")
    with pytest.raises(InputError, match="found 1 rows, expected at least two"):
        load(file)


@pytest.mark.parametrize(
    ("name", "file"), [("venus-counts", "venus_cluster_throughput.csv"), ("philly-nodes", "philly_node_sequence.csv")]
)
def test_published_series_are_recognised(name: str, file: str) -> None:
    assert recognise(real_data("helios", file)).name == name
