"""Gavel's generated jobs: the released draws to the bit, and what holds at every seed."""

from __future__ import annotations

import hashlib
import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from reading import column, read, refusal

from apportion.model.trace import Trace
from apportion.traces.gavel_jobs import JOB_TYPES, draw
from apportion.traces.registry import load
from inputs import real_data

COMMANDS = {
    "ResNet-18": ("python3 main.py --data_dir=%s/cifar10 --batch_size {}", "image_classification/cifar10"),
    "ResNet-50": ("python3 main.py -j 8 -a resnet50 -b {} %s/imagenet/", "image_classification/imagenet"),
    "Transformer": (
        "python3 train.py -data %s/translation/multi30k.atok.low.pt -batch_size {} -proj_share_weight",
        "translation",
    ),
    "LM": ("python main.py --cuda --data %s/wikitext2 --batch_size {}", "language_modeling"),
    "Recommendation": ("python3 train.py --data_dir %s/ml-20m/pro_sg/ --batch_size {}", "recommendation"),
    "A3C": ("python3 main.py --env PongDeterministic-v4 --workers 4 --amsgrad True", "rl"),
    "CycleGAN": ("python3 cyclegan.py --dataset_path %s/monet2photo --decay_epoch 0", "cyclegan"),
}
OPTIONS = ("--num_steps", "--num_minibatches", "-step", "--steps", "-n", "--max-steps", "--n_steps")
"""What the released simulator writes beside a job type: command and folder; options for the steps, in that order."""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of every job type and width: ten steps a second on a V100, one on a K80."""
    keys = [f"('{name}', {width})" for name, several in JOB_TYPES for width in ((1, 2, 4, 8) if several else (1,))]
    path = tmp_path / "speeds.json"
    path.write_text(json.dumps({gpu: {key: {"null": x} for key in keys} for gpu, x in (("v100", 10.0), ("k80", 1.0))}))
    return path


def as_written(trace: Trace) -> str:
    """Return the trace file that the released simulator writes: the first job stands there twice."""
    lines = []
    for model, size, steps, gpus, submit in trace.workload.table.select(
        "job_type", "batch_size", "total_steps", "gpus", "submit_s"
    ).iter_rows():
        command, folder = COMMANDS[model.partition(" (")[0]]
        option = OPTIONS[list(COMMANDS).index(model.partition(" (")[0])]
        cells = (model, command.format(size), folder, option, int(model != "A3C"), int(steps), gpus, 1, "-1.000000")
        lines.append("\t".join(map(str, cells)) + f"\t{submit:f}\n")
    return lines[0].replace("\t0.000000\n", "\t0\n") + "".join(lines)


@pytest.mark.parametrize(
    ("multi", "md5"),
    [("no", "5e55e3d993c8aa71df588a6c0eaf7762"), ("yes", "14582aac34ec79daba6b148ba342fe42")],
)
def test_the_same_file_as_the_released_simulator(multi: str, md5: str) -> None:
    trace = read("gavel-jobs", real_data("gavel", "simulation_throughputs.json"), jobs=100, seed=1, multi=multi)
    assert hashlib.md5(as_written(trace).encode()).hexdigest() == md5


def test_steps_are_run_time_times_throughput(table: Path) -> None:
    trace = read("gavel-jobs", table, jobs=50, seed=3)
    seconds, steps = column(trace, "duration_s"), column(trace, "total_steps")
    assert steps == [10.0 * s for s in seconds]
    assert column(trace, "submit_s") == [0.0] * 50
    assert set(column(trace, "gpus")) == {1} and set(column(trace, "priority_weight")) == {1.0}
    assert column(trace, "deadline_s") == [None] * 50
    assert trace.workload.profiles is not None
    assert trace.workload.profiles.speeds(column(trace, "profile")[:1], [1], ["v100", "k80"]).tolist() == [[10.0, 1.0]]


def test_the_mix_of_jobs() -> None:
    jobs = list(draw(20_000, 100.0, 7, multi=True, priorities=True, slos=True))
    part = {w: sum(j.gpus == w for j in jobs) / len(jobs) for w in (1, 2, 4, 8)}
    assert part == pytest.approx({1: 0.7, 2: 0.1, 4: 0.15, 8: 0.05}, abs=0.01)
    assert sum(j.duration_s >= 60_000 for j in jobs) / len(jobs) == pytest.approx(0.2, abs=0.01)
    assert min(j.duration_s for j in jobs) >= 60 * 10**1.5 and max(j.duration_s for j in jobs) <= 600_000
    assert sum(j.weight == 5 for j in jobs) / len(jobs) == pytest.approx(0.2, abs=0.01)
    assert {x: sum(j.slo == x for j in jobs) / len(jobs) for x in (1.2, 2.0, 10.0)} == pytest.approx(
        {1.2: 0.33, 2.0: 0.34, 10.0: 0.33}, abs=0.01
    )
    assert jobs[-1].submit_s / (len(jobs) - 1) == pytest.approx(100, rel=0.03)
    assert all(a.submit_s <= b.submit_s for a, b in pairwise(jobs))
    alone = {name for name, several in JOB_TYPES if not several}
    assert not any(j.job_type in alone for j in jobs if j.gpus > 1)
    kinds = {name: sum(j.job_type == name for j in jobs if j.gpus == 1) for name, _ in JOB_TYPES}
    assert min(kinds.values()) > 0.8 * 0.7 * len(jobs) / len(JOB_TYPES)


def test_streams_are_apart() -> None:
    """The rate and SLOs change no job; widths that are not asked for change no run time."""
    plain = list(draw(200, 0.0, 5))
    late, bound = list(draw(200, 750.0, 5)), list(draw(200, 750.0, 5, slos=True))
    assert [(j.job_type, j.duration_s) for j in plain] == [(j.job_type, j.duration_s) for j in late]
    assert [(j.job_type, j.submit_s) for j in late] == [(j.job_type, j.submit_s) for j in bound]
    assert [j.submit_s for j in draw(200, 1500.0, 5)] == pytest.approx([2 * j.submit_s for j in late])
    assert next(draw(1, 0.0, 5)).duration_s == next(draw(1, 0.0, 5, multi=True)).duration_s
    assert [j.duration_s for j in draw(200, 0.0, 6)] != [j.duration_s for j in plain]


def test_slos_are_deadlines_and_a_longer_trace_begins_alike(table: Path) -> None:
    trace = read("gavel-jobs", table, jobs=30, rate=2.5, slos="yes")
    for submit, seconds, slo, deadline in trace.workload.table.select(
        "submit_s", "duration_s", "slo", "deadline_s"
    ).iter_rows():
        assert slo in (1.2, 2.0, 10.0) and math.isclose(deadline, submit + slo * seconds)
    longer = load(f"gavel-jobs:{table}?jobs=60&rate=2.5&slos=yes&limit=30").workload
    assert longer.table.equals(trace.workload.table)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"jobs": 0}, "found jobs=0, expected 1 to"),
        ({"jobs": 10**9}, "expected 1 to 10,000,000"),
        ({"rate": 0}, "found rate=0, expected 1e-06 to 1e+09 jobs an hour"),
        ({"rate": 1e-300}, "found rate=1e-300, expected"),
        ({"rate": "inf"}, "found rate=inf, expected a number"),
        ({"seed": -1}, "found seed=-1, expected a number of at least 0"),
        ({"multi": "maybe"}, "found multi=maybe, expected one of yes, no"),
        ({"lam": 3}, "unknown option 'lam'"),
    ],
)
def test_wrong_options_are_one_line(table: Path, given: dict[str, object], message: str) -> None:
    assert message in refusal("gavel-jobs", table, **given)


def test_a_table_that_lacks_what_is_drawn(table: Path, tmp_path: Path) -> None:
    assert "no such file" in refusal("gavel-jobs", tmp_path / "absent.json")
    document = json.loads(table.read_text())
    document["v100"]["('A3C', 1)"]["null"] = 0.0
    table.write_text(json.dumps(document))
    assert "found no throughput of 'A3C' on 1 GPUs of v100, which is drawn" in refusal("gavel-jobs", table)
    del document["v100"]
    table.write_text(json.dumps(document))
    assert "found gpu=v100, expected one of k80" in refusal("gavel-jobs", table)
