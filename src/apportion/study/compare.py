"""The same trace under several policies, seeds and loads, side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import polars as pl

from apportion.model.cluster import Cluster
from apportion.model.errors import InputError, UsageError
from apportion.model.trace import Trace
from apportion.model.workload import Workload
from apportion.policies.registry import parse_policy
from apportion.study.churn import churn as drawn
from apportion.study.churn import steady_state
from apportion.study.fairness import with_fairness
from apportion.study.load import at_load
from apportion.study.result import Result
from apportion.study.simulate import simulate

T = TypeVar("T")
Progress = Callable[[int, int, int], None]
"""Called with (run, jobs arrived in it, jobs in it)."""


@dataclass(frozen=True)
class Run:
    """One cell of a study: a policy at a load (None = as recorded) with a seed."""

    policy: str
    seed: int
    load: float | None


@dataclass(frozen=True)
class Study:
    """Results of a comparison, in the order policies x loads x seeds.

    Parameters
    ----------
    runs, results: the cells and what came out of each. churned: whether the jobs were drawn anew for every seed.
    """

    runs: list[Run]
    results: list[Result] = field(repr=False)
    churned: bool = False

    def summaries(self) -> list[dict[str, Any]]:
        """Return the summary of every run; `seed` and `load` are there where several were asked for.

        Those of a churn have `steady`: `allocated_pct`, `fragmented_pct` and `pending_jobs` once it is under way.
        """
        seeds = len({run.seed for run in self.runs}) > 1
        out = []
        for run, result in zip(self.runs, self.results, strict=True):
            extra: dict[str, Any] = {"seed": run.seed} if seeds else {}
            if run.load is not None:
                extra["load"] = run.load
            if self.churned:
                extra["steady"] = steady_state(result)
            out.append(result.summary() | extra)
        return out

    def means(self) -> list[dict[str, Any]]:
        """Return a summary per policy and load with numbers averaged over seeds.

        With several seeds `jct_mean_ci95_s` and the like are half the widths of the 95 % confidence intervals of the
        means (Student's t).
        """
        seeds = max(len({run.seed for run in self.runs}), 1)
        summaries = self.summaries()
        return [_mean(summaries[i : i + seeds]) for i in range(0, len(summaries), seeds)]

    def frame(self) -> pl.DataFrame:
        """Return a row per run with the summary's numbers as columns (`jct_s.mean`, ...)."""
        return pl.DataFrame([_flat(summary) for summary in self.summaries()])


def compare(
    trace: Trace,
    policies: Sequence[str],
    *,
    cluster: Cluster | None = None,
    seeds: int = 1,
    loads: Sequence[float] = (),
    churn: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Study:
    """Run `trace` under every policy, at every load, with every seed.

    Parameters
    ----------
    cluster: default the trace's own. seeds: runs per cell; the first uses `settings["seed"]` (0), the next one more.
    loads: offered loads to rescale the arrivals to. churn: instead of the trace's own times, a stream of its jobs at
    these loads, drawn anew for every seed (`apportion.study.churn`). workers: runs at once (default: one per core).
    ray: address of a Ray cluster that runs them instead (`auto`: the one at hand). settings: as for `simulate`.

    The outcome does not depend on `workers`.

    Raises
    ------
    InputError, PolicyError, UsageError: what was asked for cannot be.

    Examples
    --------
    >>> import apportion as ap
    >>> study = ap.compare(ap.load("synthetic:philly?jobs=300"), ["fifo", "sjf"])
    >>> [summary["policy"] for summary in study.summaries()]
    ['fifo', 'sjf']
    """
    machine = cluster or trace.cluster
    if machine is None:
        raise InputError(f"{trace.spec or trace.workload.name}: the trace has no nodes; give a cluster")
    if not policies:
        raise UsageError("expected at least one policy")
    if seeds < 1:
        raise UsageError(f"found {seeds} seeds, expected at least 1")
    for policy in policies:
        parse_policy(policy)
    first = int(settings.pop("seed", 0))
    runs = [Run(policy, first + i, load) for policy in policies for load in (loads or (None,)) for i in range(seeds)]
    name = trace.spec or trace.workload.name
    if churn and not loads:
        raise UsageError("a churn needs loads, as in 0.9,1.0")
    scaled: dict[float | None, Workload] = {
        load: trace.workload if churn else at_load(trace.workload, machine, load) for load in loads
    }
    jobs = [
        partial(_one, run, scaled.get(run.load, trace.workload), machine, name, settings, churn=churn) for run in runs
    ]
    if ray is not None:
        results = _on_ray(jobs, ray)
    else:
        results = list(in_threads(jobs, workers or os.cpu_count() or 1, progress))
    if any("ftf" in result.jobs.columns for result in results):
        # an order beside an allocator is measured by the same fairness
        results = [with_fairness(result) for result in results]
    return Study(runs, results, churn)


def _one(
    run: Run,
    workload: Workload,
    cluster: Cluster,
    name: str,
    settings: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
    churn: bool = False,
) -> Result:
    if churn and run.load is not None:
        workload = drawn(workload, cluster, run.load, run.seed)
    return simulate(workload, cluster, run.policy, seed=run.seed, trace=name, progress=progress, **settings)


def in_threads(jobs: Sequence[Callable[..., T]], workers: int, progress: Progress | None) -> Iterator[T]:
    """Run in threads: the compiled loop runs outside the interpreter's lock, and the tables are shared."""
    from threading import Event

    stopped = Event()

    def call(number: int) -> T:
        def step(arrived: int, total: int) -> None:
            if stopped.is_set():
                raise KeyboardInterrupt
            if progress is not None:
                progress(number, arrived, total)

        return jobs[number](progress=step)

    pool = ThreadPoolExecutor(max_workers=max(1, min(workers, len(jobs))))
    futures = [pool.submit(call, number) for number in range(len(jobs))]
    try:
        for future in futures:
            yield result_of(future)
    finally:
        # after an error or Ctrl-C nobody waits for the others: they end at their next slice
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


def result_of(future: Future[T]) -> T:
    """Wait for `future` in such a way that Ctrl-C is answered at once.

    Polars takes over the signal and lets the system go on with a wait that it interrupts; a short wait sees it.
    """
    while not future.done():
        wait([future], timeout=0.1)
    return future.result()


def _on_ray(jobs: Sequence[Callable[..., Result]], address: str) -> list[Result]:
    try:
        import ray
    except ImportError:
        raise UsageError("--ray needs Ray: pip install 'apportion[ray]'") from None
    try:
        ray.init(address=address, ignore_reinit_error=True)
    except Exception as error:
        raise UsageError(f"cannot reach Ray at {address!r}: {str(error).splitlines()[0]}") from None
    remote = ray.remote(lambda job: job())
    results: list[Result] = ray.get([remote.remote(job) for job in jobs])
    return results


def _flat(summary: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in summary.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _mean(group: list[dict[str, Any]]) -> dict[str, Any]:
    if len(group) == 1:
        return group[0]
    out: dict[str, Any] = {}
    seen: dict[str, Any] = {}
    for summary in group:
        seen = summary | seen
    for key, value in seen.items():
        if key == "seed":
            continue
        counted = isinstance(value, int)  # a count that is absent is none
        values = [summary.get(key, 0) for summary in group if counted or key in summary]
        if isinstance(value, dict):
            out[key] = _mean(values) if key != "engine" else value
        elif isinstance(value, int | float):
            out[key] = sum(values) / len(values)
        else:
            out[key] = value
    out["seeds"] = len(group)
    for name, where, key in _WITH_WIDTHS:
        means = [summary[where][key] for summary in group if key in summary.get(where, {})]
        if means:
            out[name] = half_width(means)
    for nested in out.values():
        if isinstance(nested, dict):
            nested.pop("seeds", None)
    return out


_WITH_WIDTHS = (
    ("jct_mean_ci95_s", "jct_s", "mean"),
    ("wait_mean_ci95_s", "wait_s", "mean"),
    ("allocated_ci95_pct", "steady", "allocated_pct"),
    ("fragmented_ci95_pct", "steady", "fragmented_pct"),
)
# two-sided 95 % points of Student's t for 1..30 degrees of freedom
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def half_width(values: list[float]) -> float:
    """Return half the width of the 95 % confidence interval of the mean (Student's t), 0 for a single value."""
    n = len(values)
    if n < 2:
        return 0.0
    mean = sum(values) / n
    variance = sum((v - mean) ** 2 for v in values) / (n - 1)
    t = _T95[n - 2] if n - 2 < len(_T95) else 1.96
    return t * math.sqrt(variance / n)
