"""Shockwave's traces: run times of jobs whose batch size changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reading import column, read, refusal

from apportion.traces.regimes import batch_schedule, epochs_of
from apportion.traces.registry import recognise
from inputs import real_data

SPEEDS = {10: 20.0, 20: 15.0, 40: 10.0, 80: 6.0}
COMMAND = "python3 main.py --cuda --data %s/wikitext2\tlanguage_modeling\t--steps\t1"
STEPS_PER_EPOCH = 5968  # ceil(59,675 samples / 10)


def table(factor: float = 1.0) -> str:
    entries = {f"('LM (batch size {b})', 1)": {"null": s * factor} for b, s in SPEEDS.items()}
    return json.dumps({"v100": entries | {"('A3C', 1)": {"null": 2.0}}})


def job(mode: str, epochs: int, *, name: str = "LM (batch size 10)", slo: str = "-1.000000") -> str:
    steps = epochs * STEPS_PER_EPOCH
    return f"{name}\t{COMMAND}\t{steps}\t1\t{mode}\t1\t{slo}\t{steps / SPEEDS[10]}\t0\n"


def write(folder: Path, *rows: str, tacc: str | None = None, wisr: str | None = None) -> Path:
    path = folder / "jobs.trace"
    path.write_text("".join(rows))
    for name, text in (("tacc_throughputs.json", tacc), ("wisr_throughputs.json", wisr)):
        if text is not None:
            (folder / name).write_text(text)
    return path


def test_epochs_of_each_batch_size_add_up(tmp_path: Path) -> None:
    trace = read("shockwave", write(tmp_path, job("static", 20), job("gns", 45), job("accordion", 100), tacc=table()))
    epoch_s = {batch: 59_675 / batch / speed for batch, speed in SPEEDS.items()}
    assert column(trace, "duration_s") == pytest.approx(
        [
            20 * epoch_s[10],
            # Doubled at epochs 11, 21 and 41; the last epoch falls back to the initial size.
            (11 + 1) * epoch_s[10] + 10 * epoch_s[20] + 20 * epoch_s[40] + 3 * epoch_s[80],
            31 * epoch_s[10] + 69 * epoch_s[80],
        ]
    )
    assert column(trace, "epochs") == [20, 45, 100]
    assert column(trace, "mode") == ["static", "gns", "accordion"]
    assert column(trace, "batch_size") == [10, 10, 10]
    assert column(trace, "initial_duration_s") == [e * STEPS_PER_EPOCH / 20.0 for e in (20, 45, 100)]
    assert trace.report.notes == ["run times from tacc_throughputs.json on v100"]


def test_the_given_duration_can_be_kept(tmp_path: Path) -> None:
    path = write(tmp_path, job("gns", 45), tacc=table())
    trace = read("shockwave", path, duration="given")
    assert column(trace, "duration_s") == column(trace, "initial_duration_s")


def test_the_table_that_reproduces_the_durations_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path, job("static", 20), tacc=table(2.0), wisr=table())
    trace = read("shockwave", path)
    assert trace.report.notes == ["run times from wisr_throughputs.json on v100"]
    other = read("shockwave", path, throughputs="tacc_throughputs.json")
    assert "tacc_throughputs.json is not the table of this trace" in other.report.notes[1]
    assert column(other, "duration_s")[0] == pytest.approx(column(trace, "duration_s")[0] / 2)


def test_without_a_table_the_durations_of_the_file_stand(tmp_path: Path) -> None:
    trace = read("shockwave", write(tmp_path, job("gns", 45)))
    assert column(trace, "duration_s") == column(trace, "initial_duration_s")
    assert "without the change of batch sizes" in trace.report.notes[0]


def test_a_batch_size_that_the_table_lacks_is_not_entered(tmp_path: Path) -> None:
    entries = json.loads(table())
    del entries["v100"]["('LM (batch size 80)', 1)"]
    trace = read("shockwave", write(tmp_path, job("accordion", 100), tacc=json.dumps(entries)))
    assert column(trace, "duration_s") == pytest.approx([100 * 59_675 / 10 / 20.0])


def test_job_types_without_a_batch_size_keep_their_duration(tmp_path: Path) -> None:
    trace = read("shockwave", write(tmp_path, job("static", 1, name="A3C"), tacc=table()))
    assert column(trace, "epochs") == [None]
    assert column(trace, "duration_s") == [STEPS_PER_EPOCH / 20.0]


def test_an_slo_is_a_multiple_of_the_run_time(tmp_path: Path) -> None:
    trace = read("shockwave", write(tmp_path, job("static", 20, slo="2.0"), tacc=table()))
    assert column(trace, "deadline_s") == pytest.approx([2 * column(trace, "duration_s")[0]])


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("\tstatic\t", "\tadaptive\t", "row 2, column 'mode': found 'adaptive', expected one of static"),
        ("\t1\tstatic", "\tx\tstatic", "row 2, column 'scale_factor': found 'x'"),
        (
            f"\t{20 * STEPS_PER_EPOCH}\t",
            "\t1e15\t",
            "row 2, column 'total_steps': found 1000000000000000 steps",
        ),
        ("LM (batch size 10)", "LM (batch size 11)", "row 2, column 'job_type': found 'LM (batch size 11)'"),
        ("LM (batch size 10)", "LM (batch size 0)", "row 2, column 'job_type': found 'LM (batch size 0)'"),
    ],
)
def test_bad_cells_are_named(tmp_path: Path, old: str, new: str, place: str) -> None:
    path = write(tmp_path, job("static", 20), job("static", 20).replace(old, new), tacc=table())
    assert f"{path}, {place}" in refusal("shockwave", path)


def test_another_number_of_columns_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a\tb\n")
    assert "row 1: found 2 tab-separated columns, expected 12 (job_type" in refusal("shockwave", path)


def test_schedules() -> None:
    assert epochs_of("ResNet-18", 32, 143_450) == 92
    assert batch_schedule("Transformer", 16, 1, "accordion", 50).tolist() == [16] * 50
    assert batch_schedule("LM", 10, 8, "gns", 50).tolist() == [10] * 50
    # The first threshold must lie inside the job.
    assert batch_schedule("LM", 10, 1, "gns", 11).tolist() == [10] * 11
    assert batch_schedule("LM", 10, 1, "gns", 12).tolist() == [10] * 11 + [20]
    resnet = batch_schedule("ResNet-18", 64, 1, "accordion", 300)
    assert np.flatnonzero(resnet == 64).tolist() == [*range(91), *range(150, 160), *range(250, 260)]
    # Epochs up to three tenths, inclusive, keep the initial size.
    assert int((batch_schedule("LM", 40, 1, "accordion", 34) == 40).sum()) == 11


@pytest.mark.parametrize(("name", "jobs", "last_s", "modes", "widths", "gpu_h"), [
    ("120_jobs", 120, 5011, (4, 59, 57), (92, 20, 8, 0), 197.6),
    ("220_jobs", 220, 5956, (7, 106, 107), (160, 49, 9, 2), 403.9),
    ("460_jobs", 460, 4749, (19, 214, 227), (310, 106, 40, 4), 896.5),
    ("900_jobs", 900, 4400, (27, 454, 419), (617, 208, 63, 12), 1705.4),
])  # fmt: skip
def test_the_published_traces(
    name: str,
    jobs: int,
    last_s: int,
    modes: tuple[int, ...],
    widths: tuple[int, ...],
    gpu_h: float,
) -> None:
    path = real_data("shockwave", f"{name}.trace")
    assert recognise(path).name == "shockwave"
    trace = read("shockwave", path)
    t = trace.workload.table
    assert (len(t), t["submit_s"].max()) == (jobs, last_s)
    assert tuple((t["mode"] == mode).sum() for mode in ("static", "accordion", "gns")) == modes
    assert tuple((t["gpus"] == width).sum() for width in (1, 2, 4, 8)) == widths
    assert round((t["initial_duration_s"] * t["gpus"]).sum() / 3600, 1) == gpu_h
    # The authors ran the scaled traces with the other table than the 32-GPU one.
    used = "tacc" if name == "120_jobs" else "wisr"
    assert trace.report.notes == [f"run times from {used}_throughputs.json on v100"]


def test_profiled_durations_are_those_of_the_published_fairness() -> None:
    """The artefact publishes rho = JCT / (profiled duration x 120 jobs / 32 GPUs), with five decimals."""
    trace = read("shockwave", real_data("shockwave", "120_jobs.trace"))
    published = json.loads(real_data("shockwave", "published_120_jobs_32_gpus.json").read_text())
    run = published["min_total_duration"]  # the policy with the largest values, so the most digits
    rho = np.array(run["jct_s"]) / (np.array(column(trace, "duration_s")) * 120 / 32)
    np.testing.assert_allclose(rho, run["ftf_static"], atol=6e-6)
