"""What keeps a pending job from starting now: the one thing without which it would start, found by asking the engine.

The job is tried alone beside what runs. If it fits, the queue keeps it; if not, one condition after another is lifted
(closed nodes, CPU, memory, groups, GPU models), and the first that makes it fit is what it lacks. Otherwise GPUs do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.encode import Encoded
from apportion.engine.layout import EASY, I8, KEY_PREEMPTIVE, STRICT, Records
from apportion.engine.run import Engine
from apportion.live.changes import Ask, Open
from apportion.live.decide import Decisions, decide, order_of, resume
from apportion.live.queue import WHY, Queue, queue_of
from apportion.live.situation import Situation
from apportion.live.trial import Trial
from apportion.live.words import cores, gpus, mib, names, plural
from apportion.model.cluster import Cluster
from apportion.model.units import format_duration
from apportion.policies.protocol import Allocator

KINDS = {
    "turn": "others go first",
    "backfill": "the first of the queue holds it up",
    "round": "the policy gives it nothing in this round",
    "closed": "nodes are closed",
    "cpu": "not enough CPU beside free GPUs",
    "memory": "not enough memory beside free GPUs",
    "cpu and memory": "not enough CPU and memory beside free GPUs",
    "group": "its group's nodes are full",
    "model": "free GPUs are of another model",
    "capacity": "not enough GPUs are free",
    "fragmentation": "enough GPUs are free, but scattered",
    "impossible": "it does not fit the idle cluster",
}
"""Every blocker, in a few words."""


@dataclass(frozen=True)
class Blocker:
    """The dominant blocker.

    Parameters
    ----------
    kind: one of `KINDS`. text: what is so, in plain words. details: more to know, a sentence each.
    """

    kind: str
    text: str
    details: tuple[str, ...] = ()


class Scene:
    """A situation at the moment of a decision, as one of its pending jobs sees it."""

    def __init__(self, trial: Trial, row: int) -> None:
        self.trial, self.row = trial, row
        self.situation = trial.situation
        self.job: dict[str, Any] = self.situation.jobs.row(row, named=True)
        engine, encoded = resume(self.situation, trial.policy, seed=trial.seed, until_s=self.situation.now_s)
        self.engine: Engine = engine
        self.encoded: Encoded = encoded
        self.kind = encoded.kinds[encoded.kind[row]]
        self.task = encoded.tasks[self.kind["shape"]]
        self.nodes: Records = engine.arrays["nodes"]

    @property
    def decisions(self) -> Decisions:
        """What the policy does now."""
        return decide(self.situation, self.trial.policy, backfill=self.trial.backfill, seed=self.trial.seed)

    @property
    def queue(self) -> Queue:
        """The pending jobs in the policy's order."""
        return queue_of(self.situation, self.encoded, self.trial.policy, self.trial.seed)

    def usable(self, *, any_group: bool = False, any_model: bool = False) -> I8:
        """Return the nodes the job may use, closed ones included."""
        nodes, task = self.nodes, self.task
        keep = np.ones(nodes.size, bool)
        if task["models"] and not any_model:
            keep &= (nodes["model"] >= 0) & ((int(task["models"]) >> np.maximum(nodes["model"], 0)) & 1 == 1)
        if task["group"] != -1 and not any_group:
            keep &= (nodes["group"] == -1) | (nodes["group"] == task["group"])
        return np.flatnonzero(keep)

    def node_names(self, rows: I8) -> list[str]:
        """Return names of nodes."""
        names_: list[str] = self.situation.cluster.table["node"].to_list()
        return [names_[int(row)] for row in rows]

    def demand(self) -> str:
        """Return `4 GPUs`, `2 tasks of 8 V100 GPUs each`."""
        model = " or ".join(self.job["gpu_models"])
        per_task = self.job["gpus"] * self.job["gpu_milli"]
        if per_task == 0:
            return plural(self.job["tasks"], "task") + " without GPUs"
        if self.job["tasks"] == 1:
            return gpus(per_task, model)
        return f"{plural(self.job['tasks'], 'task')} of {gpus(per_task, model)} each"


