"""Damaged files of every format: a trace comes out, or one line that says what is wrong; nothing else."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import SAMPLES

from apportion.model.errors import ApportionError
from apportion.traces.native import write_native
from apportion.traces.options import Options
from apportion.traces.registry import get_format, load, recognise

CELLS = (
    "",
    " ",
    "-1",
    "0",
    "-0.0",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "1e400",
    "99999999999999999999999999",
    "-99999999999999999999999999",
    "9223372036854775808",
    "2147483648",
    "1.5",
    "0x10",
    "1_000",
    "None",
    "null",
    "Unknown",
    "true",
    "[]",
    "{}",
    "é漢字🙂",
    "\u202e\u2028",
    "a\rb",
    '"',
    '""',
    "'",
    "|",
    "\t",
    ",",
    ";",
    "1970-01-01 00:00:00",
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59",
    "2020-02-30 10:00:00",
    "2020-01-01T00:00:00+99:00",
    "gres/gpu=99999999999999999999",
    "2147483647-23:59:59",
    "A|" * 50,
    "9" * 400,
)


NOTHING = (b"", b"\n", b"\0" * 100, b"\xff" * 100, b"PAR1", b"[", b"a" * 5000)
CHANGES = ("drop", "fill", "twice", "no header", "swap", "repeat", "blank", "only header")
INSERTED = (b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b'"', b"\x1a", b"\n\n")
EXAMPLES = int(os.environ.get("APPORTION_MUTATIONS", "5"))
"""Mutations of each kind for each format; a longer campaign sets the variable, and then draws other ones."""
SAME_EACH_TIME = "APPORTION_MUTATIONS" not in os.environ


def separator(text: str) -> str:
    header = next((line for line in text.splitlines() if not line.startswith(";")), "")
    return max((",", "|", "\t", " "), key=header.count)


@st.composite
def cells(draw: st.DrawFn, text: str) -> bytes:
    """Put odd values into one to three cells."""
    sep = separator(text)
    rows = [line.split(sep) for line in text.split("\n")]
    for _ in range(draw(st.integers(1, 3))):
        row = rows[draw(st.integers(0, len(rows) - 1))]
        row[draw(st.integers(0, len(row) - 1))] = draw(st.sampled_from(CELLS))
    return "\n".join(sep.join(row) for row in rows).encode("utf-8", "surrogatepass")


@st.composite
def column(draw: st.DrawFn, text: str) -> bytes:
    """Drop a column, empty it, or put one odd value into all of it; or drop, repeat, swap or empty rows."""
    sep = separator(text)
    rows = [line.split(sep) for line in text.split("\n")]
    what = draw(st.sampled_from(CHANGES))
    place = draw(st.integers(0, max(len(rows[0]) - 1, 0)))
    line = draw(st.integers(0, len(rows) - 1))
    value = draw(st.sampled_from(CELLS))
    if what == "drop":
        rows = [row[:place] + row[place + 1 :] for row in rows]
    elif what == "fill":
        rows = [[*row[:place], value, *row[place + 1 :]] if i else row for i, row in enumerate(rows)]
    elif what == "twice":
        rows = [[*row, *row[place : place + 1]] for row in rows]
    elif what == "no header":
        rows = rows[1:]
    elif what == "swap":
        rows[0], rows[line] = rows[line], rows[0]
    elif what == "repeat":
        rows = rows[:line] + rows[line : line + 1] * 3 + rows[line:]
    elif what == "blank":
        rows.insert(line, [""])
    else:
        rows = rows[:1]
    return "\n".join(sep.join(row) for row in rows).encode()


@st.composite
def damaged(draw: st.DrawFn, text: str) -> bytes:
    """Delete, double, swap, flip or insert bytes, or cut the file short."""
    data = bytearray(text.encode())
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        what = draw(st.sampled_from(["delete", "double", "swap", "flip", "insert", "truncate"]))
        at, to = draw(st.integers(0, len(data) - 1)), draw(st.integers(0, len(data) - 1))
        some = slice(at, at + draw(st.integers(1, 12)))
        if what == "delete":
            del data[some]
        elif what == "double":
            data[at:at] = data[some]
        elif what == "swap":
            data[at], data[to] = data[to], data[at]
        elif what == "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "insert":
            data[at:at] = draw(st.sampled_from([b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b'"', b"\x1a", b"\n\n"]))
        else:
            del data[at:]
    return bytes(data)


def check(read: Callable[[], object]) -> None:
    """Read; the only way to refuse is one line of the package's own."""
    try:
        read()
    except ApportionError as error:
        message = str(error)
        assert message and len(message.splitlines()) == 1, message


def read_directly(name: str, folder: Path, data: bytes) -> None:
    """Call the reader itself, without the net that `load` spreads under it."""
    location, query = SAMPLES[name].write(folder, data)
    given_options = dict(pair.split("=", 1) for pair in query.split("&") if pair)
    check(lambda: get_format(name).read(location, Options(given_options, name)))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("kind", [cells, column, damaged])
def test_a_mutated_file_is_read_or_refused_in_a_line(
    name: str, kind: Callable[[str], st.SearchStrategy[bytes]], tmp_path: Path
) -> None:
    numbers = itertools.count()

    @settings(
        max_examples=EXAMPLES,
        derandomize=SAME_EACH_TIME,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(kind(SAMPLES[name].text))
    def mutate(data: bytes) -> None:
        read_directly(name, tmp_path / str(next(numbers)), data)

    mutate()


@pytest.mark.parametrize("name", SAMPLES)
def test_each_cell_in_turn_with_a_value_too_large(name: str, tmp_path: Path) -> None:
    text = SAMPLES[name].text
    sep = separator(text)
    rows = [line.split(sep) for line in text.split("\n")]
    line = len(rows) - 2
    row = rows[line]
    for place in range(len(row)):
        rows[line] = [*row[:place], "99999999999999999999", *row[place + 1 :]]
        read_directly(name, tmp_path, "\n".join(sep.join(cells) for cells in rows).encode())


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("data", [b"", b"\n", b"\0" * 100, b"\xff" * 100, b"PAR1", b"[", b"a" * 5000], ids=repr)
def test_files_that_are_nothing(name: str, data: bytes, tmp_path: Path) -> None:
    read_directly(name, tmp_path, data)
    location, _ = SAMPLES[name].write(tmp_path, data)
    check(lambda: load(f"{name}:{location}"))
    check(lambda: recognise(location))


def test_damaged_parquet(tmp_path: Path) -> None:
    """Bytes of a valid file are changed: the decoder's panics are refusals too."""
    file = tmp_path / "jobs.parquet"
    location, _ = SAMPLES["native"].write(tmp_path)
    write_native(load(f"native:{location}").workload, file)
    whole = file.read_bytes()

    @settings(max_examples=5 * EXAMPLES, derandomize=SAME_EACH_TIME, deadline=None, database=None)
    @given(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=5),
        st.integers(0, 50),
    )
    def mutate(changes: list[tuple[int, int]], cut: int) -> None:
        data = bytearray(whole)
        for place, byte in changes:
            data[place] = byte
        file.write_bytes(bytes(data[: len(data) - cut]))
        check(lambda: get_format("native").read(file, Options({}, "native")))

    mutate()
