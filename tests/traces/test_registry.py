"""Trace specs: which reader is meant, what it is told, and what is said when that is unclear."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from samples import SAMPLES

from apportion.model.errors import InputError
from apportion.traces import registry
from apportion.traces.format import Format
from apportion.traces.registry import FORMATS, all_formats, get_format, load, recognise
from inputs import real_data


def spec(name: str, folder: Path) -> str:
    location, options = SAMPLES[name].write(folder)
    return f"{name}:{location}" + (f"?{options}" if options else "")


def test_every_format_has_a_sample_and_says_what_it_is() -> None:
    assert set(SAMPLES) | {"synthetic", "gavel-jobs"} == set(FORMATS)
    for fmt in all_formats():
        assert fmt.title and fmt.paper and fmt.source and fmt.licence, fmt.name
        assert fmt.example.startswith(f"{fmt.name}:"), fmt.name
        assert get_format(fmt.name) is fmt


@pytest.mark.parametrize("name", SAMPLES)
def test_a_named_format_reads_its_sample(name: str, tmp_path: Path) -> None:
    trace = load(spec(name, tmp_path))
    assert len(trace.workload) == SAMPLES[name].jobs == trace.report.jobs
    assert trace.report.rows_read >= trace.report.jobs
    assert trace.workload.table["submit_s"].is_sorted()
    assert trace.spec.startswith(f"{name}:")


@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.bare])
def test_a_bare_path_is_recognised(name: str, tmp_path: Path) -> None:
    location, options = SAMPLES[name].write(tmp_path)
    assert recognise(location).name == name
    assert len(load(f"{location}?{options}" if options else location).workload) == SAMPLES[name].jobs


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("openb",), "openb"),
        (("philly", "philly.csv"), "philly"),
        (("gaia", "pai-100k.csv"), "gaia"),
        (("chronus", "trace_job_Philly_SLO.csv"), "chronus"),
        (("tiresias", "60_job.csv"), "tiresias"),
        (("astraea", "fake_job.csv"), "tiresias"),
        (("mirage", "ls6-a100.log"), "slurm"),
        (("gavel", "physical_max_min_fairness.trace"), "gavel"),
        (("shockwave", "120_jobs.trace"), "shockwave"),
    ],
)
def test_published_files_are_recognised(parts: tuple[str, ...], name: str) -> None:
    assert recognise(real_data(*parts)).name == name


@pytest.mark.parametrize("parts", [("carbon", "DE_2022.csv"), ("helios", "venus_vc_config.csv"), ("README.md",)])
def test_files_that_are_no_traces_fit_nothing(parts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="no known format fits"):
        recognise(real_data(*parts))


def test_a_parquet_file_is_native(tmp_path: Path) -> None:
    (tmp_path / "jobs.parquet").write_bytes(b"")
    assert recognise(tmp_path / "jobs.parquet").name == "native"


def test_recognising_is_quick_because_it_computes_nothing(tmp_path: Path) -> None:
    """No reader may import the compiler or a plotting library only to say what it reads."""
    location, _ = SAMPLES["philly"].write(tmp_path)
    code = (
        "import sys, json; from pathlib import Path; from apportion.traces.registry import recognise; "
        f"recognise(Path({str(location)!r})); print(json.dumps(sorted(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numba", "plotly", "scipy", "ray", "yaml"} & set(json.loads(run.stdout))
    assert not heavy


def test_two_fitting_formats_are_both_named(tmp_path: Path) -> None:
    file = tmp_path / "both.csv"
    header, row = SAMPLES["helios"].text.splitlines()[:2]
    file.write_text(f"{header},type\n{row},SFT\n")
    with pytest.raises(InputError, match=r"it can be helios or acme; name it, as in helios:"):
        load(file)
    assert len(load(f"acme:{file}").workload) == 1


def test_the_format_with_more_of_the_columns_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def claiming(name: str, *columns: str) -> Format:
        return replace(get_format("native"), name=name, headers=(frozenset(columns),))

    formats = [claiming("plain", "a"), claiming("special", "a", "b"), claiming("other", "c")]
    monkeypatch.setattr(registry, "all_formats", lambda: formats)
    file = tmp_path / "jobs.csv"
    file.write_text("a,b\n1,2\n")
    assert recognise(file).name == "special"
    file.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(InputError, match="it can be special or other"):
        recognise(file)


def test_nothing_fits(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"no known format fits; name it, as in philly:.*known: openb, philly"):
        load(file)
    with pytest.raises(InputError, match="no known format fits"):
        load(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        load(tmp_path / "absent.csv")


def test_unknown_formats_and_options_get_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown trace format 'phily'; did you mean 'philly'"):
        load("phily:x.csv")
    with pytest.raises(InputError, match=r"philly: unknown option 'limt'; did you mean 'limit'\?"):
        load(spec("philly", tmp_path) + "?limt=3")
    with pytest.raises(InputError, match=r"helios: found cpu=maybe, expected one of drop, keep"):
        load(spec("helios", tmp_path / "h") + "?cpu=maybe")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("swf:", "found no location after swf:"),
        ("swf", "found only a format's name, expected swf:LOCATION"),
        ("swf:absent.swf", "absent.swf: no such file"),
        ("swf:x?limit", r"found \?limit, expected \?key=value"),
        ("swf:x?limit=1&limit=2", r"found limit= twice"),
    ],
)
def test_broken_specs(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text(SAMPLES["swf"].text)
    with pytest.raises(InputError, match=message):
        load(text)


def test_odd_file_names(tmp_path: Path) -> None:
    for name in ("a?b=c.csv", "C:jobs.csv", "ä b.csv", "[1].csv", "100%.csv"):
        file = tmp_path / name
        file.write_text(SAMPLES["native"].text)
        assert len(load(file).workload) == 2, name


def test_from_to_and_limit(tmp_path: Path) -> None:
    where = spec("philly", tmp_path)
    whole = load(where).workload
    assert whole.origin == datetime(2017, 9, 29, 7, 58, 32)
    cut = load(f"{where}?from=2017-10-09")
    assert cut.workload.origin == datetime(2017, 10, 9)
    assert cut.workload.table["submit_s"].to_list() == [22_383.0, 25_315.0]
    assert any("leave 2 jobs (1 outside)" in note for note in cut.report.notes)
    assert len(load(f"{where}?to=2017-10-09").workload) == 1
    assert len(load(f"{where}?from=2017-10-09&to=2017-10-09T06:30:00").workload) == 1
    assert len(load(f"{where}?limit=2").workload) == 2
    assert len(load(f"{where}?limit=99999999999999999999999").workload) == 3
    assert len(load(f"{where}?limit=0").workload) == 0
    seconds = whole.table["submit_s"][1]
    assert load(f"{where}?from={seconds}").workload.table["submit_s"].to_list() == [0.0, 2932.0]


def test_deadlines_move_with_from(tmp_path: Path) -> None:
    table = load(spec("native", tmp_path) + "?from=10").workload.table
    assert table.select("submit_s", "deadline_s").rows() == [(2.5, 8990.0)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("from=soon", "found from=soon, expected a date such as 2017-10-01 or seconds"),
        ("limit=-1", "found limit=-1, expected a number of at least 0"),
        ("limit=1.5", "expected a whole number"),
        ("from=10&to=5", "to= is before from="),
        ("from=nan", "expected a date or seconds"),
        ("from=1e300", "beyond the calendar"),
    ],
)
def test_bad_windows(query: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load(f"{spec('philly', tmp_path)}?{query}")


def test_dates_need_a_calendar(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no calendar; give from= and to= in seconds"):
        load(spec("gaia", tmp_path) + "?from=2017-10-01")


def test_a_folder_or_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for name in SAMPLES:
        with pytest.raises(InputError) as caught:
            load(f"{name}:{tmp_path}")
        assert "\n" not in str(caught.value), name