def find_blocker(scene: Scene) -> Blocker:
    """Return the dominant blocker of a pending job that does not start now."""
    trial, situation = scene.trial, scene.situation
    if bool(scene.encoded.rejected[scene.row]):
        return _impossible(scene)
    if trial.fits(situation):
        return _queue(scene)
    closed = situation.closed & set(scene.node_names(scene.usable()))
    if closed and trial.fits(Open(tuple(sorted(closed))).apply(situation)):
        return _closed(scene, sorted(closed))
    kind = lacking(scene, situation)
    text = {
        "group": _group,
        "model": _model,
        "capacity": _capacity,
        "fragmentation": _fragmentation,
    }.get(kind, _beside)(scene)
    details: list[str] = []
    queue = scene.queue
    before = queue.before(scene.row)
    if queue.by and before.size:
        details += _received(scene, queue, before)
    if _suspends(scene):
        details.append(f"{_order_name(scene)} suspends running jobs only for jobs that it puts before them")
    return Blocker(kind, text, tuple(details))


def lacking(scene: Scene, situation: Situation) -> str:
    """Return which condition, lifted, would make the job fit beside what runs; GPUs where none does."""
    job, trial = scene.trial.job_id, scene.trial
    cpu, memory = int(scene.task["cpu"]), int(scene.task["memory"])
    if cpu and trial.fits(Ask(job, {"cpu_milli": 0}).apply(situation)):
        return "cpu"
    if memory and trial.fits(Ask(job, {"memory_mib": 0}).apply(situation)):
        return "memory"
    if cpu and memory and trial.fits(Ask(job, {"cpu_milli": 0, "memory_mib": 0}).apply(situation)):
        return "cpu and memory"
    if scene.task["group"] != -1 and trial.fits(undivided(situation)):
        return "group"
    if scene.job["gpu_models"] and trial.fits(Ask(job, {"gpu_models": []}).apply(situation)):
        return "model"
    free = int(_up(scene)["free_milli"].sum())
    return "capacity" if free < int(scene.kind["milli"]) or not scene.kind["milli"] else "fragmentation"


def undivided(situation: Situation) -> Situation:
    """Return the situation with nodes that belong to nobody."""
    table = situation.cluster.table.with_columns(group=pl.lit(None, pl.String))
    return replace(situation, cluster=Cluster(table, situation.cluster.name))


def _up(scene: Scene) -> Records:
    nodes = scene.nodes[scene.usable()]
    up: Records = nodes[nodes["up"] == 1]
    return up


def _order_name(scene: Scene) -> str:
    return scene.trial.policy.name.partition("+")[0].partition("[")[0]


def _suspends(scene: Scene) -> bool:
    return order_of(scene.trial.policy, scene.encoded, scene.trial.seed).mode == KEY_PREEMPTIVE


def _capacity(scene: Scene) -> str:
    milli = int(scene.kind["milli"])
    free = int(_up(scene)["free_milli"].sum())
    model = " or ".join(scene.job["gpu_models"])
    if not milli:
        return "no node it may use has room for it"
    if not free:
        return f"it needs {gpus(milli, model)}, and none it may use is free"
    return f"it needs {gpus(milli, model)}, and {gpus(free)} it may use {'is' if free == 1000 else 'are'} free"


def _fragmentation(scene: Scene) -> str:
    nodes = _up(scene)
    free = gpus(int(nodes["free_milli"].sum()))
    task = scene.task
    if task["milli"] < 1000 and task["gpus"] == 1:
        most = int(nodes["free"].max(initial=0))
        return f"{free} are free in all, but {task['milli'] / 1000:g} of one on no device (at most {most / 1000:g})"
    most = int(nodes["idle"].max(initial=0))
    if scene.kind["pieces"] > 1:
        piece = gpus(int(task["gpus"] * task["milli"]))
        return (f"{free} are free in all, but its {scene.kind['pieces']} pieces of {piece} do not find enough nodes "
                f"with so many free (at most {most} on one)")  # fmt: skip
    need = int(task["gpus"])
    return f"{free} are free in all, but no node has {need} free at once (at most {most} on one)"


