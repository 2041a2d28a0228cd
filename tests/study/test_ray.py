"""`compare --ray`: the runs of a study leave the process and come back, with a stand-in for Ray that pickles them."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import apportion as ap
from apportion.model.errors import UsageError


def fake_ray(address_wanted: str) -> Any:
    def init(address: str, **_: object) -> None:
        if address != address_wanted:
            raise ConnectionError(f"nobody at {address}\nat all")

    def remote(function: Callable[..., Any]) -> Any:
        return SimpleNamespace(remote=lambda job: (function, pickle.dumps(job)))

    def get(tasks: list[tuple[Callable[..., Any], bytes]]) -> list[Any]:
        return [pickle.loads(pickle.dumps(function(pickle.loads(job)))) for function, job in tasks]

    return SimpleNamespace(init=init, remote=remote, get=get)


def test_ray_gives_what_threads_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", fake_ray("auto"))
    trace = ap.load("synthetic:philly?jobs=200&seed=1")
    far = ap.compare(trace, ["fifo", "sjf+random"], seeds=2, ray="auto")
    near = ap.compare(trace, ["fifo", "sjf+random"], seeds=2, workers=1)
    for a, b in zip(far.results, near.results, strict=True):
        assert a.jobs.equals(b.jobs)
        assert a.timeline.equals(b.timeline)


def test_an_unreachable_ray_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", fake_ray("auto"))
    with pytest.raises(UsageError, match=r"cannot reach Ray at 'elsewhere': nobody at elsewhere$"):
        ap.compare(ap.load("synthetic:philly?jobs=20"), ["fifo"], ray="elsewhere")


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'apportion\[ray\]'"):
        ap.compare(ap.load("synthetic:philly?jobs=20"), ["fifo"], ray="auto")
