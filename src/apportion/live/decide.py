"""Ask a policy: one scheduling pass of the simulator's own engine over a situation, or a run on from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.encode import Encoded, encode
from apportion.engine.layout import DONE, F8, PAUSE, ROUND
from apportion.engine.plan import KEY_NONE, OrderPlan, Settings
from apportion.engine.restore import Held, restore
from apportion.engine.run import Engine, Times
from apportion.live.recall import LiveRounds, State, recall_allocator, stand_again, state_of
from apportion.live.situation import ENDED, RUNNING, Situation
from apportion.model.errors import ApportionError
from apportion.model.workload import Workload
from apportion.policies.protocol import Allocator, Jobs, Policy, prepare


class SituationError(ApportionError):
    """What was observed cannot be: the places of a running job are not free."""

    def __init__(self, job_id: str, message: str) -> None:
        super().__init__(message)
        self.job_id = job_id


@dataclass(frozen=True)
class Start:
    """Start a job: for each of its pieces the node, and the bit set of the devices the policy chose there."""

    job_id: str
    nodes: tuple[str, ...]
    devices: tuple[int, ...]


@dataclass(frozen=True)
class Decisions:
    """What a policy wants now.

    Parameters
    ----------
    stops: running jobs to suspend, in order. starts: pending jobs to start once those are gone, in order.
    wake_s: when the policy wants to be asked again even if nothing happens (inf = not). state: what it has to remember
    until then, {} = nothing.
    """

    stops: tuple[str, ...]
    starts: tuple[Start, ...]
    wake_s: float = np.inf
    state: State = field(default_factory=dict, repr=False)


def decide(situation: Situation, policy: Policy, *, backfill: int = 0, seed: int = 0) -> Decisions:
    """Return what `policy` does in this situation, exactly as in a simulation that stood there.

    Raises
    ------
    SituationError: the places of a running job are not free.
    """
    engine, encoded = resume(situation, policy, backfill=backfill, seed=seed, until_s=situation.now_s)
    rounds = finish(engine, encoded, policy, situation)
    return replace(_decisions(engine, situation), state=state_of(engine, rounds, policy, situation))


def resume(
    situation: Situation,
    policy: Policy,
    *,
    backfill: int = 0,
    seed: int = 0,
    until_s: float = np.inf,
    later: Workload | None = None,
    durations: F8 | None = None,
) -> tuple[Engine, Encoded]:
    """Return an engine that stands in the situation and has decided nothing yet.

    Parameters
    ----------
    until_s: where the run ends. later: jobs that will be submitted, after `now_s`. durations: f8[jobs], seconds of work
    in all of the situation's jobs, instead of the predicted ones.
    """
    workload = situation.workload
    if later is not None and len(later):
        workload = Workload(pl.concat([workload.table, later.table], how="diagonal_relaxed"), None, "situation")
    encoded = encode(workload, situation.cluster)
    engine = stand(situation, encoded, policy, backfill=backfill, seed=seed, until_s=until_s, durations=durations)
    return engine, encoded


def stand(
    situation: Situation,
    encoded: Encoded,
    policy: Policy,
    *,
    backfill: int = 0,
    seed: int = 0,
    until_s: float = np.inf,
    durations: F8 | None = None,
    order: OrderPlan | None = None,
    held: Held | None = None,
) -> Engine:
    """Return an engine that stands in the situation, whose jobs are the first of `encoded`; see `resume`.

    order: of all jobs of `encoded`; default: what the policy says. held: what `held_of` says of the situation.
    """
    workload = encoded.workload
    if order is None:
        order = order_of(policy, encoded, seed)
    settings = Settings(backfill=backfill, until_s=until_s, seed=seed)
    engine = Engine(encoded, _times(workload, durations), order, policy.placement.plan(), settings)
    held = held or held_of(situation, encoded)
    bad = restore(engine, _for_run(held, situation, encoded, order))
    if bad >= 0:
        name = str(situation.jobs["job_id"][bad])
        raise SituationError(name, f"job {name} runs where its nodes do not have that much free")
    stand_again(engine, policy, situation)
    return engine


def order_of(policy: Policy, encoded: Encoded, seed: int = 0) -> OrderPlan:
    """Return how the policy orders the jobs; an allocator has no keys."""
    if isinstance(policy.order, Allocator):
        return OrderPlan(KEY_NONE)
    return policy.order.plan(Jobs(encoded.workload, encoded, seed))


def finish(
    engine: Engine,
    encoded: Encoded,
    policy: Policy,
    situation: Situation,
    progress: Callable[[int, int], None] | None = None,
) -> LiveRounds | None:
    """Run the engine on to its end; return the rounds of an allocator."""
    rounds = None
    if isinstance(policy.order, Allocator):
        rounds = rounds_of(encoded, policy, situation)
    while True:
        status = engine.step()
        if status == DONE:
            return rounds
        if status == PAUSE and progress is not None:
            progress(int(engine.number("arrived")), engine.arrays["jobs"].size)
        if status == ROUND and rounds is not None:
            rounds.round(engine, policy.order)  # type: ignore[arg-type]


def rounds_of(encoded: Encoded, policy: Policy, situation: Situation) -> LiveRounds:
    """Return the door through which the policy's allocator decides on this situation and what follows it."""
    allocator = policy.order
    assert isinstance(allocator, Allocator)
    prepare(allocator, Jobs(encoded.workload, encoded, 0))
    gpus = encoded.milli / 1000
    numbers = np.full(gpus.size, -1, np.int64)
    numbers[: situation.jobs.height] = situation.jobs["number"].to_numpy()
    later = numbers < 0
    numbers[later] = numbers.max(initial=-1) + 1 + np.arange(later.sum())
    # a job of a real cluster keeps the size it was submitted with
    rounds = LiveRounds(encoded, gpus, gpus, allocator.round_s, numbers)
    rounds.hold(np.flatnonzero((situation.jobs["state"] == RUNNING).to_numpy()))
    recall_allocator(rounds, policy, situation)
    return rounds