def _beside(scene: Scene) -> str:
    nodes, task = _up(scene), scene.task
    need = int(task["gpus"]) * int(task["milli"])
    roomy = nodes[nodes["free_milli"] >= need]
    lack = []
    for field, free, words in (("cpu", "free_cpu", cores), ("memory", "free_memory", mib)):
        most = int(roomy[free].max(initial=0))
        short = int(task[field]) > most or scene.kind["pieces"] > 1
        if task[field] and short:
            what = "of memory " if field == "memory" else ""
            lack.append(f"{words(int(task[field]))} {what}({words(most)} at most)")
    lack = lack or [f"{cores(int(task['cpu']))} and {mib(int(task['memory']))} of memory on one node"]
    where = f"beside {gpus(need)} free" if need else "free on one node"
    many = f" for each of {scene.kind['pieces']} pieces" if scene.kind["pieces"] > 1 else ""
    return f"no node it may use has the {' and '.join(lack)} it needs {where}{many}"


def _group(scene: Scene) -> str:
    nodes = _up(scene)
    free, need = int(nodes["free_milli"].sum()), int(scene.kind["milli"])
    group = scene.job["group"] or "no group"
    state = "of which none is free" if not free else f"of which {gpus(free)} {'is' if free == 1000 else 'are'} free"
    other = int(scene.nodes[scene.usable(any_group=True)]["free_milli"].sum()) - free
    return (f"{group} may use nodes with {gpus(int(nodes['gpus'].sum()) * 1000)}, {state}; "
            f"it needs {gpus(need)}, and {gpus(other)} are free on nodes of others")  # fmt: skip


def _model(scene: Scene) -> str:
    free = int(_up(scene)["free_milli"].sum())
    wanted = " or ".join(scene.job["gpu_models"])
    other = int(scene.nodes[scene.usable(any_model=True)]["free_milli"].sum()) - free
    return f"it takes only {wanted} GPUs, of which {gpus(free)} {'is' if free == 1000 else 'are'} free; " \
           f"{gpus(other)} of other models {'is' if other == 1000 else 'are'} free"  # fmt: skip


def _closed(scene: Scene, closed: list[str]) -> Blocker:
    nodes = scene.nodes[scene.usable()]
    down = nodes[nodes["up"] == 0]
    free = int(down["free_milli"].sum())
    are = "is" if len(closed) == 1 else "are"
    text = f"{plural(len(closed), 'node')} it may use {are} closed ({names(closed)}), with {gpus(free)} free"
    return Blocker("closed", text)


def _impossible(scene: Scene) -> Blocker:
    idle = scene.trial.idle()
    usable = scene.nodes[scene.usable()]
    if not usable.size or not int(usable["gpus"].sum()) * 1000 >= int(scene.kind["milli"]):
        has = gpus(int(usable["gpus"].sum()) * 1000) if usable.size else "none"
        return Blocker("impossible", f"it asks for {scene.demand()}; the nodes it may use have {has} in all")
    kind = lacking(scene, idle)
    if kind in ("cpu", "memory", "cpu and memory"):
        parts = [cores(int(scene.task["cpu"]))] if "cpu" in kind else []
        parts += [mib(int(scene.task["memory"]))] if "memory" in kind else []
        return Blocker("impossible", f"no node it may use has {' and '.join(parts)} beside {scene.demand()}")
    lifted = {"group": "nodes of other groups would do", "model": "GPUs of other models would do"}.get(kind)
    return Blocker("impossible", f"it asks for {scene.demand()}, which do not fit its nodes even when they are idle",
                   (lifted,) if lifted else ())  # fmt: skip


