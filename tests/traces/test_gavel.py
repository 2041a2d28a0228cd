"""Gavel's traces of training steps and the throughputs that turn them into run times."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import column, read, refusal
from samples import THROUGHPUTS

from apportion.traces.gavel import looks_like_gavel
from apportion.traces.registry import recognise
from apportion.traces.shockwave import looks_like_shockwave
from apportion.traces.throughputs import read_profiles, read_throughputs
from inputs import real_data

LM = "LM (batch size 10)\tpython3 main.py --data %s/wikitext2\tlanguage_modeling\t--steps\t1"
RESNET = "ResNet-18 (batch size 16)\tpython3 main.py --data_dir=%s/cifar10\tcifar10\t--num_steps\t1"


def write(folder: Path, *rows: str, table: str | None = THROUGHPUTS) -> Path:
    path = folder / "jobs.trace"
    path.write_text("".join(f"{row}\n" for row in rows))
    if table is not None:
        (folder / "simulation_throughputs.json").write_text(table)
    return path


def test_steps_become_seconds_at_the_width_of_the_job(tmp_path: Path) -> None:
    path = write(tmp_path, f"{RESNET}\t1800\t2\t5\t-1.000000\t0", f"{LM}\t4000\t1\t1\t-1.000000\t120.5")
    trace = read("gavel", path)
    assert column(trace, "duration_s") == [100.0, 200.0]
    assert column(trace, "submit_s") == [0.0, 120.5]
    assert column(trace, "gpus") == [2, 1]
    assert column(trace, "tasks") == [1, 1]
    assert column(trace, "priority") == [5, 1]
    assert column(trace, "profile") == ["ResNet-18 (batch size 16)", "LM (batch size 10)"]
    assert column(trace, "batch_size") == [16, 10]
    assert column(trace, "total_steps") == [1800.0, 4000.0]
    assert column(trace, "steps_per_s") == [18.0, 20.0]
    assert column(trace, "deadline_s") == [None, None]
    assert trace.report.notes == ["run times from simulation_throughputs.json on v100"]


def test_another_gpu_model_and_another_table(tmp_path: Path) -> None:
    path = write(tmp_path, f"{LM}\t4000\t1\t1\t-1.000000\t0")
    assert column(read("gavel", path, gpu="k80"), "duration_s") == [800.0]
    (tmp_path / "mine.json").write_text(THROUGHPUTS.replace("20.0", "40.0"))
    for given in ("mine.json", str(tmp_path / "mine.json")):
        assert column(read("gavel", path, throughputs=given), "duration_s") == [100.0]
    assert "found gpu=v10, expected one of v100, k80; did you mean 'v100'?" in refusal("gavel", path, gpu="v10")


def test_an_slo_is_a_multiple_of_the_run_time(tmp_path: Path) -> None:
    path = write(tmp_path, f"{LM}\t4000\t1\t1\t1.2\t50", f"{LM}\t4000\t1\t1\t-1.000000\t60")
    trace = read("gavel", path)
    assert column(trace, "deadline_s") == [50.0 + 1.2 * 200.0, None]
    assert any("SLO" in note for note in trace.report.notes)


def test_the_older_form_has_seven_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "LM (batch size 10)\tcd %s && python3 main.py\t--steps\t1\t4000\t9357.000000\t1")
    assert recognise(path).name == "gavel"
    trace = read("gavel", path)
    assert column(trace, "submit_s") == [9357.0]
    assert column(trace, "gpus") == [1]
    assert column(trace, "duration_s") == [200.0]


def test_jobs_that_do_not_fit_a_gpu_model_are_dropped(tmp_path: Path) -> None:
    table = THROUGHPUTS.replace('"null": 5.0', '"null": 0.0')
    path = write(tmp_path, f"{LM}\t4000\t1\t1\t-1\t0", f"{RESNET}\t1800\t2\t1\t-1\t0", table=table)
    trace = read("gavel", path, gpu="k80")
    assert column(trace, "job_id") == ["1"]
    assert trace.report.dropped == {"does not run on k80 (no throughput)": 1}


def test_without_throughputs_one_line_says_how_to_give_them(tmp_path: Path) -> None:
    path = write(tmp_path, f"{LM}\t4000\t1\t1\t-1\t0", table=None)
    message = refusal("gavel", path)
    assert str(path) in message and "?throughputs=FILE.json" in message
    assert "nowhere.json: no such file" in refusal("gavel", path, throughputs="nowhere.json")


@pytest.mark.parametrize(
    ("row", "place"),
    [
        (f"{LM}\tmany\t1\t1\t-1\t0", "row 2, column 'total_steps': found 'many'"),
        (f"{LM}\t100\t0\t1\t-1\t0", "row 2, column 'scale_factor': found '0'"),
        (f"{LM}\t100\t1\t1\t-1\t", "row 2, column 'arrival_s': found nothing"),
        (f"{LM}\t100\t1\t1\t-1", "row 2, column 'arrival_s': found nothing"),
        (f"{LM}\t100\t8\t1\t-1\t0", "row 2, column 'job_type': found 'LM (batch size 10)' on 8 GPUs"),
    ],
)
def test_bad_cells_are_named(tmp_path: Path, row: str, place: str) -> None:
    path = write(tmp_path, f"{LM}\t4000\t1\t1\t-1\t0", row)
    assert f"{path}, {place}" in refusal("gavel", path)


def test_another_number_of_columns_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, f"{LM}\t4000\t1\t1\t-1\t0\t9")
    assert f"{path}, row 1: found 11 tab-separated columns, expected 10 (job_type, " in refusal("gavel", path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "row 1: not JSON"),
        ("", "not JSON"),
        ("[1, 2]", "expected throughputs such as"),
        ("{}", "expected throughputs such as"),
        ('{"v100": 3}', "found no table for 'v100'"),
        ('{"v100": {"LM": {"null": 3}}}', "found 'v100', 'LM' without a throughput"),
        ("""{"v100": {"('LM', 1)": {"null": "fast"}}}""", "without a throughput"),
        ("""{"v100": {"('LM', 1)": {"null": NaN}}}""", "without a throughput"),
        ("""{"v100": {"('LM', 1)": {"null": -1}}}""", "without a throughput"),
        ('{"v100":' * 100_000, "not JSON"),
        ("""{"v100": {"('LM', 1)": {"null": 1, "('LM', 1)": [1]}}}""", "beside"),
        ("""{"v100": {"('LM', 1)": {"null": 1, "('LM', 1)": [1, -1]}}}""", "without two throughputs"),
        ("""{"v100": {"('LM', 1)": {"null": 1, "LM": [1, 1]}}}""", "beside 'LM' without two"),
    ],
)
def test_malformed_tables_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, f"{LM}\t4000\t1\t1\t-1\t0", table=text)
    found = refusal("gavel", path)
    assert "simulation_throughputs.json" in found and message in found


def test_pairs_of_equal_width_are_read(tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    table.write_text(
        """{"v100": {"('a', 1)": {"null": 9, "('b', 1)": [5, 3], "('b', 2)": [1, 1]}, "('b', 1)": {"null": 4}},
        "k80": {"('a', 1)": {"null": 2, "('a', 1)": [0, 0]}}}"""
    )
    found = read_profiles(table)
    assert found.pairs.rows() == [("v100", "a", "b", 1, 5.0, 3.0), ("k80", "a", "a", 1, 0.0, 0.0)]
    kind, speed = found.beside(["a", "b", "a"], [1, 1, 2], ["V100", None])
    assert kind.tolist() == [0, 1, 2]
    assert speed[0, 1].tolist() == [[5.0, 3.0], [0.0, 0.0]]
    assert speed[1, 0].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert speed[2].max() == 0.0


def test_a_table_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, f"{LM}\t4000\t1\t1\t-1\t0")
    (tmp_path / "simulation_throughputs.json").write_bytes(b"\xff\xfe\x00")
    assert "not JSON" in refusal("gavel", path)
    assert "cannot read" in refusal("gavel", path, throughputs=tmp_path)


def test_gavel_and_shockwave_are_told_apart() -> None:
    gavel = [f"{LM}\t4000\t1\t1\t-1.000000\t0"]
    shockwave = [f"{LM}\t4000\t1\tgns\t1\t-1.000000\t1418\t0"]
    assert looks_like_gavel(gavel) and not looks_like_gavel(shockwave)
    assert looks_like_shockwave(shockwave) and not looks_like_shockwave(gavel)
    for other in ([], [""], ["a\tb"], ["\t" * 9], ["\t" * 11]):
        assert not looks_like_gavel(other) and not looks_like_shockwave(other)


@pytest.mark.parametrize(("name", "jobs", "last_s", "mean_s"), [
    ("physical_artifact_evaluation", 15, 0.0, 1044.4022),
    ("physical_max_min_fairness", 96, 46_317.0, 7983.8680),
    ("physical_minimize_makespan", 100, 0.0, 10_264.4505),
])  # fmt: skip
def test_the_published_physical_traces(name: str, jobs: int, last_s: float, mean_s: float) -> None:
    path = real_data("gavel", f"{name}.trace")
    assert recognise(path).name == "gavel"
    trace = read("gavel", path)
    assert (len(trace.workload), column(trace, "submit_s")[-1]) == (jobs, last_s)
    assert trace.workload.table["duration_s"].mean() == pytest.approx(mean_s)
    assert trace.report.notes == ["run times from physical_cluster_throughputs.json on v100"]


def test_some_published_jobs_do_not_fit_a_k80() -> None:
    trace = read("gavel", real_data("gavel", "physical_max_min_fairness.trace"), gpu="k80")
    assert trace.report.dropped == {"does not run on k80 (no throughput)": 8}


def test_the_published_table_has_83_entries_a_model() -> None:
    table = read_throughputs(real_data("gavel", "simulation_throughputs.json"))
    counts = dict(table["gpu"].value_counts().iter_rows())
    assert counts["v100"] == counts["p100"] == counts["k80"] == 83
    assert dict(table.filter(table["gpu"] == "v100")["scale_factor"].value_counts().iter_rows()) == {
        1: 26,
        2: 19,
        4: 19,
        8: 19,
    }
