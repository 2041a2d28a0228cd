"""Tiresias: the numbers of the released simulator, a plain model of its queues, and the Gittins index."""

from __future__ import annotations

import hashlib
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apportion as ap
from apportion.policies.orders.tiresias import gittins_index, released_index
from inputs import real_data

MODELS = ["vgg19", "vgg16", "vgg11", "alexnet", "resnet152", "resnet101", "resnet50", "inception4", "inception3"]
DIGESTS = {240: "888e2f6842a518ed2e46c518c55a7afe", 120: "d7cb32bb0c5b9a9b49e69dffb436817a"}

RELEASED: dict[str, str] = {
    "fjf": "fifo",
    "sjf": "smallest[preempt=yes,conserve=no]",
    "shortest": "srtf[conserve=no]",
    "shortest-gpu": "srtf[by=service,ties=before,conserve=no]",
    "dlas": "tiresias[by=time,conserve=no,compat=yes]",
    "dlas-gpu": "tiresias[conserve=no,compat=yes]",
    "dlas-gpu-1": "tiresias[promote=1,conserve=no,compat=yes]",
    "dlas-gpu-8": "tiresias[promote=8,conserve=no,compat=yes]",
    "dlas-gpu-gittins": "tiresias[rank=gittins,history={},conserve=no,compat=yes]",
}
"""What the policies of the released simulator are called here; its fifo is `fifo` with strict backfill."""


def samples_file() -> Path:
    return real_data("tiresias", "yarn-gput1000.csv")


def play(trace: Path, gpus: int, policy: str) -> ap.Result:
    backfill = "strict" if policy == "strict" else "skip"
    name = "fifo" if policy == "strict" else RELEASED[policy].format(samples_file())
    workload = ap.load(f"tiresias:{trace}").workload
    return ap.simulate(workload, ap.parse_cluster(f"pool:{gpus}"), name, backfill=backfill, check=True)


