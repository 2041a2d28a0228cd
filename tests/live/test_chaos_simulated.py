"""The controller among faults: nothing twice, nothing lost, gangs whole, and soon all is as it should be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from inputs import REPOSITORY

sys.path.insert(0, str(REPOSITORY))
from bench.chaos import FAULTS, Broken, Trial, table, trials

LASTING = ("node closed", "node failed", "job hidden", "clock forward", "clock back")
KILLS = tuple(fault for fault in FAULTS if fault.startswith("killed"))


@pytest.mark.parametrize("seed", range(3))
def test_any_faults(seed: int, tmp_path: Path) -> None:
    trial = Trial(seed)
    trial.run(tmp_path)
    assert trial.thrown.total() == len(trial.healed_in) > 3


@pytest.mark.parametrize("kinds", [KILLS, LASTING, ("lost", "half done", "done, answer lost", "refused")], ids=str)
def test_faults_of_a_kind(kinds: tuple[str, ...], tmp_path: Path) -> None:
    trial = Trial(100 + len(kinds), faults=6, kinds=kinds)
    trial.run(tmp_path)
    assert set(trial.thrown) <= set(kinds)
    assert (trial.restarts > 0) == (kinds == KILLS)
    assert max(trial.healed_in) <= 5


def test_a_seed_gives_the_same_run(tmp_path: Path) -> None:
    runs = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        trial = Trial(7, faults=4)
        trial.run(tmp_path / folder)
        runs.append((trial.thrown, trial.cycles, trial._cluster.starts))
    assert runs[0] == runs[1]


def test_a_broken_invariant_is_noticed(tmp_path: Path) -> None:
    trial = Trial(1, faults=0)
    trial.run(tmp_path)
    trial._backend.twice.append("j1")
    with pytest.raises(Broken, match="j1 was started although it ran"):
        trial._finish(trial._cluster.workload)


def test_the_table_names_every_fault() -> None:
    text = table(list(trials(4, seed=3, each=4)))
    assert all(fault in text for fault in FAULTS)
    assert "restarts" in text
