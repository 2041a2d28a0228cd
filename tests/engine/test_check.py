"""The invariants: a good log passes, and each thing that no cluster can do is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from apportion.engine.check import InvariantError, check_log
from apportion.engine.encode import Encoded
from apportion.engine.run import Log
from apportion.model import Workload
from apportion.model.cluster_spec import parse_cluster
from apportion.study import simulate as module


def played(monkeypatch: pytest.MonkeyPatch, policy: str = "fifo", cluster: str = "1x4") -> tuple[Encoded, Log]:
    """Run five jobs and return what the check was given, free to be changed."""
    given: list[tuple[Encoded, Log]] = []
    monkeypatch.setattr(module, "check_log", lambda encoded, log, *_, **__: given.append((encoded, log)))
    frame = pl.DataFrame(
        {
            "submit_s": [0.0, 1.0, 2.0, 2.0, 3.0],
            "duration_s": [10.0, 10.0, 4.0, 5.0, 5.0],
            "tasks": [1, 2, 1, 1, 1],
            "gpus": [2, 1, 4, 1, 9],
            "gpu_milli": [1000, 1000, 1000, 500, 1000],
        }
    )
    module.simulate(Workload.of(frame), parse_cluster(cluster), policy, check=True)
    encoded, log = given[0]
    return encoded, replace(log, runs=log.runs.copy(), puts=log.puts.copy(), jobs=log.jobs.copy())


@pytest.mark.parametrize("policy", ["fifo", "srtf", "las[quantum=1]", "round-robin[quantum=2]"])
def test_a_good_log_passes(monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    check_log(*played(monkeypatch, policy))


def _run_of(log: Log, job: int) -> int:
    return int((log.runs["job"] == job).argmax())


def same_device(log: Log) -> None:
    """Give the second job's first task a device that the first job has."""
    first, second = (log.runs["put"][_run_of(log, job)] for job in (0, 1))
    log.puts["mask"][second] = int(log.puts["mask"][first]) & -int(log.puts["mask"][first])


def too_few_devices(log: Log) -> None:
    """Leave one device out of a task's set."""
    put = log.runs["put"][_run_of(log, 0)]
    log.puts["mask"][put] = int(log.puts["mask"][put]) & (int(log.puts["mask"][put]) - 1)


def no_such_device(log: Log) -> None:
    """Use a device beyond the node's last."""
    put = log.runs["put"][_run_of(log, 0)]
    log.puts["mask"][put] = 0b10001


def gang_in_part(log: Log) -> None:
    """Let a gang of two have a task that shares a device."""
    run = _run_of(log, 1)
    log.puts["shape"][log.runs["put"][run]] = log.puts["shape"][log.runs["put"][_run_of(log, 3)]]


def twice_at_once(log: Log) -> None:
    """Call the second job's run, which overlaps the first job's, another run of the first."""
    log.runs["job"][_run_of(log, 1)] = 0


def before_submission(log: Log) -> None:
    """Submit a job after its start."""
    log.jobs["submit"][1] = 100.0


def out_of_order(log: Log) -> None:
    """Begin the first run last."""
    log.runs["start"][0] = 1000.0


def ended_before_start(log: Log) -> None:
    """End before the start."""
    log.runs["end"][0] = -1.0


def work_undone(log: Log) -> None:
    """End with work left."""
    log.runs["end"][_run_of(log, 0)] -= 5.0


def rejected_ran(log: Log) -> None:
    """Call a job that ran rejected."""
    log.jobs["state"][0] = log.jobs["state"][4]


def still_holds(log: Log) -> None:
    """Never end the run of a job that has ended."""
    log.runs["end"][_run_of(log, 2)] = float("inf")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (same_device, "gave more than it has"),
        (too_few_devices, "gave more than it has"),
        (no_such_device, "gave more than it has"),
        (gang_in_part, "a gang was placed in part"),
        (twice_at_once, "a job ran twice at once"),
        (before_submission, "started before it was submitted"),
        (out_of_order, "not in the order of their starts"),
        (ended_before_start, "ended before it started"),
        (work_undone, "before or after its work was done"),
        (rejected_ran, "a rejected job ran"),
        (still_holds, "holds devices"),
    ],
)
def test_what_no_cluster_can_do_is_caught(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Log], Any], said: str
) -> None:
    encoded, log = played(monkeypatch)
    check_log(encoded, log)
    spoil(log)
    with pytest.raises(InvariantError, match=said):
        check_log(encoded, log)


@pytest.mark.parametrize("field", ["cpu", "memory"])
def test_cpu_and_memory_are_counted_too(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    encoded, log = played(monkeypatch)
    tasks = log.tasks.copy()
    tasks[field] = 1 << 45
    with pytest.raises(InvariantError, match="gave more than it has"):
        check_log(encoded, replace(log, tasks=tasks))