def _queue(scene: Scene) -> Blocker:
    trial, situation = scene.trial, scene.situation
    if isinstance(trial.policy.order, Allocator):
        every = format_duration(trial.policy.order.round_s)
        return Blocker("round", f"it would fit, but {_order_name(scene)} gives its GPUs to others in this round "
                       f"(it decides every {every})")  # fmt: skip
    queue = scene.queue
    before = queue.before(scene.row)
    ids = situation.jobs["job_id"]
    starting = {start.job_id for start in scene.decisions.starts}
    stuck = [int(row) for row in before if ids[int(row)] not in starting]
    if trial.backfill in (STRICT, EASY) and stuck:
        return _held_up(scene, before, stuck[0])
    ahead = [int(row) for row in before if ids[int(row)] in starting]
    taking = [str(ids[row]) for row in ahead]
    fits = "it would fit by itself, but "
    if taking:
        held = gpus(int(scene.encoded.milli[ahead].sum()))
        verbs = ("goes", "takes") if len(taking) == 1 else ("go", "take")
        text = f"{fits}{plural(len(taking), 'job')} {verbs[0]} first and {verbs[1]} {held}: {names(taking)}"
    else:
        text = f"{fits}{plural(before.size, 'job')} of the queue {'goes' if before.size == 1 else 'go'} first"
    return Blocker("turn", text, tuple(_why_first(scene, queue, ahead or [int(row) for row in before])))


def _held_up(scene: Scene, before: I8, head: int) -> Blocker:
    job = str(scene.situation.jobs["job_id"][head])
    need = gpus(int(scene.encoded.milli[head]))
    if scene.trial.backfill == STRICT:
        text = f"it would fit, but stands behind job {job}, which needs {need} and does not fit; nobody may pass it"
    else:
        text = f"it would fit, but starting it would delay job {job}, the first of the queue, which needs {need}"
    more = f"{plural(before.size, 'job')} stand before it" if before.size > 1 else "it is the next after that one"
    return Blocker("backfill", text, (more, *_why_first(scene, scene.queue, [head])))


def _received(scene: Scene, queue: Queue, before: I8) -> list[str]:
    """Return what the job's user or group has received, and how many stand before it for having received less."""
    table, by = scene.situation.jobs, queue.by
    mine = queue.shares[str(table[by][scene.row])]
    less = {str(name) for name in table[by].gather(before)} - {mine.name}
    others = plural(len(less), by)
    return [
        f"{by} {mine.name or '(none)'} has received {mine.total_gpu_s / 3600:,.1f} GPU-h "
        f"({mine.before_gpu_s / 3600:,.1f} before + {mine.running_gpu_s / 3600:,.1f} of what runs now), "
        f"{others} with jobs before it {'has' if len(less) == 1 else 'have'} received less"
    ]


def _why_first(scene: Scene, queue: Queue, ahead: list[int]) -> list[str]:
    """Return why those go first, with the arithmetic of shares."""
    if not ahead:
        return []
    if not queue.by:
        name = _order_name(scene)
        return [f"{WHY.get(name, 'it puts them first')} (order: {name})"]
    table, by = scene.situation.jobs, queue.by
    mine = str(table[by][scene.row])
    out = [f"the {by} that has received least goes first"]
    for who in [mine, *sorted({str(table[by][row]) for row in ahead} - {mine})[:3]]:
        share = queue.shares[who]
        total = f"{share.total_gpu_s / 3600:,.1f} GPU-h"
        parts = f"{share.before_gpu_s / 3600:,.1f} before + {share.running_gpu_s / 3600:,.1f} of what runs now"
        out.append(f"{by} {who or '(none)'} has received {total} ({parts}, on {gpus(1000 * share.gpus)}), "
                   f"{plural(share.waiting, 'job')} waiting")  # fmt: skip
    if all(str(table[by][row]) == mine for row in ahead):
        out.append(f"those that go first are of the same {by} and were submitted earlier")
    return out
