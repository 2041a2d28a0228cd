"""One run: a workload, a cluster, a policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.adapting import Batches
from apportion.engine.check import check_log
from apportion.engine.encode import Encoded, encode
from apportion.engine.layout import EASY, F8, SKIP, STRICT, Records
from apportion.engine.plan import KEY_NONE, KEY_PREEMPTIVE, KEY_SHARE, OrderPlan, Settings
from apportion.engine.round_log import RoundLog
from apportion.engine.rounds import Rounds
from apportion.engine.rules import Rules, get_rules
from apportion.engine.run import Engine, Times
from apportion.engine.speeds import rates_of, speeds_of, where_it_runs
from apportion.engine.step_rounds import StepRounds
from apportion.engine.world import OUTSIDE
from apportion.model.cluster import Cluster
from apportion.model.errors import InputError, PolicyError, did_you_mean
from apportion.model.signal import NodeEvents
from apportion.model.workload import Workload
from apportion.policies.protocol import Allocator, Jobs, Policy, prepare
from apportion.policies.registry import parse_policy
from apportion.study.fairness import with_fairness
from apportion.study.outcome import outcome
from apportion.study.power_off import PowerOff, switch_for
from apportion.study.result import Result
from apportion.traces.shockwave import GPU

BACKFILL = {"skip": SKIP, "strict": STRICT, "easy": EASY}
CHECKPOINT_COSTS: dict[str, Callable[[F8], F8]] = {
    # seconds of a preemption by GPUs, as in the Helios simulator (Hu et al., SC 2021)
    "helios": lambda gpus: np.where(gpus <= 1, 7.0, np.where(gpus <= 8, 30.0, 60.0)),
}


def simulate(
    workload: Workload,
    cluster: Cluster,
    policy: str | Policy = "fifo",
    *,
    backfill: str = "skip",
    granularity: float = 0.0,
    checkpoint_cost: float | str = 0.0,
    checkpoint_interval: float = 0.0,
    failures: NodeEvents | None = None,
    seed: int = 0,
    until: float | None = None,
    check: bool = False,
    trace: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    power: PowerOff | None = None,
    rules: str | None = None,
) -> Result:
    """Run `workload` on `cluster` under `policy`.

    Parameters
    ----------
    backfill: `skip` (what does not fit is passed over), `strict` (it holds up those behind it) or `easy` (others may
    pass
        it if they do not delay it).
    granularity: seconds; decisions are taken at multiples of it only, as tick simulators do (0 = at every event).
    checkpoint_cost: seconds of work a preemption adds, or `helios` (7, 30 or 60 s by GPUs).
    checkpoint_interval: seconds of work between checkpoints; after a node failure a job starts again from the last (0 =
        from the beginning).
    failures: when nodes fail and are repaired. seed: of everything drawn. until: seconds at which the run is cut off.
    check: verify the invariants of the outcome. trace: name shown in results. progress: called with (arrived, jobs).
    rules: rounds of an allocator go as in a published simulator: `gavel` or `shockwave` (`engine.rules`).
    power: when nodes are switched off and on; the summary then says how much energy was used.

    Raises
    ------
    PolicyError, InputError: what was asked for cannot be; one line that says what and what would be right.

    Examples
    --------
    >>> import apportion as ap
    >>> trace = ap.load("synthetic:philly?jobs=200&seed=1")
    >>> result = ap.simulate(trace.workload, trace.cluster, "sjf+best-fit")
    >>> result.summary()["completed"]
    200
    """
    chosen = parse_policy(policy) if isinstance(policy, str) else policy
    if backfill not in BACKFILL:
        raise PolicyError(
            f"found backfill {backfill!r}, expected {', '.join(BACKFILL)}{did_you_mean(backfill, BACKFILL)}"
        )
    for name, value in (("granularity", granularity), ("checkpoint_interval", checkpoint_interval)):
        if not 0 <= value < np.inf:
            raise InputError(f"found {name} {value!r}, expected seconds, at least 0")
    if until is not None and np.isnan(until):
        raise InputError(f"found until {until!r}, expected seconds")
    if seed < 0:
        raise InputError(f"found seed {seed!r}, expected a whole number of at least 0")
    models = cluster.table["gpu_model"].drop_nulls().unique(maintain_order=True).to_list()
    by_order = not isinstance(chosen.order, Allocator)
    encoded = encode(workload if rules is not None else where_it_runs(workload, models), cluster)
    times = _times(workload)
    settings = Settings(
        BACKFILL[backfill],
        float(granularity),
        _checkpoint_cost(checkpoint_cost, encoded),
        float(checkpoint_interval),
        np.inf if until is None else float(until),
        seed,
    )
    if isinstance(chosen.order, Allocator):
        allocator, order = chosen.order, OrderPlan(KEY_NONE)
        prepare(allocator, Jobs(workload, encoded, seed))
    else:
        allocator, order = None, chosen.order.plan(Jobs(workload, encoded, seed))
    if backfill == "easy" and order.mode in (KEY_SHARE, KEY_PREEMPTIVE, KEY_NONE):
        raise PolicyError(f"{chosen.name}: backfill easy needs an order whose first job keeps its place")
    outside = _outside(failures, cluster)
    engine = Engine(encoded, times, order, chosen.placement.plan(), settings, outside)
    known = rates_of(workload, models)
    if known is not None:
        engine.set_rates(known[0] if by_order else np.full(len(workload), -2, np.int32), known[1])
    decide = None
    how_rounds = get_rules(rules) if rules is not None else None
    asked: RoundLog | None = None
    sizes: list[float] | None = None
    if how_rounds is not None:
        if allocator is None:
            raise PolicyError(f"{chosen.name}: rules {how_rounds.name} are for allocators; this is an order")
        steps = _step_rounds(encoded, how_rounds, allocator, _bounds(workload, encoded), seed)
        asked, sizes = steps.log, steps.sizes

        def decide(running: Engine) -> None:
            steps.round(running, allocator)

    elif allocator is not None:
        rounds = Rounds(encoded, *_bounds(workload, encoded), round_s=allocator.round_s)
        rounds.rows = None if known is None else known[0]
        asked, sizes = rounds.log, rounds.sizes

        def decide(running: Engine) -> None:
            rounds.round(running, allocator)

    switch = None
    if power is not None:
        if failures is not None and not power.never:
            raise InputError("found failures together with nodes that are switched off, expected one of the two")
        switch = switch_for(power, cluster, workload.table["submit_s"].to_numpy(), workload.origin)
    watchers = [
        watcher for watcher in (order.watcher, None if power and power.never else switch) if watcher is not None
    ]
    log = engine.run(decide, progress, watchers)
    del engine, decide  # a million jobs' queues and heaps are not needed to describe the outcome
    if check:
        check_log(encoded, log, sizes, timed=how_rounds is None)
    how: dict[str, Any] = {"backfill": backfill, "granularity_s": settings.granularity_s, "seed": seed}
    if failures is not None:
        how["failures"] = failures
    if asked is not None:
        how["rounds"] = asked
    if how_rounds is not None:
        how["rules"] = how_rounds.name
    if power is not None and switch is not None:
        how["power"] = (power, switch.intervals(log.end_s))
        if not power.never:
            how["failures"] = switch.events(tuple(cluster.table["node"]))
    result = outcome(chosen.name, trace or workload.name, workload, cluster, encoded, log, how)
    return with_fairness(result) if asked is not None else result


def _step_rounds(encoded: Encoded, rules: Rules, allocator: Allocator, bounds: tuple[F8, F8], seed: int) -> StepRounds:
    table = encoded.workload.table
    speeds = speeds_of(encoded, *bounds)
    batches = None
    profiles = encoded.workload.profiles
    if rules.adapting and profiles is not None and "mode" in table.columns:
        batches = Batches(
            table["job_type"].str.split(" (").list.first().to_list(),
            table["mode"].to_list(),
            speeds.gpus.astype(np.int64),
            table["batch_size"].fill_null(0).to_numpy().astype(np.int64),
            profiles,
            list(encoded.models) or [GPU],
        )
    # the released code shuffles the GPU models for policies that do not know them apart
    shuffled = seed + 5 if getattr(allocator, "shuffles", False) else None
    packs = bool(getattr(allocator, "packs", False)) and batches is None
    return StepRounds(speeds, rules, table["duration_s"].to_numpy(), batches, packs, seed=shuffled)


def _times(workload: Workload) -> Times:
    table = workload.table
    filled = table.select(
        estimate=pl.coalesce("estimate_s", "duration_s"), deadline=pl.col("deadline_s").fill_null(np.inf)
    )
    return Times(
        table["submit_s"].to_numpy(),
        table["duration_s"].to_numpy(),
        filled["estimate"].to_numpy(),
        filled["deadline"].to_numpy(),
        table["priority"].to_numpy().astype(float),
        table["preemptible"].to_numpy(),
    )


def _checkpoint_cost(given: float | str, encoded: Encoded) -> float | F8:
    if isinstance(given, str):
        if given not in CHECKPOINT_COSTS:
            raise InputError(f"found checkpoint cost {given!r}, expected seconds or {', '.join(CHECKPOINT_COSTS)}")
        return CHECKPOINT_COSTS[given](encoded.milli / 1000)
    if not given >= 0:
        raise InputError(f"found checkpoint cost {given!r}, expected seconds, at least 0")
    return float(given)


def _bounds(workload: Workload, encoded: Encoded) -> tuple[F8, F8]:
    asked = pl.Series(encoded.milli / 1000)
    least = workload.table["min_gpus"].cast(pl.Float64)
    most = workload.table["max_gpus"].cast(pl.Float64)
    bounds = pl.select(least=pl.coalesce(least, asked), most=pl.coalesce(most, asked))
    return bounds["least"].to_numpy(), bounds["most"].to_numpy()


def _outside(failures: NodeEvents | None, cluster: Cluster) -> Records | None:
    if failures is None:
        return None
    number = {name: i for i, name in enumerate(cluster.table["node"])}
    events = np.zeros(len(failures.nodes), OUTSIDE)
    for i, name in enumerate(failures.nodes):
        if name not in number:
            raise InputError(f"node events: found node {name!r}, which the cluster does not have", row=i + 1)
        events["node"][i] = number[name]
    events["time"], events["up"] = failures.times_s, failures.up
    return events