def synthetic(mean_s: int, folder: Path) -> Path:
    """Write 1,000 jobs with service drawn from the released distribution."""
    past = [int(x) for x in samples_file().read_text().split()[1:]]
    drawn = random.Random(0)
    lines, submit = ["job_id,num_gpu,submit_time,iterations,model_name,duration,interval"], 0
    for i in range(1000):
        gpus = drawn.choices([1, 2, 4, 8, 16], [50, 15, 15, 12, 8])[0]
        duration = max(60, min(past[drawn.randrange(1001)], 400_000) // gpus)
        model, interval = drawn.choice(MODELS), int(drawn.expovariate(1 / mean_s))
        lines.append(",".join(map(str, (i, gpus, submit, 5 * duration, model, duration, interval))))
        submit += interval
    text = "".join(f"{line}\r\n" for line in lines).encode()
    assert hashlib.md5(text, usedforsecurity=False).hexdigest() == DIGESTS[mean_s]
    out = folder / "jobs.csv"
    out.write_bytes(text)
    return out


@pytest.mark.parametrize(
    ("policy", "mean_s"),
    [
        ("strict", 200.82),
        ("fjf", 190.68),
        ("sjf", 198.2),
        ("shortest", 192.12),
        ("shortest-gpu", 195.9),
        ("dlas", 190.68),
        ("dlas-gpu", 190.68),
        ("dlas-gpu-1", 190.68),
        ("dlas-gpu-8", 190.68),
        ("dlas-gpu-gittins", 219.05),
    ],
)
def test_the_released_sixty_jobs(policy: str, mean_s: float) -> None:
    result = play(real_data("tiresias", "60_job.csv"), 16, policy)
    assert result.jobs["jct_s"].mean() == pytest.approx(mean_s, abs=0.005001)
    makespan_s = {"strict": 3335, "fjf": 3271, "shortest-gpu": 3315}.get(policy)
    assert makespan_s is None or result.jobs["end_s"].max() == makespan_s


@pytest.mark.parametrize(
    ("policy", "light_s", "heavy_s", "p50_s", "makespan_s", "preemptions"),
    [
        ("strict", 17_424.75, 28_278.61, 15_290.5, 559_999, 0),
        ("fjf", 17_394.63, 24_746.69, 8_764, 520_359, 0),
        ("sjf", 17_417.72, 23_606.37, 1_513.5, 517_372, 119),
        ("shortest", 17_383.65, 19_148.65, 1_034.5, 538_660, 1_758),
        ("shortest-gpu", 17_355.24, 18_424.98, None, 530_604, 1_439),
        ("dlas", 17_355.42, 18_569.16, None, 517_372, 932),
        ("dlas-gpu", 17_359.46, 18_962.97, None, 517_372, 724),
        ("dlas-gpu-1", 17_357.85, 19_098.89, None, 522_499, 4_210),
        ("dlas-gpu-gittins", 17_374.28, 18_935.63, None, 517_372, 824),
    ],
)
def test_a_thousand_jobs_as_in_the_released_simulator(
    policy: str,
    light_s: float,
    heavy_s: float,
    p50_s: float | None,
    makespan_s: int,
    preemptions: int,
    tmp_path: Path,
) -> None:
    # the figures are rounded to two digits
    light = play(synthetic(240, tmp_path), 128, policy)
    assert light.jobs["jct_s"].mean() == pytest.approx(light_s, abs=0.005001)
    heavy = play(synthetic(120, tmp_path), 128, policy)
    assert heavy.jobs["jct_s"].mean() == pytest.approx(heavy_s, abs=0.005001)
    assert p50_s is None or heavy.jobs["jct_s"].median() == p50_s
    assert heavy.jobs["end_s"].max() == makespan_s
    assert heavy.jobs["preemptions"].sum() == preemptions


def plain_queues(rows: list[tuple[int, int, int]], gpus: int, limits: tuple[float, ...], promote: float) -> list[int]:
    """Return the ends of jobs (submission, duration, GPUs) under the released rules, with lists and whole seconds."""
    jobs = [
        {"row": i, "submit": s, "left": d, "gpus": g, "ran": 0, "waited": 0, "queue": 0, "on": False, "ever": 0}
        for i, (s, d, g) in enumerate(rows)
    ]
    queues: list[list[dict[str, Any]]] = [[] for _ in range(len(limits) + 1)]
    ends, now, jump = [0] * len(jobs), 0, math.inf
    while any(job["left"] > 0 for job in jobs):
        future = [job["submit"] for job in jobs if job["submit"] > now or not _known(job, queues)]
        future += [now + job["left"] for queue in queues for job in queue if job["on"]]
        later = int(min([*(t for t in future if t > now or now == 0), jump]))
        passed, now = later - now, later
        there = sorted((job for queue in queues for job in queue), key=lambda job: job["row"])
        for job in there:
            job["left"] -= passed * job["on"]
            job["ran"] += passed * job["on"]
            if not job["on"] and job["ran"] > 0:
                job["waited"] += passed
        for job in [job for job in there if job["left"] == 0]:
            ends[job["row"]] = now
            queues[job["queue"]].remove(job)
            there.remove(job)
        new = [job for job in jobs if job["submit"] == now and job["left"] > 0 and job not in there]
        queues[0].extend(new)
        for job in there:
            service = job["ran"] * job["gpus"]
            to = job["queue"]
            if job["on"] and to < len(limits) and service >= limits[to]:
                to += 1
            elif not job["on"] and promote > 0 and to > 0 and 0 < job["ran"] * promote <= job["waited"]:
                to = job["ran"] = job["waited"] = 0
            if to != job["queue"]:
                queues[job["queue"]].remove(job)
                queues[to].append(job)
                job["queue"] = to
        free = gpus
        for queue in queues:
            for job in queue:
                job["on"] = job["gpus"] <= free
                free -= job["gpus"] * job["on"]
            queue.sort(key=lambda job: not job["on"])
        jump = math.inf
        for queue in queues:
            for job in queue:
                if job["on"] and job["queue"] < len(limits):
                    jump = min(jump, now + math.ceil((limits[job["queue"]] - job["ran"]) / job["gpus"]))
                elif not job["on"] and promote > 0 and job["queue"] > 0 and job["ran"] * promote > job["waited"]:
                    jump = min(jump, now + math.ceil(job["ran"] * promote - job["waited"]))
    return ends


def _known(job: dict[str, Any], queues: list[list[dict[str, Any]]]) -> bool:
    return job["left"] <= 0 or any(other is job for queue in queues for other in queue)


JOBS = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 80), st.sampled_from([1, 2, 3, 4])), min_size=1, max_size=14
)


@settings(deadline=None)
@given(JOBS, st.sampled_from([0.0, 1.0, 2.0]))
def test_the_queues_are_those_of_a_plain_model(rows: list[tuple[int, int, int]], promote: float) -> None:
    rows = sorted(rows)
    frame = pl.DataFrame(rows, schema=["submit_s", "duration_s", "gpus"], orient="row")
    result = ap.simulate(
        ap.Workload.of(frame),
        ap.parse_cluster("pool:4"),
        f"tiresias[thresholds=10/40,promote={promote},conserve=no,compat=yes]",
        check=True,
    )
    assert result.jobs["end_s"].to_list() == plain_queues(rows, 4, (10, 40), promote)


