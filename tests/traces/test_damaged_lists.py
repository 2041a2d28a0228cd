"""Whatever bytes a job list of a simulator holds, its reader answers with a trace or with one line."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import read
from samples import SAMPLES, THROUGHPUTS

from apportion.model import InputError

NAMES = ("dlrm2025", "spot2026", "gaia", "chronus", "tiresias", "muri", "gavel", "shockwave")
CELLS = st.sampled_from(["", "x", "-1", "1e308", "nan", "inf", "0", "1.5", "99999999999999999999", "\ufeff", '"', "é"])
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def attempt(name: str, folder: Path, text: str | bytes) -> None:
    location, query = SAMPLES[name].write(folder, text)
    try:
        read(name, location, **dict(parse_qsl(query)))
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", NAMES)
@quick
@given(data=st.data())
def test_a_changed_cell(name: str, tmp_path: Path, data: st.DataObject) -> None:
    separator = "\t" if "\t" in SAMPLES[name].text else ","
    lines = SAMPLES[name].text.splitlines()
    row = data.draw(st.integers(0, len(lines) - 1))
    cells = lines[row].split(separator)
    cells[data.draw(st.integers(0, len(cells) - 1))] = data.draw(CELLS)
    lines[row] = separator.join(cells)
    attempt(name, tmp_path, "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", NAMES)
@quick
@given(data=st.data())
def test_cut_and_foreign_bytes(name: str, tmp_path: Path, data: st.DataObject) -> None:
    whole = SAMPLES[name].text.encode()
    at = data.draw(st.integers(0, len(whole)))
    attempt(
        name,
        tmp_path,
        whole[:at] + data.draw(st.binary(max_size=12)) + whole[at:][data.draw(st.integers(0, 60)) :],
    )


@pytest.mark.parametrize("name", ("gavel", "shockwave"))
@quick
@given(data=st.data())
def test_damaged_throughputs(name: str, tmp_path: Path, data: st.DataObject) -> None:
    location, query = SAMPLES[name].write(tmp_path)
    at = data.draw(st.integers(0, len(THROUGHPUTS)))
    (beside,) = SAMPLES[name].beside
    damaged = THROUGHPUTS[:at] + data.draw(st.text(max_size=4)) + THROUGHPUTS[at + data.draw(st.integers(0, 9)) :]
    (tmp_path / beside).write_text(damaged, encoding="utf-8", errors="replace")
    try:
        read(name, location, **dict(parse_qsl(query)))
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_a_header_alone_and_no_file(name: str, tmp_path: Path) -> None:
    attempt(name, tmp_path, "")
    attempt(name, tmp_path, SAMPLES[name].text.splitlines()[0] + "\n")
    with pytest.raises(InputError):
        read(name, tmp_path / "nowhere")