def _times(workload: Workload, durations: F8 | None) -> Times:
    table = workload.table
    filled = table.select(
        estimate=pl.coalesce("estimate_s", "duration_s"), deadline=pl.col("deadline_s").fill_null(np.inf)
    )
    work = table["duration_s"].to_numpy().copy()
    if durations is not None:
        work[: durations.size] = durations
    return Times(
        table["submit_s"].to_numpy(),
        work,
        filled["estimate"].to_numpy(),
        filled["deadline"].to_numpy(),
        table["priority"].to_numpy().astype(float),
        table["preemptible"].to_numpy(),
    )


def held_of(situation: Situation, encoded: Encoded) -> Held:
    """Return what the jobs of a situation hold, without what its users and groups were served.

    Raises
    ------
    SituationError: a running job has not as many places as pieces.
    """
    table = situation.jobs
    ended, running = situation.count(ENDED), situation.count(RUNNING)
    names = situation.cluster.table.select("node", _node=pl.int_range(pl.len()))
    jobs = table.slice(ended, running).select("job_id", _job=pl.int_range(pl.len()))
    pieces = situation.places.join(names, on="node", how="left", maintain_order="left").join(jobs, on="job_id")
    pieces = pieces.sort("_job", maintain_order=True)
    found = np.bincount(pieces["_job"].to_numpy(), minlength=running)
    expected = encoded.kinds["pieces"][encoded.kind[ended : ended + running]]
    for row in np.flatnonzero(found != expected)[:1]:
        job = str(jobs["job_id"][int(row)])
        raise SituationError(job, f"job {job} runs on {found[row]} places, expected {expected[row]}")
    return Held(
        situation.now_s,
        ended,
        table["started_s"][ended : ended + running].to_numpy().astype(float),
        table["attained_s"].to_numpy(),
        table["preemptions"].to_numpy().astype(np.int64),
        pieces["_node"].to_numpy().astype(np.int64),
        pieces["devices"].to_numpy().astype(np.int64),
        situation.cluster.table["node"].is_in(list(situation.closed)).to_numpy(),
    )


def _for_run(held: Held, situation: Situation, encoded: Encoded, order: OrderPlan) -> Held:
    """Return what is held, told of all jobs of a run: those that come later have held nothing."""
    more = (0, encoded.kind.size - held.earlier.size)
    return replace(
        held,
        earlier=np.pad(held.earlier, more),
        preemptions=np.pad(held.preemptions, more),
        served=_served(situation, encoded, order),
    )


def _served(situation: Situation, encoded: Encoded, order: OrderPlan) -> F8 | None:
    if order.share is None or not situation.served:
        return None
    by_user = order.share is encoded.user
    names = encoded.users if by_user else encoded.groups
    known = situation.served.get("user" if by_user else "group", {})
    out = np.zeros(int(np.max(order.share, initial=0)) + 1)
    for i, name in enumerate(names[: out.size]):
        out[i] = known.get(name, 0.0)
    return out


def _decisions(engine: Engine, situation: Situation) -> Decisions:
    names: list[str] = situation.cluster.table["node"].to_list()
    ids = situation.jobs["job_id"]
    before = situation.count(RUNNING)
    runs: Any = engine.arrays["runs"][: int(engine.number("run_count"))]
    puts = engine.arrays["puts"]
    stopped = runs["job"][:before][np.isfinite(runs["end"][:before])]
    # in the order in which they were stopped: of equal keys the first waits in front
    stopped = stopped[np.argsort(engine.arrays["jobs"]["sequence"][stopped], kind="stable")]
    started = runs[before:][~np.isfinite(runs["end"][before:])]
    starts = []
    for job, run in zip(ids[started["job"]].to_list(), started, strict=True):
        held = puts[run["put"] : run["put"] + run["pieces"]]
        starts.append(Start(job, tuple(names[n] for n in held["node"]), tuple(held["mask"].tolist())))
    wake = min(engine.number("wake_at"), engine.number("round_at"))
    return Decisions(tuple(ids[stopped].to_list()), tuple(starts), wake)
