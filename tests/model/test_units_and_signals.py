"""Durations as people write them, and step functions of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apportion.model.errors import InputError, did_you_mean
from apportion.model.signal import NodeEvents, Signal
from apportion.model.units import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), (" 5 M ", 300), ("5min", 300), ("1.5h", 5400), (".5d", 43200), ("2w", 1209600), ("0", 0)],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-5", "1e3", "5 months", "1,5h", "nan", "inf", "1h30m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InputError, match="expected a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (45, "45 s"), (1.25, "1.2 s"), (119, "119 s"), (120, "2 min"), (5400, "90 min"), (9000, "2.5 h")],
)
def test_how_durations_are_shown(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert format_duration(86400 * 3.25) == "3.2 d"


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("SJFF", ["sjf", "fifo"]) == "; did you mean 'sjf'?"
    assert did_you_mean("zzz", ["sjf", "fifo"]) == ""


steps = st.lists(st.tuples(st.integers(0, 20), st.integers(-5, 5)), min_size=1, max_size=12)


@given(steps, st.floats(-5, 25))
def test_a_signal_holds_until_the_next_step(points: list[tuple[int, int]], time: float) -> None:
    points.sort(key=lambda point: point[0])
    signal = Signal(np.array([float(t) for t, _ in points]), np.array([float(v) for _, v in points]), "W")
    expected = points[0][1]
    for at, value in points:
        if at <= time:
            expected = value
    assert signal.at(time) == expected


def test_a_signal_has_steps_in_order() -> None:
    one = np.array([0.0])
    with pytest.raises(InputError, match="as many times as values"):
        Signal(one, np.array([1.0, 2.0]), "W")
    with pytest.raises(InputError, match="at least one"):
        Signal(np.zeros(0), np.zeros(0), "W")
    with pytest.raises(InputError, match=r"row 3.*times go backwards") as caught:
        Signal(np.array([0.0, 5.0, 4.0]), np.zeros(3), "W", name="price")
    assert "price" in str(caught.value)


def test_node_events_are_in_order() -> None:
    up = np.array([False, True])
    assert NodeEvents(np.array([1.0, 1.0]), ("a", "a"), up).nodes == ("a", "a")
    with pytest.raises(InputError, match="as many times as nodes"):
        NodeEvents(np.array([1.0]), ("a", "a"), up)
    with pytest.raises(InputError, match=r"row 2.*backwards"):
        NodeEvents(np.array([2.0, 1.0]), ("a", "a"), up)
