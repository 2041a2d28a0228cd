"""A progress bar on stderr for work over a second; nothing where stderr is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def interruptible(work: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Return `work(...)`, done in another thread: Ctrl-C is answered at once, not when compiled code returns."""
    from concurrent.futures import ThreadPoolExecutor

    from apportion.study.compare import result_of

    pool = ThreadPoolExecutor(max_workers=1)
    try:
        return result_of(pool.submit(work, *arguments, **named))
    finally:
        pool.shutdown(wait=False)


@contextmanager
def bar(title: str, quiet: bool, total: int = 1) -> Iterator[Any]:
    """Give a function `update(run, done, of)` that draws how far `total` runs are, once a second has passed."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    began = time.monotonic()
    shares: dict[int, float] = {}
    task = None

    def update(run: int, done: int, of: int) -> None:
        nonlocal task
        shares[run] = done / of if of else 1.0
        if task is None and time.monotonic() - began > 1:
            progress.start()
            task = progress.add_task(title, total=float(total))
        if task is not None:
            progress.update(task, completed=sum(shares.values()))

    try:
        yield update
    finally:
        if task is not None:
            progress.stop()