@settings(deadline=None, max_examples=50)
@given(JOBS, st.sampled_from(["fifo", "gittins"]), st.sampled_from(["gpu-time", "time"]))
def test_everyone_ends_and_no_gpu_idles_while_somebody_fits(
    rows: list[tuple[int, int, int]], rank: str, by: str
) -> None:
    frame = pl.DataFrame(sorted(rows), schema=["submit_s", "duration_s", "gpus"], orient="row")
    policy = f"tiresias[thresholds=7/30,rank={rank},by={by},promote=2]"
    result = ap.simulate(ap.Workload.of(frame), ap.parse_cluster("1x4"), policy, check=True)
    assert result.jobs["status"].unique().to_list() == ["completed"]
    job, start, end = result.placements.filter("first").select("job", "start_s", "end_s").to_numpy().T
    submit, last = result.jobs.select("submit_s", "end_s").to_numpy().T
    gpus = frame["gpus"].to_numpy()
    for time in set(start):
        on = job[(start <= time) & (end > time)].astype(int)
        waits = np.setdiff1d(np.flatnonzero((submit <= time) & (last > time)), on)
        assert np.all(gpus[waits] > 4 - gpus[on].sum())


def test_a_job_sinks_when_its_gpu_time_reaches_the_limit_and_rises_after_waiting() -> None:
    # A reaches 40 GPU-seconds at 10 and gives way to B, which reaches them at 20; A is then first in the second queue
    frame = pl.DataFrame({"submit_s": [0.0, 1.0], "duration_s": [30.0, 30.0], "gpus": [4, 4]})
    cluster = ap.parse_cluster("1x4")

    def runs(policy: str) -> list[tuple[int, float, float]]:
        result = ap.simulate(ap.Workload.of(frame), cluster, policy, check=True)
        return result.placements.select("job", "start_s", "end_s").rows()

    assert runs("tiresias[thresholds=40]") == [(0, 0, 10), (1, 10, 20), (0, 20, 40), (1, 40, 60)]
    # B has run 10 s and waited 10 s at 30
    assert runs("tiresias[thresholds=40,promote=1]")[:4] == [(0, 0, 10), (1, 10, 20), (0, 20, 30), (1, 30, 40)]


def test_the_gittins_index_of_two_sizes() -> None:
    # S is 10 or 100; D = 10: at 0 P = 1/2, E = 10; at 10 P = 0 as 90 are left
    above, value = gittins_index(np.array([100.0, 10.0]), 10.0)
    assert above.tolist() == [10.0, 100.0]
    assert value.tolist() == [0.05, 0.0]
    # D = 200: at 0 P = 1, E = 55; at 10 P = 1, E = 90
    assert gittins_index(np.array([100.0, 10.0]), 200.0)[1].tolist() == pytest.approx([1 / 55, 1 / 90])


@given(st.lists(st.integers(2, 500), min_size=2, max_size=30), st.integers(1, 300))
def test_the_released_index_differs_as_it_says(samples: list[int], delta: int) -> None:
    above, value = released_index(np.array(samples, float), delta)
    size = sorted(samples)
    assert above.tolist() == size
    for v, found in zip(size, value, strict=True):
        later = [s for s in size if s > v - 1]
        within = [s for s in later if s <= v - 1 + delta] if v - 1 + delta <= size[-1] - 1 else later[:-1]
        mean = (sum(within) + delta * (len(later) - len(within))) / len(later)
        assert found == round(round(len(within) / len(later), 5) * 1e6 / round(mean, 5), 4)


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        ("tiresias[thresholds=5/3]", "ascending"),
        ("tiresias[thresholds=0/3]", "ascending"),
        ("tiresias[thresholds=a]", "ascending"),
        ("tiresias[by=gpus]", "gpu-time or time"),
        ("tiresias[promote=-1]", "at least 0"),
        ("tiresias[delta=0]", "more than 0"),
        ("tiresias[history=x.csv]", "without rank=gittins"),
        ("tiresias[rank=gittins,history=/nowhere/x.csv]", "cannot read /nowhere/x.csv"),
    ],
)
def test_wrong_parameters_are_refused_in_a_line(policy: str, what: str) -> None:
    frame = pl.DataFrame({"submit_s": [0.0], "duration_s": [1.0], "gpus": [1]})
    with pytest.raises(ap.ApportionError, match=what) as error:
        ap.simulate(ap.Workload.of(frame), ap.parse_cluster("1x4"), policy)
    assert "\n" not in str(error.value)
